import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from car_damage import model_store
from car_damage.errors import UserError, exit_code
from car_damage.files import sha256_of
from car_damage.manifest import Metrics
from tests import tiny_model
from tests.tiny_model import VERSION

OTHER = "20260401-0900-ffff"


def add(models: Path, version: str, **changes) -> str:
    """Add a version that cannot predict, only be kept."""
    files = {"model.keras": b"to train on from", "predictions.csv": b"to make the report from"}
    return tiny_model.add_version(models, b"no graph", version, files=files, **changes)


def fail_while_adding(models: Path) -> None:
    with model_store.add(models, OTHER) as folder:
        (folder / "model.tflite").write_bytes(b"half of it")
        raise RuntimeError("killed")


def run(*arguments: str | Path) -> int:
    return exit_code(lambda: model_store.main([str(argument) for argument in arguments]))


def test_a_version_is_named_after_the_time_in_utc():
    here = datetime(2026, 11, 22, 18, 30, tzinfo=timezone(timedelta(hours=2)))
    assert model_store.VERSION.fullmatch(model_store.new_version_name(here))
    assert model_store.new_version_name(here).startswith("20261122-1630-")


def test_a_later_version_sorts_after_an_earlier_one():
    now = datetime(2026, 11, 22, 23, 59, tzinfo=UTC)
    later = now + timedelta(minutes=1)
    assert model_store.new_version_name(now) < model_store.new_version_name(later)


def test_versions_of_one_minute_have_different_names():
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert len({model_store.new_version_name(now) for _ in range(20)}) > 1


def test_a_version_names_the_sha256_of_the_files_that_are_the_model(tmp_path):
    folder = tmp_path / add(tmp_path, OTHER)
    files = model_store.load_record(tmp_path, OTHER).manifest.files
    assert files == {name: sha256_of(folder / name) for name in ("model.keras", "model.tflite")}


def test_a_version_may_go_without_the_files_that_only_its_report_was_made_from(tmp_path):
    folder = tmp_path / add(tmp_path, OTHER)
    (folder / "predictions.csv").unlink()
    assert model_store.load_record(tmp_path, OTHER).version == OTHER


def test_only_whole_versions_are_listed(tmp_path):
    add(tmp_path, OTHER)
    add(tmp_path, VERSION)
    shutil.copytree(tmp_path / OTHER, tmp_path / "20260501-0900-aaaa.partial")
    shutil.copytree(tmp_path / OTHER, tmp_path / "sample")
    (tmp_path / "20260601-0900-aaaa").mkdir()
    assert model_store.versions(tmp_path) == [VERSION, OTHER]


def test_without_a_models_folder_there_is_no_version(tmp_path):
    assert model_store.versions(tmp_path / "none") == []
    assert model_store.current(tmp_path / "none") is None


def test_a_run_that_fails_adds_nothing_and_leaves_the_version_in_use(models):
    before = model_store.load_record(models)
    with pytest.raises(RuntimeError):
        fail_while_adding(models)
    assert model_store.versions(models) == [VERSION]
    assert model_store.load_record(models) == before


def test_what_a_killed_run_left_is_no_version_and_stops_no_other(models):
    leftover = models / f"{OTHER}.partial"
    leftover.mkdir()
    (leftover / "model.json").write_text("{")
    (models / "current.partial").write_text(OTHER)
    assert model_store.load_record(models).version == VERSION
    add(models, OTHER)
    assert model_store.versions(models) == [VERSION, OTHER]


def test_a_version_is_never_written_over(models):
    with pytest.raises(UserError, match="is there already"), model_store.add(models, VERSION):
        pass
    assert model_store.load_record(models).version == VERSION


def test_the_version_in_use_can_be_switched(models):
    model_store.use(models, add(models, OTHER))
    assert model_store.current(models) == OTHER
    assert (models / "current").read_text() == OTHER + "\n"


def test_a_version_that_is_not_whole_cannot_be_put_to_use(models):
    add(models, OTHER)
    (models / OTHER / "model.keras").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"model\.keras has changed"):
        model_store.use(models, OTHER)
    assert model_store.current(models) == VERSION


def test_a_version_that_is_not_in_use_can_be_removed(models):
    add(models, OTHER)
    model_store.remove(models, OTHER)
    assert sorted(path.name for path in models.iterdir()) == [VERSION, "current"]


def test_the_version_in_use_is_not_removed(models):
    with pytest.raises(UserError, match="is in use"):
        model_store.remove(models, VERSION)
    assert model_store.load_record(models).version == VERSION


@pytest.mark.parametrize("name", ["../x", "/", "", ".", "sample", f"{VERSION}/..", VERSION.upper()])
@pytest.mark.parametrize("action", [model_store.use, model_store.remove])
def test_only_the_name_of_a_version_is_taken(models, action, name):
    with pytest.raises(UserError, match="is not the name of a version"):
        action(models, name)


@pytest.mark.parametrize("action", [model_store.use, model_store.remove, model_store.load_record])
def test_a_version_that_is_not_there_is_refused(models, action):
    with pytest.raises(UserError, match=f"there is no version {OTHER}"):
        action(models, OTHER)


def test_a_version_without_the_file_to_train_on_from_still_answers(models):
    (models / add(models, OTHER) / "model.keras").unlink()
    assert model_store.load_record(models, OTHER).version == OTHER
    (models / OTHER / "model.tflite").unlink()
    with pytest.raises(UserError, match=r"model\.tflite is missing"):
        model_store.load_record(models, OTHER)


def test_a_graph_that_was_changed_is_refused(models):
    with (models / VERSION / "model.tflite").open("ab") as graph:
        graph.write(b"\0")
    with pytest.raises(UserError, match=r"model\.tflite has changed"):
        model_store.load_record(models)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"size": 32}', "\N{LATIN SMALL LETTER THORN}"]
)
def test_a_model_json_that_cannot_be_used_is_refused(models, text):
    (models / VERSION / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"model\.json"):
        model_store.load_record(models)


def test_without_any_model_the_message_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match=r"no model in .*: run bash run_pipeline\.sh"):
        model_store.load_record(tmp_path)


@pytest.mark.parametrize("text", [None, "", "../elsewhere"])
def test_without_a_choice_the_message_says_how_to_choose(models, text):
    (models / "current").unlink()
    if text is not None:
        (models / "current").write_text(text)
    with pytest.raises(UserError, match=f"choose with .* --models {models} use VERSION"):
        model_store.load_record(models)


def test_the_list_shows_each_version_and_which_is_in_use(models, capsys):
    add(models, OTHER, metrics=Metrics())
    assert run("--models", models, "list") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [VERSION, "2026-03-11", "14:02", "tiny", "87.5%", "current"]
    assert second.split() == [OTHER, "2026-03-11", "14:02", "tiny", "-"]


def test_the_list_shows_other_versions_beside_a_broken_one(models, capsys):
    (models / add(models, OTHER) / "model.json").write_text("{")
    assert run("--models", models, "list") == 0
    assert "current" in capsys.readouterr().out


def test_an_empty_list_says_so(tmp_path, capsys):
    assert run("--models", tmp_path, "list") == 0
    assert capsys.readouterr().out.startswith("no version in")


def test_versions_are_switched_and_removed_on_the_command_line(models, capsys):
    add(models, OTHER)
    assert run("--models", models, "use", OTHER) == 0
    assert run("--models", models, "remove", VERSION) == 0
    assert model_store.versions(models) == [OTHER]
    assert OTHER in capsys.readouterr().out


@pytest.mark.parametrize("action", ["use", "remove"])
def test_a_mistake_gets_one_sentence_and_exit_code_2(models, capsys, action):
    assert run("--models", models, action, "../x") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_command_without_an_action_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        model_store.main([])
