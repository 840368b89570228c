"""A photo that came before is recognised in the database, by the key that it came under."""

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest
from sqlalchemy import insert

from car_damage.perceptual_hash import hash_of, waves
from car_damage.records import seen_before
from car_damage.records.database import writing
from car_damage.records.seen_before import SeenBefore, find_seen_before
from car_damage.records.similarity import stored_keys
from car_damage.records.tables import predictions, similarity_keys
from tests.photo_files import texture

START = datetime(2026, 1, 1, tzinfo=UTC)
CAR = texture(1, 320, 240)


@pytest.fixture
def connection(engine):
    with writing(engine).begin() as connection:
        yield connection


def remember(connection, number, photo, sha256, owner="one"):
    """Write what the service remembers of a photo that came `number` hours after the start."""
    phash = hash_of(waves(photo))
    row = {column.name: column.type.python_type() for column in predictions.columns}
    row |= {"number": number, "id": f"id-{number}", "time": time_of(number), "owner": owner}
    row |= {"sha256": sha256, "phash": phash.tobytes()}
    connection.execute(insert(predictions), row)
    keys = [{"key": key, "owner": owner, "prediction": number} for key in stored_keys(phash)]
    connection.execute(insert(similarity_keys), keys)


def time_of(number):
    return START + timedelta(hours=number)


def find(connection, photo, sha256, owner="one"):
    return find_seen_before(connection, owner, sha256, waves(photo))


def smaller(photo, scale=0.6):
    return cv2.resize(photo, None, None, scale, scale, cv2.INTER_AREA)


def test_a_photo_that_never_came_was_not_seen(connection):
    assert find(connection, CAR, "a") is None
    remember(connection, 1, texture(2), "b")
    assert find(connection, CAR, "a") is None


def test_the_same_file_is_exact_and_counted_with_its_first_and_last_time(connection):
    for number in (1, 2, 3):
        remember(connection, number, CAR, "a")

    assert find(connection, CAR, "a") == SeenBefore("exact", 3, time_of(1), time_of(3), "id-3")


def test_a_smaller_photo_is_similar(connection):
    remember(connection, 1, texture(2), "b")
    remember(connection, 2, CAR, "a")

    found = find(connection, smaller(CAR), "c")

    assert found == SeenBefore("similar", 1, time_of(2), time_of(2), "id-2")


def test_exact_and_similar_photos_are_counted_together(connection):
    remember(connection, 1, smaller(CAR), "c")
    remember(connection, 2, CAR, "a")
    remember(connection, 3, smaller(CAR, 0.7), "d")

    assert find(connection, CAR, "a") == SeenBefore("exact", 3, time_of(1), time_of(3), "id-3")


@pytest.mark.parametrize("sha256", ["a", "c"], ids=["exact", "similar"])
def test_a_key_sees_only_what_came_under_it_and_administrators_see_all(connection, sha256):
    remember(connection, 1, CAR, "a", owner="another")

    assert find(connection, CAR, sha256) is None
    assert find(connection, CAR, sha256, owner="another").times == 1
    assert find(connection, CAR, sha256, owner=None).times == 1


def test_a_photo_sent_very_often_is_counted_and_few_copies_are_compared(connection, monkeypatch):
    monkeypatch.setattr(seen_before, "NEWEST", 5)
    seen_before._buckets.cache_clear()
    for number in range(1, 21):
        remember(connection, number, CAR, "a")

    exact = find(connection, CAR, "a")
    similar = find(connection, smaller(CAR), "b")
    seen_before._buckets.cache_clear()

    assert exact == SeenBefore("exact", 20, time_of(1), time_of(20), "id-20")
    assert similar == SeenBefore("similar", 5, time_of(16), time_of(20), "id-20")


def test_only_photos_in_the_most_buckets_are_compared(connection, monkeypatch):
    compared = []
    monkeypatch.setattr(seen_before, "COMPARED", 3)
    monkeypatch.setattr(
        seen_before,
        "are_similar",
        lambda _, others: compared.append(len(others)) or np.zeros(len(others), bool),
    )
    for number in range(1, 6):
        remember(connection, number, CAR, "a")

    assert find(connection, CAR, "b") is None
    assert compared == [3]


def test_a_deleted_photo_was_not_seen_even_if_its_keys_are_still_there(connection):
    remember(connection, 1, CAR, "a")
    connection.execute(predictions.delete())

    assert find(connection, CAR, "a") is None
