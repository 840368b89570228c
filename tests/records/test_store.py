"""What is written, and what is left after something is deleted: rows, index and files."""

import threading

import pytest
from sqlalchemy import insert, select

from car_damage.records import store
from car_damage.records.kept_photos import PhotosUnavailable
from car_damage.records.tables import (
    embeddings,
    forgotten,
    kept_photos,
    predictions,
    similarity_keys,
)
from tests.records.entries import entry
from tests.records.stored import Photos, count, forget

ONE, TWO = "a1" * 32, "b2" * 32


@pytest.fixture
def photos(tmp_path):
    return Photos(str(tmp_path / "photos"))


def test_a_row_comes_back_as_it_was_written(engine):
    one = entry(probability=0.62, review=True)
    store.write(engine, None, [one])
    with engine.connect() as connection:
        row = connection.execute(select(predictions)).one()._asdict()
    assert row.pop("number") == 1
    assert row == one.row
    assert row["warnings"] == "blurred dark"
    with engine.connect() as connection:
        embedding = connection.scalar(select(embeddings.c.embedding))
    assert len(embedding) == 8 * 2  # float16
    assert row["awaits_review"]


def test_an_entry_that_is_written_twice_is_stored_once(engine):
    one, two = entry(), entry()
    store.write(engine, None, [one])
    store.write(engine, None, [one, two])  # the connection broke after the first time
    assert count(engine, predictions) == 2


def test_every_photo_is_in_the_index_and_leaves_it_when_it_is_forgotten(engine):
    one, two = entry(sha256=ONE), entry(sha256=TWO)
    store.write(engine, None, [one, two])
    keys = count(engine, similarity_keys)
    forget(engine, None, one)
    assert 0 < count(engine, similarity_keys) < keys
    forget(engine, None, two)
    assert count(engine, similarity_keys) == 0


def test_forgetting_leaves_the_bare_id(engine):
    one = entry()
    store.write(engine, None, [one])
    forget(engine, None, one)
    assert count(engine, predictions) == count(engine, embeddings) == 0
    with engine.connect() as connection:
        assert connection.scalars(select(forgotten.c.id)).all() == [one.row["id"]]


def test_a_photo_is_kept_once_and_goes_with_the_last_row_that_points_to_it(engine, photos):
    first, again = (entry(sha256=ONE, photo=b"a photo", owner=of) for of in ("clerk", "desk"))
    store.write(engine, photos, [first, entry(sha256=TWO, photo=b"another")])
    store.write(engine, photos, [again])
    assert photos.names() == [ONE, TWO]
    forget(engine, photos, first)
    assert photos.names() == [ONE, TWO]
    forget(engine, photos, again)
    assert photos.names() == [TWO]
    assert count(engine, kept_photos) == 1


def test_a_deletion_that_cannot_be_done_leaves_everything(engine, photos):
    one = entry(sha256=ONE, photo=b"a photo")
    store.write(engine, photos, [one])
    photos.works = False
    with pytest.raises(PhotosUnavailable):
        forget(engine, photos, one)
    with pytest.raises(PhotosUnavailable, match="KEEP_PHOTOS is unset"):
        forget(engine, None, one)
    assert count(engine, predictions) == 1
    assert count(engine, forgotten) == 0
    photos.works = True
    forget(engine, photos, one)
    assert photos.names() == []


def test_the_database_is_not_locked_while_photos_are_written(engine, tmp_path, monkeypatch):
    class Slow(Photos):
        def write(self, sha256, photo):
            with engine.begin() as connection:  # waits for locks until the test is over
                connection.execute(insert(forgotten).values(id=sha256[:32]))
            super().write(sha256, photo)

        has = None  # would be asked under a lock

    store.write(engine, Slow(str(tmp_path)), [entry(sha256=ONE, photo=b"a photo")])
    assert count(engine, forgotten) == 1


@pytest.mark.parametrize("keeps", [True, False])
def test_what_was_forgotten_is_not_stored_again(engine, photos, keeps):
    kept = photos if keeps else None
    one, two = entry(sha256=ONE, photo=b"a photo"), entry(sha256=TWO, photo=b"another")
    store.write(engine, kept, [one])
    forget(engine, kept, one)
    store.write(engine, kept, [one, two])  # the confirmation of the first time was lost
    assert count(engine, predictions) == 1
    assert photos.names() == ([TWO] if keeps else [])


def test_a_photo_that_comes_again_while_its_last_row_is_deleted_is_kept(engine, photos):
    """Whichever is first, the file is there at the end exactly if a row is."""
    for _ in range(10):
        one, again = entry(sha256=ONE, photo=b"a photo"), entry(sha256=ONE, photo=b"a photo")
        store.write(engine, photos, [one])
        threads = [
            threading.Thread(target=store.write, args=(engine, photos, [again])),
            threading.Thread(target=forget, args=(engine, photos, one)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert count(engine, predictions) == 1
        assert photos.names() == [ONE]
        forget(engine, photos, again)
        assert photos.names() == []
