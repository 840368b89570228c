"""predict.py --out: complete blocks, runs that go on, and what is refused."""

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow.parquet as pq
import pytest

import predict
from car_damage import batch
from car_damage.batch import photo_list, processes
from car_damage.batch.worker import Attempt, Done, Worker
from tests import tiny_model
from tests.photo_files import jpeg
from tests.tiny_model import plain_photo

SIZE = 4  # photos in a block


@pytest.fixture
def cars(tmp_path, monkeypatch) -> Path:
    """A folder with ten photos, one of them broken, and blocks of four."""
    monkeypatch.setattr(photo_list, "SIZE", SIZE)
    folder = tmp_path / "cars"
    folder.mkdir()
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(jpeg(plain_photo(red=number % 3 == 0)))
    (folder / "5.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture
def in_this_process(monkeypatch):
    """Do the blocks here, because a new process takes seconds."""
    serial = lambda blocks, worker: (worker.do(Attempt(block)) for block in blocks)  # noqa: E731
    monkeypatch.setattr(processes, "do_blocks", serial)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_parquet_has_the_answers_of_csv_and_on_request_the_embedding(run, cars, tmp_path, capsys):
    assert run(cars) == 0
    expected = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert run(cars, "--out", tmp_path / "out", "--embeddings") == 0
    assert "1 of 10 photos could not be used" in capsys.readouterr().err
    table = pq.read_table(tmp_path / "out")
    assert table.column_names == [
        "path",
        "prediction",
        "probability",
        "review",
        "warnings",
        "model_version",
        "error",
        "embedding",
    ]
    rows = table.to_pylist()
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    for row, line in zip(rows, expected, strict=True):
        assert row["model_version"] == tiny_model.VERSION
        if line["error"]:
            assert row["error"] == line["error"]
            assert row["prediction"] is row["probability"] is row["embedding"] is None
            continue
        assert row["prediction"] == line["prediction"]
        assert f"{row['probability']:.4f}" == line["probability"]
        assert row["review"] == (line["review"] == "yes")
        assert row["warnings"] == line["warnings"].split()
        assert len(row["embedding"]) == tiny_model.FEATURES


@pytest.mark.usefixtures("in_this_process")
def test_a_stopped_run_goes_on_with_the_blocks_that_are_missing(run, cars, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(cars, "--out", out) == 0
    complete = contents(out)
    lost = sorted(out.glob("*.parquet"))[1]
    lost.rename(out / f"_{lost.name}.0a1b2c3d.partial")  # as a killed run leaves it
    capsys.readouterr()
    assert run(cars, "--out", out) == 0
    assert capsys.readouterr().out.splitlines() == [
        "6 photos were classified by an earlier run",
        f"The answers for 10 photos are in {out}",
    ]
    assert contents(out)[lost.name][1] == complete.pop(lost.name)[1]
    assert complete.items() <= contents(out).items()
    assert pq.read_table(out).num_rows == 10


@pytest.mark.parametrize("change", ["insert", "remove", "append"])
@pytest.mark.usefixtures("in_this_process")
def test_a_changed_list_is_refused_and_nothing_changes(run, cars, tmp_path, capsys, change):
    names = [str(path) for path in sorted(cars.iterdir())]
    (tmp_path / "list.txt").write_text("\n".join(names))
    assert run("--list", tmp_path / "list.txt", "--out", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    changed = {"insert": ["new.jpg", *names], "remove": names[:8], "append": [*names, "new.jpg"]}
    (tmp_path / "list.txt").write_text("\n".join(changed[change]))
    capsys.readouterr()
    assert run("--list", tmp_path / "list.txt", "--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: The list of photos has changed since")
    assert contents(tmp_path / "out") == before


@pytest.mark.usefixtures("in_this_process")
def test_another_version_or_other_columns_are_refused(
    run, cars, models, tmp_path, capsys, tiny_graph
):
    assert run(cars, "--out", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    other = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff")
    assert run(cars, "--out", tmp_path / "out", "--model", other) == 2
    assert run(cars, "--out", tmp_path / "out", "--embeddings") == 2
    version, columns = capsys.readouterr().err.splitlines()[-2:]
    assert f"or go on with --model {tiny_model.VERSION}." in version
    assert "has no embeddings. Choose another --out, or leave out --embeddings." in columns
    assert contents(tmp_path / "out") == before


@pytest.mark.usefixtures("in_this_process")
def test_a_block_without_any_readable_photo_is_not_finished_but_a_single_photo_may_be_missing(
    run, cars, tmp_path, capsys
):
    names = [str(path) for path in sorted(cars.iterdir())]
    names[0] = str(tmp_path / "gone.jpg")
    (tmp_path / "list.txt").write_text("\n".join(names))
    moved = [path.rename(tmp_path / path.name) for path in map(Path, names[4:8])]
    assert run("--list", tmp_path / "list.txt", "--out", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: None of the 4 photos of block 1 could be read.")
    for path in moved:
        path.rename(cars / path.name)
    assert run("--list", tmp_path / "list.txt", "--out", tmp_path / "out") == 0
    errors = [row["error"] for row in pq.read_table(tmp_path / "out").to_pylist()]
    assert [error for error in errors if error] == ["unreadable", "not_a_photo"]


KILLER = """
import os, signal
from pathlib import Path

read = Path.read_bytes

def dangerous(path):
    if path.name == "1.jpg":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.name == "2.jpg":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "6.jpg":
        raise ZeroDivisionError
    return read(path)

Path.read_bytes = dangerous
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
def test_a_photo_that_kills_its_process_is_named_and_the_others_are_classified(
    run, cars, tmp_path, monkeypatch
):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert run(cars, "--out", tmp_path / "out") == 0
    errors = [row["error"] for row in pq.read_table(tmp_path / "out").to_pylist()]
    expected = dict.fromkeys(range(10))
    expected |= {1: "out_of_memory", 2: "crashed_SIGSEGV", 6: "crashed_ZeroDivisionError"}
    assert errors == list((expected | {5: "not_a_photo"}).values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "No photos are named."),
        (["{cars}", "--out", "{out}", "--csv", "a.csv"], "Leave out --csv and --heatmaps."),
        (["{cars}", "--embeddings"], "need --out FOLDER_OR_URL."),
        (["{cars}", "--cluster", "local"], "need --out FOLDER_OR_URL."),
        (["{cars}", "--out", "{cars}"], "has other files. Choose an empty or new folder."),
        (["{cars}", "--out", "{cars}/1.jpg/out"], "Cannot write"),
        (["{cars}", "--out", "ftps3://a"], "--out ftps3://a: ftps3:// is unknown."),
    ],
)
def test_a_wrong_option_gets_one_sentence_before_any_work(
    run, cars, tmp_path, capsys, arguments, message
):
    places = {"cars": cars, "out": tmp_path / "out"}
    assert run(*(argument.format(**places) for argument in arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


class AwayFileSystem(fsspec.AbstractFileSystem):
    """The client of a server that cannot be reached."""

    protocol = "away"

    def __init__(self, **options: object):
        raise ConnectionError("no route to host")


@pytest.mark.parametrize("arguments", [["{cars}", "--out", "away://a"], ["away://a"]])
def test_a_server_that_cannot_be_reached_gets_one_sentence(run, cars, capsys, arguments):
    fsspec.register_implementation("away", AwayFileSystem, clobber=True)
    assert run(*(argument.format(cars=cars) for argument in arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: away://a cannot be used now: no route to host.")


@pytest.fixture
def long_list(cars, monkeypatch) -> list[str]:
    """The options for a list whose second photo must not be asked for."""

    def lines() -> Iterator[str]:
        yield f"{cars}/1.jpg"
        pytest.fail("the list was read")

    monkeypatch.setattr(sys, "stdin", lines())
    return ["--list", "-"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "20990101-0000-0000", "--out", "{out}"], "There is no version"),
        (["--out", "{cars}"], "has other files."),
        (["--out", "{out}", "--embeddings"], "has no embeddings."),
    ],
)
@pytest.mark.usefixtures("in_this_process")
def test_a_mistake_is_reported_before_the_list_is_read(
    run, cars, long_list, tmp_path, capsys, arguments, message
):
    assert run(cars, "--out", tmp_path / "out") == 0
    capsys.readouterr()
    places = {"cars": cars, "out": tmp_path / "out"}
    assert run(*long_list, *(argument.format(**places) for argument in arguments)) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_other_nodes_do_not_see_is_noticed_at_the_first_block(
    run, cars, tmp_path, capsys, monkeypatch
):
    def do_blocks(blocks: object, worker: Worker) -> Iterator[Done]:
        yield Done("00000000-0123456789abcdef.parquet", SIZE, 0)  # on another node
        pytest.fail("a second block was done")

    cluster = SimpleNamespace(connected=lambda address: nullcontext(), do_blocks=do_blocks)
    monkeypatch.setattr(batch, "ray_cluster", cluster, raising=False)
    assert run(cars, "--out", tmp_path / "out", "--cluster", "auto") == 2
    assert "because other nodes do not see this folder" in capsys.readouterr().err


@pytest.mark.parametrize(("package", "options"), [("pyarrow", []), ("ray", ["--cluster", "local"])])
def test_a_missing_package_gets_the_command_that_installs_it_before_the_list_is_read(
    run, long_list, tmp_path, capsys, monkeypatch, package, options
):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    monkeypatch.delitem(sys.modules, "car_damage.batch.ray_cluster", raising=False)
    monkeypatch.delattr(batch, "ray_cluster", raising=False)
    assert run(*long_list, "--out", tmp_path / "out", *options) == 2
    assert "Run: pip install -r requirements-cluster.txt" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_of_ray_is_imported_without_the_option_for_a_cluster(cars, tmp_path):
    script = Path(predict.__file__)
    command = [sys.executable, "-X", "importtime", script, cars, "--out", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pyarrow" in modules
    assert "ray" not in modules
