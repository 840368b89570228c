import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from car_damage import model_store, paths
from car_damage.errors import UserError, exit_code
from car_damage.files import sha256_of
from car_damage.manifest import Metrics
from tests import tiny_model
from tests.tiny_model import VERSION

OTHER = "20260401-0900-ffff"
THIRD = "20260501-0900-eeee"


def add(models: Path, version: str, **changes) -> str:
    """Add a version that cannot predict, only be kept."""
    files = {"model.keras": b"to train on from", "predictions.csv": b"to make the report from"}
    return tiny_model.add_version(models, b"no graph", version, files=files, **changes)


def run(*arguments: str | Path) -> int:
    return exit_code(lambda: model_store.main([str(argument) for argument in arguments]))


def test_versions_are_named_after_the_time_in_utc_and_those_of_one_minute_differ():
    here = datetime(2026, 11, 22, 18, 30, tzinfo=timezone(timedelta(hours=2)))
    names = {model_store.new_version_name(here) for _ in range(20)}
    assert all(name.startswith("20261122-1630-") for name in names)
    assert all(model_store.VERSION.fullmatch(name) for name in names)
    assert len(names) > 1


def test_a_version_names_the_sha256_of_its_model_and_needs_no_other_file(tmp_path):
    folder = tmp_path / add(tmp_path, OTHER)
    (folder / "predictions.csv").unlink()
    files = model_store.load_record(tmp_path, OTHER).manifest.files
    assert files == {name: sha256_of(folder / name) for name in ("model.keras", "model.tflite")}
    (folder / "model.keras").unlink()
    assert model_store.load_record(tmp_path, OTHER).version == OTHER


def test_a_run_that_fails_adds_nothing_and_leaves_the_version_in_use(models):
    before = model_store.load_record(models)
    with pytest.raises(FileNotFoundError), model_store.add(models, OTHER) as folder:
        (folder / "model.tflite").write_bytes(b"without its model.json")
    assert model_store.versions(models) == [VERSION]
    assert model_store.load_record(models) == before


def test_the_remains_of_a_killed_run_are_not_a_version_and_do_not_stop_other_runs(models):
    shutil.copytree(models / VERSION, models / f"{OTHER}.partial")
    shutil.copytree(models / VERSION, models / "sample")
    (models / "20260601-0900-aaaa").mkdir()
    (models / "current.partial").write_text(OTHER)
    assert model_store.load_record(models).version == VERSION
    add(models, OTHER)
    assert model_store.versions(models) == [VERSION, OTHER]


@pytest.mark.skipif(sys.platform == "win32", reason="needs flock()")
def test_the_next_run_deletes_what_a_killed_run_left_unless_another_run_writes(models):
    with model_store.add(models, OTHER) as being_written:
        left, foreign = models / f"{THIRD}.partial", models / "notes.partial"
        left.mkdir()
        foreign.mkdir()
        model_store.remove(models, add(models, "20260601-0900-aaaa"))
        assert left.exists()
        assert being_written.exists()
        shutil.copy(models / VERSION / "model.json", being_written)
    add(models, "20260601-0900-aaaa")
    assert not left.exists()
    assert foreign.exists()
    assert OTHER in model_store.versions(models)


def test_two_runs_can_write_versions_at_the_same_time(models):
    with model_store.add(models, OTHER) as first, model_store.add(models, THIRD) as second:
        for folder in (first, second):
            shutil.copy(models / VERSION / "model.json", folder)
    assert model_store.versions(models) == [VERSION, OTHER, THIRD]


def test_a_version_is_neither_replaced_nor_removed_while_in_use(models):
    with pytest.raises(UserError, match="already exists"), model_store.add(models, VERSION):
        pass
    with pytest.raises(UserError, match="is in use"):
        model_store.remove(models, VERSION)
    assert model_store.load_record(models).version == VERSION


@pytest.mark.parametrize("name", ["../x", "/", "", ".", "sample", f"{VERSION}/..", VERSION.upper()])
@pytest.mark.parametrize("action", ["use", "remove"])
def test_rejects_anything_but_the_name_of_a_version(models, capsys, action, name):
    assert run("--models", models, action, name) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "is not a version name" in sentence


@pytest.mark.parametrize("action", [model_store.use, model_store.remove, model_store.load_record])
def test_a_version_that_is_not_there_is_refused(models, action):
    with pytest.raises(UserError, match=f"There is no version {OTHER}"):
        action(models, OTHER)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.tflite", b"", "model.tflite has changed"),
        ("model.tflite", None, "model.tflite is missing"),
        ("model.keras", b"something else", "model.keras has changed"),
    ],
)
def test_rejects_the_use_of_a_damaged_version(models, name, content, said):
    add(models, OTHER)
    (models / OTHER / name).unlink()
    if content is not None:
        (models / OTHER / name).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(said)):
        model_store.use(models, OTHER)
    assert model_store.current(models) == VERSION


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"size": 32}', "\N{LATIN SMALL LETTER THORN}"]
)
def test_a_model_json_that_cannot_be_used_is_refused(models, text):
    (models / VERSION / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"model\.json"):
        model_store.load_record(models)


def test_without_any_model_the_error_says_how_to_train_one(tmp_path):
    with pytest.raises(UserError, match=r"no model in .*: bash run_pipeline\.sh"):
        model_store.load_record(tmp_path)


@pytest.mark.parametrize("text", [None, "", "../elsewhere"])
def test_without_a_current_version_the_error_says_how_to_choose_one(models, text):
    (models / "current").unlink()
    if text is not None:
        (models / "current").write_text(text)
    with pytest.raises(UserError, match=f"Choose .* with: .* --models {models} use VERSION"):
        model_store.load_record(models)


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_bytes(b"../../etc\n"),
        lambda path: os.truncate(path, 2**40),
        put_folder,
        pytest.param(
            put_fifo, marks=pytest.mark.skipif(sys.platform == "win32", reason="has no FIFOs")
        ),
    ],
)
def test_a_damaged_current_file_does_not_select_the_included_version(included, capsys, damage):
    model_store.use(included, add(included, OTHER))
    damage(included / "current")
    with pytest.raises(UserError, match=r"current does not contain a version name .* use VERSION"):
        model_store.load_record(included)
    assert run("--models", included, "list") == 0
    assert "does not contain a version name" in capsys.readouterr().out
    if not (included / "current").is_dir():
        model_store.use(included, OTHER)
        assert model_store.current(included) == OTHER


@pytest.mark.parametrize("name", ["current", f"{VERSION}/model.json", f"{VERSION}/model.tflite"])
def test_a_file_that_may_not_be_read_is_named(models, monkeypatch, name):
    real = Path.open

    def refuse(path: Path, *arguments, **options):
        if path == models / name:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=re.escape(f"Cannot read {models / name} (Permission")):
        model_store.load_record(models)


@pytest.mark.parametrize("name", ["model.json", "model.tflite"])
def test_rejects_a_file_that_is_far_too_large_without_reading_it(models, name):
    os.truncate(models / VERSION / name, 2**40)
    with pytest.raises(UserError, match=rf"{name} has more than .* bytes"):
        model_store.load_record(models)


def test_the_list_shows_each_version_and_which_is_in_use(models, capsys):
    add(models, OTHER, metrics=Metrics())
    assert run("--models", models, "list") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [VERSION, "2026-03-11", "14:02", "tiny", "87.5%", "current"]
    assert second.split() == [OTHER, "2026-03-11", "14:02", "tiny", "-"]
    (models / OTHER / "model.json").write_text("{")
    assert run("--models", models, "list") == 0
    assert "current" in capsys.readouterr().out
    assert run("--models", models / "none", "list") == 0
    assert capsys.readouterr().out.startswith("no versions in")


def test_versions_are_switched_and_removed_on_the_command_line(models, capsys):
    add(models, OTHER)
    assert run("--models", models, "use", OTHER) == 0
    assert (models / "current").read_text() == OTHER + "\n"
    assert run("--models", models, "remove", VERSION) == 0
    assert sorted(path.name for path in models.iterdir()) == [OTHER, "current", "previous"]
    assert OTHER in capsys.readouterr().out


def test_back_returns_to_the_version_that_was_in_use_before_and_back_again(models, capsys):
    for version in (OTHER, THIRD):
        model_store.use(models, add(models, version))
    model_store.use(models, THIRD)  # once more, which changes nothing
    for expected in (OTHER, THIRD):
        assert run("--models", models, "back") == 0
        assert capsys.readouterr().out == f"{expected} is the current version again\n"
        assert model_store.load_record(models).version == expected


def test_back_without_an_earlier_version_is_refused_and_changes_nothing(models, capsys):
    assert run("--models", models, "back") == 2
    assert f"No other version was in use in {models} before." in capsys.readouterr().err
    model_store.use(models, add(models, OTHER))
    model_store.remove(models, VERSION)
    assert run("--models", models, "back") == 2
    assert f"There is no version {VERSION}" in capsys.readouterr().err
    assert model_store.current(models) == OTHER


@pytest.fixture
def included(tmp_path) -> Path:
    """A models folder as in a clone: with the included version alone."""
    add(tmp_path / "models" / "pretrained", VERSION)
    return tmp_path / "models"


def test_the_included_version_is_in_use_until_the_user_has_another(included, capsys):
    assert model_store.load_record(included).folder == included / "pretrained" / VERSION
    assert run("--models", included, "list") == 0
    assert capsys.readouterr().out.split()[-2:] == ["included", "current"]
    model_store.use(included, add(included, OTHER))
    assert model_store.versions(included) == [VERSION, OTHER]
    assert model_store.load_record(included).version == OTHER
    assert model_store.back(included) == VERSION
    assert model_store.load_record(included).version == VERSION
    model_store.use(included, OTHER)
    assert run("--models", included, "use", VERSION) == 0
    assert model_store.load_record(included).version == VERSION


def test_the_included_version_cannot_be_removed(included):
    model_store.use(included, add(included, OTHER))
    with pytest.raises(UserError, match="which is read-only"):
        model_store.remove(included, VERSION)
    assert model_store.load_record(included, VERSION).version == VERSION


@pytest.mark.parametrize("chosen", [None, VERSION, OTHER])
def test_an_image_gets_only_the_version_in_use(included, chosen):
    add(included, OTHER)
    if chosen:
        model_store.use(included, chosen)
    dockerfile = (paths.ROOT / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^COPY models all-models\nRUN (.+?[^\\])$", dockerfile, re.S | re.M)
    included.rename(included.with_name("all-models"))
    subprocess.run(["sh", "-c", command], cwd=included.parent, check=True)
    version = chosen or VERSION
    assert model_store.versions(included) == [model_store.current(included)] == [version]
    assert not (included / version / "model.keras").exists()
    assert [path.name for path in included.parent.iterdir()] == ["models"]


def test_git_ignores_what_a_user_makes_and_keeps_the_included_version(included):
    root = included.parent
    shutil.copy(paths.ROOT / ".gitignore", root)
    model_store.use(included, add(included, OTHER))
    for name in ("models/report-x.html", "models/sample/current", "data/raw/damaged/1.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for words in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *words], cwd=root, check=True)
    kept = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    folders = {Path(name).parent.as_posix() for name in kept.stdout.split()}
    assert folders == {".", f"models/pretrained/{VERSION}"}
