"""When a new version comes into use. The current one takes red photos for damaged; half are."""

import shutil

import cv2
import numpy as np
import pytest

from car_damage import model_store
from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.evaluation.calibration import Calibration
from car_damage.release.export import Exported
from car_damage.release.promotion import promote
from tests import tiny_model
from tests.images import outputs_of

PHOTOS = 40
NEW = "20260312-0900-0b2c"


def row(number: int, label: str, path: str) -> Row:
    return Row("test", number, label, "photo", path, f"g{number}", 120, 80, "", "")


@pytest.fixture
def dataset(tmp_path):
    """Test photos on disk and as images, red ones damaged."""
    images, rows = [], []
    for number in range(PHOTOS):
        red = number % 2 == 1
        photo = tiny_model.plain_photo(red)
        path = tmp_path / f"{number}.png"
        path.write_bytes(cv2.imencode(".png", photo[:, :, ::-1])[1].tobytes())
        images.append(photo[: tiny_model.SIZE, : tiny_model.SIZE])
        rows.append(row(number, "damaged" if red else "not-damaged", str(path)))
    labels = np.arange(PHOTOS, dtype=np.uint8) % 2
    test = Split(np.stack(images), labels, rows)
    return Dataset(test, test, test, {"size": tiny_model.SIZE, "fit": "squeeze"})


@pytest.fixture
def with_new(models, tiny_graph):
    tiny_model.add_version(models, tiny_graph, NEW)
    return models


def answering(dataset, wrong: int) -> Exported:
    """A new version that is wrong on so many test photos."""
    right = np.where(dataset.test.y == 1, 5.0, -5.0)
    right[:wrong] *= -1
    outputs = outputs_of(right)
    return Exported("int8", Calibration(1.0, 0.5), (0.5, 0.5), outputs, outputs, {})


def test_a_new_version_that_is_as_good_comes_into_use(with_new, dataset):
    said = promote(with_new, NEW, answering(dataset, wrong=0), dataset, "auto")
    assert model_store.current(with_new) == NEW
    assert "p = 1.000" in said


def test_a_little_worse_is_a_tie_and_goes_to_the_new_one(with_new, dataset):
    promote(with_new, NEW, answering(dataset, wrong=3), dataset, "auto")
    assert model_store.current(with_new) == NEW


def test_the_current_version_stays_where_it_is_clearly_better(with_new, dataset):
    said = promote(with_new, NEW, answering(dataset, wrong=12), dataset, "auto")
    assert model_store.current(with_new) == tiny_model.VERSION
    assert "12 only the current one" in said


def test_the_included_version_stays_where_it_is_clearly_better(with_new, dataset):
    (with_new / "current").unlink()
    (with_new / "pretrained").mkdir()
    (with_new / tiny_model.VERSION).rename(with_new / "pretrained" / tiny_model.VERSION)
    promote(with_new, NEW, answering(dataset, wrong=12), dataset, "auto")
    assert model_store.current(with_new) == tiny_model.VERSION


def test_a_current_version_of_another_size_is_measured_on_the_photos_themselves(with_new, dataset):
    dataset.about["size"] = 64
    promote(with_new, NEW, answering(dataset, wrong=12), dataset, "auto")
    assert model_store.current(with_new) == tiny_model.VERSION


def test_where_those_photos_are_gone_nothing_changes_and_the_way_out_is_said(with_new, dataset):
    dataset.about["size"] = 64
    (with_new.parent / "0.png").unlink()
    said = promote(with_new, NEW, answering(dataset, wrong=0), dataset, "auto")
    assert model_store.current(with_new) == tiny_model.VERSION
    assert f"use {NEW}" in said


def test_a_current_version_that_is_damaged_does_not_lose_the_new_one(with_new, dataset):
    (with_new / tiny_model.VERSION / "model.tflite").write_bytes(b"")
    said = promote(with_new, NEW, answering(dataset, wrong=0), dataset, "auto")
    assert "was not compared" in said
    assert NEW in model_store.versions(with_new)


@pytest.mark.parametrize(("rule", "current"), [("always", NEW), ("never", tiny_model.VERSION)])
def test_the_rule_can_be_overridden(with_new, dataset, rule, current):
    promote(with_new, NEW, answering(dataset, wrong=12), dataset, rule)
    assert model_store.current(with_new) == current


def test_the_first_version_comes_into_use(with_new, dataset):
    (with_new / "current").unlink()
    shutil.rmtree(with_new / tiny_model.VERSION)
    promote(with_new, NEW, answering(dataset, wrong=20), dataset, "auto")
    assert model_store.current(with_new) == NEW
