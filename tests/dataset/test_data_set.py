"""Properties of every data set: one made here, and the user's own if there is one."""

from collections import defaultdict

import numpy as np
import pytest

from car_damage.dataset.arrays import SPLITS, load
from car_damage.dataset.find import LABELS, find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.paths import PROCESSED, SAMPLE_PROCESSED
from tests.photo_files import write_raw_dir

MADE_HERE = "made here"


@pytest.fixture(
    scope="module",
    params=[MADE_HERE, *(folder for folder in (PROCESSED, SAMPLE_PROCESSED) if folder.exists())],
    ids=str,
)
def dataset(request, tmp_path_factory):
    if request.param != MADE_HERE:
        return load(request.param)
    folder = tmp_path_factory.mktemp("data")
    raw_dir = write_raw_dir(folder / "raw", per_class=30)
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    settings = Settings(64, 64, close_ups=2, shares=shares, seed=1)
    prepare(find_photos([raw_dir]), folder / "processed", settings)
    return load(folder / "processed")


@pytest.fixture(scope="module")
def rows(dataset):
    return [row for name in SPLITS for row in getattr(dataset, name).rows]


@pytest.mark.parametrize("shared", ["group", "sha256", "path"])
def test_nothing_of_one_split_is_in_another(rows, shared):
    splits = defaultdict(set)
    for row in rows:
        splits[getattr(row, shared)].add(row.split)
    assert {len(where) for where in splits.values()} == {1}


@pytest.mark.parametrize("name", SPLITS)
def test_arrays_and_table_of_a_split_agree_and_have_photos_of_both_classes(dataset, name):
    split, size = getattr(dataset, name), dataset.config.size
    assert split.X.dtype == split.y.dtype == np.uint8
    assert split.X.shape == (len(split.rows), size, size, 3)
    assert [LABELS[label] for label in split.y] == [row.label for row in split.rows]
    assert [row.row for row in split.rows] == list(range(len(split.rows)))
    assert set(split.y[split.of_kind("photo")]) == {0, 1}


def test_close_ups_are_undamaged_and_cut_out_of_photos_of_their_own_split(dataset, rows):
    photos = [row for row in rows if row.kind == "photo" and row.label == "not-damaged"]
    expected = [(row.path, row.split) for row in photos for _ in range(dataset.config.close_ups)]
    close_ups = [row for row in rows if row.kind == "close_up"]
    assert {row.label for row in close_ups} <= {"not-damaged"}
    assert [(row.path, row.split) for row in close_ups] == expected


def test_no_square_is_blank(dataset):
    """A plain image is a row that was never written, or a photo that says nothing."""
    for name in SPLITS:
        assert all(np.ptp(image) > 10 for image in getattr(dataset, name).X)
