"""Where answers may be written to."""

import pytest

from car_damage.batch import output
from car_damage.batch.output import Settings, prepare
from car_damage.errors import UserError

SETTINGS = Settings("20260311-1402-0a1b", embeddings=False)


class Bucket:
    """A bucket with an empty folder, which S3's console has made as an object."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def ls(self, root: str, detail: bool) -> list[str]:
        return ["answers/2026/"]

    def pipe_file(self, name: str, content: bytes) -> None:
        self.written.append(name)


def test_answers_may_be_written_to_an_empty_folder_of_a_bucket(monkeypatch):
    bucket = Bucket()
    monkeypatch.setattr(output, "opened", lambda address: (bucket, "answers/2026"))
    prepare("memory://answers/2026", SETTINGS)
    assert bucket.written == ["answers/2026/_run.json"]


def test_a_bucket_that_does_not_exist_gets_one_sentence(monkeypatch):
    def fail(bucket: Bucket, name: str, content: bytes) -> None:
        raise FileNotFoundError("The specified bucket does not exist")

    monkeypatch.setattr(Bucket, "pipe_file", fail)
    monkeypatch.setattr(output, "opened", lambda address: (Bucket(), "answers/2026"))
    with pytest.raises(UserError, match="cannot be used now: The specified bucket does not exist"):
        prepare("memory://answers/2026", SETTINGS)
