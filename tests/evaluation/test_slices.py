"""Parts of the test set that are measured separately."""

import numpy as np
import pytest

from car_damage.evaluation.slices import data_folders, raw_folders, slices
from tests.images import row, split_of


def rows_of(found):
    return {title: np.flatnonzero(rows).tolist() for title, rows in found.items()}


def grey(*levels):
    return np.stack([np.full((8, 8, 3), level, np.uint8) for level in levels])


def test_a_raw_folders_name_is_the_path_before_the_class_folder():
    rows = [
        row(0, "damaged", "/photos/whole-cars/damaged/a.jpg"),
        row(1, "not-damaged", "/photos/whole-cars/not-damaged/b.jpg"),
        row(2, "not-damaged", "/photos/more-cars/not-damaged/dealers/c.jpg"),
        row(3, "damaged", "/photos/more-cars/damaged/parts/d.jpg"),
    ]
    assert rows_of(raw_folders(rows)) == {"more-cars": [2, 3], "whole-cars": [0, 1]}


@pytest.mark.parametrize("last", ["not-damaged/c.jpg", "damaged/c.jpg"])
def test_a_single_raw_folder_is_not_a_slice(last):
    paths = ["damaged/front/a.jpg", "damaged/rear/b.jpg", last]
    assert raw_folders([row(at, "", f"/raw/{path}") for at, path in enumerate(paths)]) == {}


def test_class_folders_are_recognised_in_all_spellings_and_in_the_kaggle_set():
    rows = [
        row(0, "damaged", "/cache/training/00-damage/a.jpg"),
        row(1, "not-damaged", "/cache/validation/01-whole/b.jpg"),
        row(2, "not-damaged", "/cache/more/Undamaged/c.jpg"),
    ]
    assert rows_of(raw_folders(rows)) == {"more": [2], "training": [0], "validation": [1]}


def test_data_folder_names_start_where_their_paths_differ():
    rows = [
        row(0, "damaged", "/cars/damaged/front/a.jpg"),
        row(1, "damaged", "/cars/damaged/rear/b.jpg"),
        row(2, "not-damaged", "/cars/not-damaged/c.jpg"),
    ]
    assert rows_of(data_folders(rows, rows)) == {
        "damaged/front": [0],
        "damaged/rear": [1],
        "not-damaged": [2],
    }


@pytest.mark.parametrize(
    ("paths", "among", "names"),
    [
        (["/cars/damaged/dents/a.jpg"], [], ["dents"]),  # alone
        (
            ["/cars/more/damaged/dents/a.jpg"],
            ["/cars/whole/not-damaged/b.jpg"],
            ["more/damaged/dents"],
        ),
    ],
)
def test_a_data_folders_name_depends_on_all_folders_of_the_data_set(paths, among, names):
    rows, others = ([row(0, "", path) for path in each] for each in (paths, among))
    assert list(data_folders(rows, rows + others)) == names


def test_relative_and_absolute_folders_can_be_mixed():
    rows = [row(0, "damaged", "raw/damaged/a.jpg"), row(1, "not-damaged", "/x/not-damaged/b.jpg")]
    assert len(data_folders(rows, rows)) == 2


def test_dark_and_bright_photos_are_outside_the_limits():
    rows = [row(number, "damaged") for number in range(4)]
    found = slices(split_of(rows, grey(69, 70, 169, 170)))
    assert rows_of(found) == {"dark": [0], "bright": [3]}


def test_green_is_brighter_than_blue():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, :, :, 1] = images[1, :, :, 2] = 255
    found = slices(split_of([row(0, "damaged"), row(1, "damaged")], images))
    assert rows_of(found) == {"dark": [1]}


@pytest.mark.parametrize("sides", [(199, 800), (800, 199)])
def test_small_photos_have_a_short_side_below_the_limit(sides):
    rows = [row(0, "damaged", width=sides[0], height=sides[1]), row(1, "damaged", height=200)]
    assert rows_of(slices(split_of(rows, grey(128, 128)))) == {"small": [0]}


def test_crops_are_a_separate_slice_and_in_no_other():
    rows = [
        row(0, "damaged", "/photos/whole-cars/damaged/a.jpg"),
        row(1, "not-damaged", "/photos/more-cars/not-damaged/b.jpg"),
        row(2, "not-damaged", "/photos/more-cars/not-damaged/b.jpg", "close_up", height=100),
    ]
    assert rows_of(slices(split_of(rows, grey(128, 128, 10)))) == {
        "more-cars": [1],
        "whole-cars": [0],
        "crops of undamaged cars": [2],
    }
