"""Which photo gets the blame if a child process dies, and when no photo does."""

import os
import sys
from pathlib import Path

import pytest

from car_damage import model_store
from car_damage.batch import one_by_one
from car_damage.errors import UserError
from tests.photo_files import jpeg
from tests.tiny_model import plain_photo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")

KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
KILL_ONCE = """
import os
from pathlib import Path

read = Path.read_bytes

def dangerous(path):
    if path.name == "1.jpg":
        try:
            path.with_name("killed").mkdir()
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), 9)
    return read(path)

Path.read_bytes = dangerous
"""


@pytest.fixture
def record(project, models) -> model_store.Record:
    return model_store.load_record(models)


@pytest.fixture
def cars(tmp_path) -> list[str]:
    """Three photos."""
    paths = [tmp_path / f"{number}.jpg" for number in range(3)]
    for path in paths:
        path.write_bytes(jpeg(plain_photo(red=True)))
    return [str(path) for path in paths]


def run_at_start(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each child run this code before its own."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.fspath(folder / "site"))


def test_a_photo_whose_child_was_killed_for_another_reason_gets_its_answer(
    record, cars, tmp_path, monkeypatch
):
    run_at_start(KILL_ONCE, tmp_path, monkeypatch)
    found = one_by_one.answers(record, cars)
    assert (tmp_path / "killed").exists()
    assert [(each.path, each.error) for each in found] == [(path, "") for path in cars]


def test_no_photo_is_blamed_for_a_child_that_dies_while_it_starts(
    record, cars, tmp_path, monkeypatch
):
    run_at_start(KILL, tmp_path, monkeypatch)
    with pytest.raises(one_by_one.ChildDiedError, match=r"before its first photo \(out_of_memory"):
        one_by_one.answers(record, cars)


def test_no_photo_is_blamed_for_a_damaged_model(record, cars):
    record.graph.write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"model.tflite cannot be used"):
        one_by_one.answers(record, cars)
