"""Sources held out whole: who trains on them, who is measured on them, and what is reported."""

import json

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.errors import UserError
from car_damage.evaluation.held_out_sources import leave_out, left_out_figures

DATA = {"fingerprint": "of this data set"}


def split(name: str, photos: list[tuple[str, str, str, str]]) -> Split:
    """Photos given as (folder below `raw`, label, group, kind); the image's value is its place."""
    rows = [
        Row(name, at, label, kind, f"raw/{folder}/{at}.jpg", group, 64, 64, "", "")
        for at, (folder, label, group, kind) in enumerate(photos)
    ]
    images = np.arange(len(rows), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3))
    labels = np.array([row.label == "damaged" for row in rows], np.uint8)
    return Split(images.astype(np.uint8), labels, rows)


@pytest.fixture
def dataset():
    both = [
        ("not-damaged/dealers", "not-damaged", "a", "photo"),
        ("not-damaged/dealers", "not-damaged", "a", "close_up"),
        ("not-damaged/roads", "not-damaged", "b", "photo"),
        ("damaged/dents", "damaged", "c", "photo"),
        ("damaged/crashes/old", "damaged", "d", "photo"),
    ]
    copy = ("not-damaged/roads", "not-damaged", "a", "photo")  # of a dealer's photo
    test = [("not-damaged/dealers", "not-damaged", "e", "photo"), both[3]]
    return Dataset(split("train", [*both, copy]), split("val", both), split("test", test), DATA)


def folders(part: Split) -> list[str]:
    return [row.path.split("/", 1)[1].rsplit("/", 1)[0] for row in part.rows]


def test_without_folders_nothing_is_left_out(dataset):
    assert leave_out(dataset, []) is dataset


def test_a_folder_left_out_is_tested_on_whole_and_never_trained_on(dataset):
    part = leave_out(dataset, ["dealers"])
    assert folders(part.test) == ["not-damaged/dealers"] * 3
    assert "not-damaged/dealers" not in folders(part.train) + folders(part.val)


def test_copies_of_its_photos_in_other_folders_leave_training_too(dataset):
    part = leave_out(dataset, ["dealers"])
    assert "a" not in {row.group for row in part.train.rows}


def test_crops_cut_out_of_its_photos_are_neither_trained_nor_tested_on(dataset):
    part = leave_out(dataset, ["dealers"])
    assert {row.kind for row in part.train.rows + part.test.rows} == {"photo"}


def test_squares_labels_and_rows_stay_together(dataset):
    part = leave_out(dataset, ["dealers"])
    for one in (part.train, part.val, part.test):
        assert [int(image[0, 0, 0]) for image in one.X] == [row.row for row in one.rows]
        assert one.y.tolist() == [row.label == "damaged" for row in one.rows]


def test_a_name_means_whole_folder_names_and_all_below_them(dataset):
    assert folders(leave_out(dataset, ["damaged/crashes"]).test) == ["damaged/crashes/old"] * 2
    with pytest.raises(UserError, match="crash"):
        leave_out(dataset, ["crash"])


def test_a_class_that_would_vanish_from_training_is_refused(dataset):
    with pytest.raises(UserError, match="a class"):
        leave_out(dataset, ["dents", "crashes"])


def version(models, name, backbone="tiny", fingerprint=DATA["fingerprint"], leave_out=("dealers",)):
    folder = models / name
    folder.mkdir(parents=True)
    folders = {"dealers": {"count": 3, "accuracy": {"value": 2 / 3, "low": 0.1, "high": 1.0}}}
    about = {
        "version": name,
        "size": 64,
        "fit": "squeeze",
        "temperature": 1.0,
        "threshold": 0.5,
        "backbone": backbone,
        "settings": {"leave_out": list(leave_out)},
        "data": {"fingerprint": fingerprint},
        "figures": {"data_folders": folders},
        "files": {
            "model.tflite": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        },
    }
    (folder / "model.tflite").touch()
    (folder / "model.json").write_text(json.dumps(about))


def test_a_version_reports_how_others_did_on_what_they_never_saw(dataset, tmp_path):
    version(tmp_path, "20261101-0900-0001")

    left_out = left_out_figures(tmp_path, {"backbone": "tiny"}, dataset)["left_out"]

    assert left_out["dealers"]["version"] == "20261101-0900-0001"
    assert left_out["dealers"]["count"] == 3


@pytest.mark.parametrize(
    "other", [{"backbone": "mobilenetv2"}, {"fingerprint": "another"}, {"leave_out": ()}]
)
def test_versions_of_another_kind_do_not_count(dataset, tmp_path, other):
    version(tmp_path, "20261101-0900-0001", **other)
    assert left_out_figures(tmp_path, {"backbone": "tiny"}, dataset) == {}


def test_a_broken_version_is_passed_over(dataset, tmp_path):
    version(tmp_path, "20261101-0900-0001")
    (tmp_path / "20261101-0900-0001/model.tflite").write_bytes(b"changed")
    assert left_out_figures(tmp_path, {"backbone": "tiny"}, dataset) == {}
