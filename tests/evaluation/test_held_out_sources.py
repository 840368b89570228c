"""Sources held out whole: who trains on them, who is measured on them, and what is reported."""

from pathlib import Path

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset, Split
from car_damage.errors import UserError
from car_damage.evaluation.held_out_sources import held_out_metrics, leave_out
from car_damage.manifest import Estimate, Metrics, MetricSet, TrainingSettings
from tests import tiny_model
from tests.images import config_of, row, split_of

FINGERPRINT = "of this data set"


def split(name: str, photos: list[tuple[str, str, str]]) -> Split:
    """Photos given as (folder below `raw`, group, kind); the image's value is its place."""
    rows = [
        row(at, folder.split("/")[0], f"raw/{folder}/{at}.jpg", kind, split=name, group=group)
        for at, (folder, group, kind) in enumerate(photos)
    ]
    return split_of(rows, np.arange(len(rows), dtype=np.uint8)[:, None, None, None])


@pytest.fixture
def dataset():
    both = [
        ("not-damaged/dealers", "a", "photo"),
        ("not-damaged/dealers", "a", "close_up"),
        ("not-damaged/roads", "b", "photo"),
        ("damaged/dents", "c", "photo"),
        ("damaged/crashes/old", "d", "photo"),
    ]
    copy = ("not-damaged/roads", "a", "photo")  # of a dealer's photo
    test = [("not-damaged/dealers", "e", "photo"), both[3]]
    splits = split("train", [*both, copy]), split("val", both), split("test", test)
    return Dataset(*splits, config_of())


def folders(part: Split) -> list[str]:
    return [row.path.split("/", 1)[1].rsplit("/", 1)[0] for row in part.rows]


def test_without_folders_nothing_is_left_out(dataset):
    assert leave_out(dataset, []) is dataset


def test_a_folder_left_out_is_tested_on_whole_and_never_trained_on_nor_are_its_copies(dataset):
    part = leave_out(dataset, ["dealers"])
    assert folders(part.test) == ["not-damaged/dealers"] * 3
    assert "not-damaged/dealers" not in folders(part.train) + folders(part.val)
    assert "a" not in {row.group for row in part.train.rows}  # a copy in another folder
    assert {row.kind for row in part.train.rows + part.test.rows} == {"photo"}  # and no crop


def test_images_labels_and_rows_stay_together(dataset):
    part = leave_out(dataset, ["dealers"])
    for one in (part.train, part.val, part.test):
        assert [f"{image.item()}.jpg" for image in one.X] == [
            Path(row.path).name for row in one.rows
        ]
        assert one.y.tolist() == [row.label == "damaged" for row in one.rows]


def test_a_name_means_whole_folder_names_and_all_below_them(dataset):
    assert folders(leave_out(dataset, ["damaged/crashes"]).test) == ["damaged/crashes/old"] * 2
    with pytest.raises(UserError, match="crash"):
        leave_out(dataset, ["crash"])


def test_a_class_that_would_vanish_from_training_is_refused(dataset):
    with pytest.raises(UserError, match="a class"):
        leave_out(dataset, ["dents", "crashes"])


def version(models, name, graph=b"", fingerprint=FINGERPRINT, leave_out=("dealers",), **changes):
    accuracy = Estimate(value=2 / 3, low=0.1, high=1.0)
    how = {"epochs": 1, "sides": (64,), "learning_rate": 1, "batch_size": 8, "seed": 0}
    settings = TrainingSettings(unfreeze="all", leave_out=leave_out, **how)
    return tiny_model.add_version(
        models,
        graph,
        name,
        settings=settings,
        dataset=config_of(fingerprint=fingerprint),
        metrics=Metrics(data_folders={"dealers": MetricSet(count=len(name), accuracy=accuracy)}),
        **changes,
    )


def test_a_version_reports_how_the_newest_other_did_on_what_it_never_saw(tmp_path):
    for name in ("20261102-0900-0002", "20261101-0900-0001"):
        version(tmp_path, name)
    found = held_out_metrics(tmp_path, "tiny", FINGERPRINT)["dealers"]
    assert (found.version, found.count) == ("20261102-0900-0002", 18)


@pytest.mark.parametrize(
    "other", [{"backbone": "mobilenetv2"}, {"fingerprint": "another"}, {"leave_out": ()}]
)
def test_versions_of_another_kind_do_not_count(tmp_path, other):
    version(tmp_path, "20261101-0900-0001", **other)
    assert held_out_metrics(tmp_path, "tiny", FINGERPRINT) is None


def test_a_broken_version_is_passed_over(tmp_path):
    name = version(tmp_path, "20261101-0900-0001")
    (tmp_path / name / "model.tflite").write_bytes(b"changed")
    assert held_out_metrics(tmp_path, "tiny", FINGERPRINT) is None
