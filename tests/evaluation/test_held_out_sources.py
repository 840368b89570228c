"""Training without some sources and testing on them."""

from pathlib import Path

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset, Split
from car_damage.errors import UserError
from car_damage.evaluation.held_out_sources import leave_out
from tests.images import config_of, row, split_of


def split(name: str, photos: list[tuple[str, str, str, str]]) -> Split:
    """Photos given as (label, source, group, kind); the image's value is its place."""
    rows = [
        row(at, label, f"{at}.jpg", kind, split=name, source=source, group=group)
        for at, (label, source, group, kind) in enumerate(photos)
    ]
    return split_of(rows, np.arange(len(rows), dtype=np.uint8)[:, None, None, None])


@pytest.fixture
def dataset():
    both = [
        ("not-damaged", "dealers", "a", "photo"),
        ("not-damaged", "dealers", "a", "close_up"),
        ("not-damaged", "roads", "b", "photo"),
        ("damaged", "dents", "c", "photo"),
        ("damaged", "crashes", "d", "photo"),
    ]
    copy = ("not-damaged", "roads", "a", "photo")  # of a dealer's photo
    test = [("not-damaged", "dealers", "e", "photo"), both[3]]
    splits = split("train", [*both, copy]), split("val", both), split("test", test)
    return Dataset(*splits, config_of())


def sources(part: Split) -> list[str]:
    return [row.source for row in part.rows]


def test_nothing_is_left_out_without_sources(dataset):
    assert leave_out(dataset, []) is dataset


def test_a_source_left_out_and_its_copies_are_not_in_training(dataset):
    part = leave_out(dataset, ["dealers"])
    assert set(sources(part.test)) == {"dealers"}
    assert sources(part.train) == sources(part.val) == ["roads", "dents", "crashes"]
    assert "a" not in {row.group for row in part.train.rows}  # a copy from another source
    assert {row.kind for row in part.train.rows + part.test.rows} == {"photo"}  # and no crop


def test_the_original_test_photos_are_not_used(dataset):
    part = leave_out(dataset, ["dents", "dealers"])
    assert sorted(sources(part.test)) == ["dealers", "dealers", "dents", "dents"]
    assert "e" not in {row.group for each in (part.train, part.val, part.test) for row in each.rows}


def test_images_labels_and_rows_stay_together(dataset):
    part = leave_out(dataset, ["dealers"])
    for one in (part.train, part.val, part.test):
        assert [f"{image.item()}.jpg" for image in one.X] == [
            Path(row.path).name for row in one.rows
        ]
        assert one.y.tolist() == [row.label == "damaged" for row in one.rows]


def test_an_unknown_source_is_refused_and_the_known_ones_are_listed(dataset):
    with pytest.raises(UserError, match=r"source crash\. .* crashes, dealers, dents, roads"):
        leave_out(dataset, ["dents", "crash"])


def test_leaving_out_all_photos_of_a_class_is_refused(dataset):
    with pytest.raises(UserError, match="no damaged photo to train on"):
        leave_out(dataset, ["dents", "crashes"])
