"""Old records and files without a record are deleted, and nobody waits for that."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from car_damage.records import store, upkeep
from car_damage.records.kept_photos import UNSET, PhotosUnavailable
from car_damage.records.tables import forgotten, kept_photos, predictions
from tests.gunicorn_process import wait_until
from tests.records.entries import entry
from tests.records.stored import Photos, count

ONE, TWO = "a1" * 32, "b2" * 32
LONG_AGO = datetime.now(UTC) - timedelta(days=40)


@pytest.fixture
def photos(tmp_path):
    return Photos(str(tmp_path / "photos"))


@pytest.fixture
def at_once(monkeypatch):
    """Delete files also if their rows were written less than an hour ago."""
    monkeypatch.setattr(upkeep, "UNUSED", timedelta(0))


def old(**columns):
    return entry(time=LONG_AGO, **columns)


def test_old_rows_go_with_their_photos_and_leave_nothing(engine, photos, at_once):
    several = [old(sha256=ONE, photo=b"a photo") for _ in range(upkeep.AT_ONCE + 1)]
    store.write(engine, photos, [*several, entry(sha256=TWO, photo=b"another")])
    upkeep.keep_up(engine, photos, days=30)
    assert count(engine, predictions) == 1
    assert count(engine, forgotten) == 0
    assert count(engine, kept_photos) == 1
    assert photos.names() == [TWO]


def test_without_a_limit_nothing_is_too_old(engine, photos, at_once):
    store.write(engine, photos, [old(sha256=ONE, photo=b"a photo")])
    upkeep.keep_up(engine, photos, days=None)
    assert count(engine, predictions) == 1


def test_a_file_whose_row_was_never_written_is_deleted_later(engine, photos, monkeypatch):
    monkeypatch.setattr(store, "_insert", lambda *_: 1 / 0)  # the process ends here
    with pytest.raises(ZeroDivisionError):
        store.write(engine, photos, [entry(sha256=ONE, photo=b"a photo")])
    upkeep.keep_up(engine, photos, days=None)
    assert photos.names() == [ONE]  # another process may be about to write its row
    monkeypatch.setattr(upkeep, "UNUSED", timedelta(0))
    upkeep.keep_up(engine, photos, days=None)
    assert photos.names() == []


def test_a_bucket_that_is_gone_keeps_old_photos_until_it_is_back(engine, photos, at_once):
    store.write(engine, photos, [old(sha256=ONE, photo=b"a photo")])
    photos.works = False
    with pytest.raises(PhotosUnavailable):
        upkeep.keep_up(engine, photos, days=30)
    assert count(engine, predictions) == 0
    assert photos.names() == [ONE]
    photos.works = True
    upkeep.keep_up(engine, photos, days=30)
    assert photos.names() == []


def test_old_records_go_also_when_keep_photos_is_not_set_any_more(engine, photos, at_once, caplog):
    store.write(engine, photos, [old(sha256=ONE, photo=b"a photo"), old(sha256=TWO)])
    upkeep.keep_up(engine, None, days=30)
    assert count(engine, predictions) == 0
    assert caplog.messages == [UNSET]
    upkeep.keep_up(engine, photos, days=30)  # it is set again
    assert photos.names() == []
    upkeep.keep_up(engine, None, days=30)
    assert caplog.messages == [UNSET]


def test_all_unused_files_are_found_list_by_list(engine, photos, at_once, monkeypatch):
    monkeypatch.setattr(upkeep, "LISTED", 2)
    files = [old(sha256=f"{number:064}", photo=b"a photo") for number in range(5)]
    store.write(engine, photos, files)
    upkeep.keep_up(engine, photos, days=30)
    assert photos.names() == []


def test_others_can_write_after_each_file_that_is_deleted(engine, photos, at_once, monkeypatch):
    left, pauses = [], []

    def delete(sha256):
        left.append(count(engine, kept_photos))  # what other connections see
        Photos.delete(photos, sha256)

    monkeypatch.setattr(photos, "delete", delete)
    monkeypatch.setattr(upkeep, "sleep", pauses.append)
    files = [old(sha256=f"{number:064}", photo=b"a photo") for number in range(4)]
    store.write(engine, photos, files)
    upkeep.keep_up(engine, photos, days=30)
    assert left == [4, 3, 2, 1]
    assert len(pauses) >= 4
    assert min(pauses) > 0


def test_upkeep_begins_at_the_start_and_an_error_is_logged(engine, photos, monkeypatch, caplog):
    done = threading.Event()

    def fail(*_):
        done.set()
        raise PhotosUnavailable("it is gone")

    monkeypatch.setattr(upkeep, "keep_up", fail)
    upkeep.start(engine, photos, 30)
    assert done.wait(5)
    wait_until(lambda: caplog.records)
    assert caplog.messages == ["old records cannot be deleted: it is gone"]
