"""Photos that an earlier model has learnt are not used for validation or testing."""

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.dataset.views import without_learnt
from car_damage.errors import UserError
from tests.images import config_of, split_of


def split(name: str, first: int) -> Split:
    """Four photos of both classes, the first two of them copies, and a crop of the last."""
    rows = [
        Row(name, at, label, kind, f"{first + at}.jpg", "", group, 64, 64, sha256, "")
        for at, (label, kind, group, sha256) in enumerate(
            [
                ("damaged", "photo", f"{name}-a", f"{name}-1"),
                ("damaged", "photo", f"{name}-a", f"{name}-2"),
                ("not-damaged", "photo", f"{name}-b", f"{name}-3"),
                ("not-damaged", "photo", f"{name}-c", f"{name}-4"),
                ("not-damaged", "close_up", f"{name}-c", f"{name}-4"),
                ("damaged", "photo", f"{name}-d", f"{name}-5"),
            ]
        )
    ]
    numbers = np.arange(first, first + 6, dtype=np.uint8)[:, None, None, None]
    return split_of(rows, numbers * np.ones((2, 2, 3), np.uint8))


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(split("train", 0), split("val", 10), split("test", 20), config_of())


def test_learnt_photos_go_to_training_with_their_copies_and_crops_and_are_counted(dataset):
    moved, counts = without_learnt(dataset, frozenset({"test-1", "val-4"}))
    assert counts == {"val": 1, "test": 2}
    assert [row.path for row in moved.test.rows] == ["22.jpg", "23.jpg", "24.jpg", "25.jpg"]
    assert [row.path for row in moved.val.rows] == ["10.jpg", "11.jpg", "12.jpg", "15.jpg"]
    assert len(moved.train.rows) == 6 + 2 + 2
    assert {row.split for row in moved.train.rows} == {"train"}


def test_images_labels_and_rows_stay_together(dataset):
    moved, _ = without_learnt(dataset, frozenset({"test-1", "val-4"}))
    for one in (moved.train, moved.val, moved.test):
        assert [f"{int(image[0, 0, 0])}.jpg" for image in one.X] == [row.path for row in one.rows]
        assert one.y.tolist() == [row.label == "damaged" for row in one.rows]
        assert np.array_equal(one.X[[0, 2]], np.stack([one.X[0], one.X[2]]))
        assert one.X[:0].shape == (0, 2, 2, 3)


def test_a_data_set_without_learnt_photos_does_not_change(dataset):
    assert without_learnt(dataset, frozenset({"train-1", "elsewhere"})) == (dataset, {})


def test_rejects_a_model_that_has_learnt_all_test_photos(dataset):
    with pytest.raises(UserError, match="no photos are left in the test split"):
        without_learnt(dataset, frozenset(f"test-{number}" for number in range(9)))
