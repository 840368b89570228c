"""What happens to a block that fails, and to a photo that cannot be read."""

import errno
from pathlib import Path

import pytest

from car_damage.batch import answers
from car_damage.batch.answers import read_photo
from car_damage.batch.photo_list import Block
from car_damage.batch.worker import CAREFUL_AFTER, GIVE_UP_AFTER, Attempts
from car_damage.errors import UserError

BLOCKS = [Block(number, (f"{number}.jpg",)) for number in range(3)]


def test_failed_blocks_are_done_again_before_the_list_is_over():
    attempts = Attempts(iter(BLOCKS))
    failed = attempts.pop()
    attempts.repeat(failed, OSError("a node is lost"))
    order = []
    while attempts:
        order.append((attempt := attempts.pop()).block.number)
    assert order == [0, 1, 2]
    assert attempt.failures == 0


def test_a_block_that_fails_again_and_again_stops_the_run_and_names_its_first_photo():
    attempts = Attempts(BLOCKS[:1])
    for _ in range(GIVE_UP_AFTER - 1):
        attempts.repeat(attempts.pop(), OSError("memory ran out"))
    message = f"begins with 0.jpg, failed {GIVE_UP_AFTER} times: memory ran out. Run this again"
    with pytest.raises(UserError, match=message):
        attempts.repeat(attempts.pop(), OSError("memory ran out"))


def test_a_bucket_that_does_not_answer_stops_the_run_after_a_second_attempt():
    attempts = Attempts(BLOCKS[:1])
    for _ in range(CAREFUL_AFTER - 1):
        attempts.repeat(attempts.pop(), UserError("s3://photos cannot be used now"))
    with pytest.raises(UserError, match="s3://photos cannot be used now"):
        attempts.repeat(attempts.pop(), UserError("s3://photos cannot be used now"))


class RefusalError(Exception):
    """As S3's client raises it."""

    def __init__(self, code: str):
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class Bucket:
    def __init__(self, code: str, kind: type[OSError]):
        self.code, self.kind = code, kind

    def cat_file(self, name: str) -> bytes:
        raise self.kind(self.code) from RefusalError(self.code)


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("AccessDenied", PermissionError, OSError),
        ("InvalidObjectState", PermissionError, OSError),
        ("NoSuchKey", FileNotFoundError, OSError),
        ("NoSuchBucket", FileNotFoundError, UserError),
        ("ExpiredToken", PermissionError, UserError),
    ],
)
def test_an_archived_photo_gets_an_error_but_an_expired_key_or_a_missing_bucket_stops_the_run(
    code, kind, expected, monkeypatch
):
    monkeypatch.setattr(answers, "opened", lambda path: (Bucket(code, kind), path))
    with pytest.raises(expected):
        read_photo("s3://photos/1.jpg")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN])
def test_a_network_drive_that_is_lost_stops_the_run(number, monkeypatch):
    def fail(path: Path) -> bytes:
        raise OSError(number, "No answer")

    monkeypatch.setattr(Path, "read_bytes", fail)
    message = r"cars/1.jpg cannot be read now \(No answer\). Check its disk or network drive"
    with pytest.raises(UserError, match=message):
        read_photo("cars/1.jpg")


def test_a_file_that_is_missing_or_a_folder_concerns_this_photo_only(tmp_path):
    (tmp_path / "file.jpg").touch()
    for path in (tmp_path / "gone.jpg", tmp_path, tmp_path / "file.jpg" / "1.jpg"):
        with pytest.raises(OSError, match=r"\[Errno"):
            read_photo(str(path))
