"""Files and folders are complete or missing, even if writing them fails."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from car_damage import files
from car_damage.errors import UserError
from car_damage.files import PARTIAL, REPLACED, sha256_of, staged_folder, write_text

WRITES_HALF = """
import sys, time
from pathlib import Path
from car_damage.files import staged_folder
with staged_folder(Path(sys.argv[1])) as folder:
    (folder / "a.txt").write_text("new")
    print("half", flush=True)
    time.sleep(60)
"""


def fill(folder: Path, text: str) -> None:
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text(text)
    (folder / "inner" / "b.txt").write_text(text)


def write_and_fail(target: Path, error: BaseException) -> None:
    with staged_folder(target) as folder:
        fill(folder, "new")
        raise error


def content(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def old(tmp_path) -> Path:
    """A folder from an earlier run."""
    fill(tmp_path / "data", "old")
    return tmp_path / "data"


OLD = {"a.txt": "old", "inner/b.txt": "old"}
NEW = {"a.txt": "new", "inner/b.txt": "new"}


def test_a_new_folder_appears_whole(tmp_path):
    target = tmp_path / "deep" / "data"
    with staged_folder(target) as folder:
        fill(folder, "new")
        assert not target.exists()
    assert content(target) == NEW
    assert os.listdir(target.parent) == ["data"]


def test_a_new_folder_replaces_the_old_one_and_nothing_stays_behind(old):
    (old / "only in the old one").touch()
    with staged_folder(old) as folder:
        fill(folder, "new")
    assert content(old) == NEW
    assert os.listdir(old.parent) == ["data"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_a_failure_leaves_the_old_folder_as_it_was(old, error):
    with pytest.raises(error):
        write_and_fail(old, error())
    assert content(old) == OLD
    assert os.listdir(old.parent) == ["data"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_user_error(old, number):
    with pytest.raises(UserError, match=r"disk is full, so .*data was not written"):
        write_and_fail(old, OSError(number, "No space left on device"))
    assert content(old) == OLD


def test_a_disk_that_is_full_only_at_the_flush_leaves_the_old_folder(old, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"), staged_folder(old) as folder:
        fill(folder, "new")
    assert content(old) == OLD


def test_a_killed_run_leaves_the_old_folder_and_the_next_run_cleans_up(old):
    run = subprocess.Popen(
        [sys.executable, "-c", WRITES_HALF, str(old)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(files.__file__).parents[1],
    )
    with run:
        assert run.stdout.readline() == "half\n"
        run.kill()
    assert content(old) == OLD
    assert content(old.with_name(f"data{PARTIAL}")) == {"a.txt": "new"}
    with staged_folder(old) as folder:
        assert content(folder) == {}
    assert os.listdir(old.parent) == ["data"]


def test_a_run_killed_during_the_swap_loses_nothing(old):
    old.rename(old.with_name(f"data{REPLACED}"))  # where the old folder is for that instant
    with pytest.raises(ValueError, match="again"):
        write_and_fail(old, ValueError("again"))
    assert content(old) == OLD


def test_a_swap_that_the_system_refuses_puts_the_old_folder_back(old, monkeypatch):
    rename = os.rename

    def refuse_the_new_one(source, target):
        if str(source).endswith(PARTIAL):
            raise PermissionError("in use by another program")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_the_new_one)
    with pytest.raises(PermissionError), staged_folder(old) as folder:
        fill(folder, "new")
    assert content(old) == OLD
    assert os.listdir(old.parent) == ["data"]


def test_a_link_to_a_folder_stays_a_link(old, tmp_path):
    link = tmp_path / "link"
    try:
        link.symlink_to(old, target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    with staged_folder(link) as folder:
        fill(folder, "new")
    assert link.is_symlink()
    assert content(old) == NEW


def test_every_file_is_flushed_before_the_swap(old, monkeypatch):
    flushed = []
    monkeypatch.setattr(files, "flush_to_disk", lambda path: flushed.append(path.name))
    with staged_folder(old) as folder:
        fill(folder, "new")
        assert flushed == []
    assert sorted(flushed) == ["a.txt", "b.txt"]


def test_text_is_written_as_utf_8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "größer\n")
    assert (tmp_path / "a.txt").read_bytes() == "größer\n".encode()


@pytest.mark.parametrize(
    ("step", "number", "error", "said"),
    [
        ("fsync", errno.EIO, OSError, "Input/output error"),
        ("replace", errno.EIO, OSError, "Input/output error"),
        ("fsync", errno.ENOSPC, UserError, r"disk is full, so .*a\.txt was not written"),
    ],
)
def test_text_that_cannot_be_written_leaves_the_old_file(
    tmp_path, monkeypatch, step, number, error, said
):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(os, step, fail)
    with pytest.raises(error, match=said):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_sha256_is_that_of_the_file(tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()
