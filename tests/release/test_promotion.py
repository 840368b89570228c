"""When a new version comes into use. The current one takes red photos for damaged; half are."""

import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from car_damage import model_store
from car_damage.dataset.arrays import Dataset, Row, Split
from car_damage.decision import Decision
from car_damage.release.export import Exported
from car_damage.release.promotion import promote
from tests import tiny_model
from tests.images import config_of, outputs_of

PHOTOS = 400
NEW = "20260312-0900-0b2c"


def row(number: int, label: str, path: str) -> Row:
    return Row("test", number, label, "photo", path, f"g{number}", 120, 80, f"sha{number}", "")


@pytest.fixture
def dataset(tmp_path):
    """Test photos on disk and as images, red ones damaged."""
    images, rows = [], []
    for number in range(PHOTOS):
        red = number % 2 == 1
        photo = tiny_model.plain_photo(red)
        path = tmp_path / f"{'red' if red else 'blue'}.png"
        path.write_bytes(cv2.imencode(".png", photo[:, :, ::-1])[1].tobytes())
        images.append(photo[: tiny_model.SIZE, : tiny_model.SIZE])
        rows.append(row(number, "damaged" if red else "not-damaged", str(path)))
    labels = np.arange(PHOTOS, dtype=np.uint8) % 2
    test = Split(np.stack(images), labels, rows)
    return Dataset(test, test, test, config_of(size=tiny_model.SIZE))


@pytest.fixture
def models(tmp_path, tiny_graph):
    """A current version that decides every photo alone, and a new one."""
    models = tmp_path / "models"
    tiny_model.add_version(models, tiny_graph, files={"trained_on.txt": b"another"})
    tiny_model.add_version(models, tiny_graph, NEW)
    model_store.use(models, tiny_model.VERSION)
    return models


def new_version(dataset, wrong: int = 0, unsure: int = 0) -> Exported:
    """What a new version gives that is wrong, or sends to a person, so many test photos."""
    logits = np.where(dataset.test.y == 1, 5.0, -5.0)
    logits[:wrong] *= -1
    logits[len(logits) - unsure :] /= 50
    outputs = outputs_of(logits)
    decision = Decision(temperature=1.0, threshold=0.5, review_band=(0.4, 0.6))
    return Exported(decision, outputs, outputs, None)


def first(dataset: Dataset, photos: int) -> Dataset:
    """The data set with this many of its test photos."""
    test = dataset.test
    fewer = Split(test.X[:photos], test.y[:photos], test.rows[:photos])
    return Dataset(fewer, fewer, fewer, dataset.config)


def test_a_new_version_that_is_surely_as_good_comes_into_use(models, dataset):
    said = promote(models, NEW, new_version(dataset, wrong=2, unsure=4), dataset, "auto")
    assert model_store.current(models) == NEW
    assert f"on 400 test photos that neither was trained on, {NEW} is right on 398" in said
    assert "they decide 99% and 100%" in said


def test_a_version_with_five_more_mistakes_of_twenty_does_not(models, dataset):
    twenty = first(dataset, 20)
    said = promote(models, NEW, new_version(twenty, wrong=5), twenty, "auto")
    assert model_store.current(models) == tiny_model.VERSION
    assert "it looks worse" in said
    assert f"python -m car_damage.model_store use {NEW}" in said


def test_a_version_that_decides_hardly_any_photo_alone_does_not(models, dataset):
    said = promote(models, NEW, new_version(dataset, unsure=316), dataset, "auto")
    assert model_store.current(models) == tiny_model.VERSION
    assert "they decide 21% and 100%" in said
    assert "it looks worse" in said


def test_the_included_version_stays_where_it_is_clearly_better(models, dataset):
    (models / "current").unlink()
    (models / "pretrained").mkdir()
    (models / tiny_model.VERSION).rename(models / "pretrained" / tiny_model.VERSION)
    promote(models, NEW, new_version(dataset, wrong=12), dataset, "auto")
    assert model_store.current(models) == tiny_model.VERSION


def test_where_the_photos_are_too_few_the_current_one_stays_and_it_is_said_how_many_are_needed(
    models, dataset
):
    few = first(dataset, 40)
    said = promote(models, NEW, new_version(few), few, "auto")
    assert model_store.current(models) == tiny_model.VERSION
    needed = int(re.search(r"too few photos.*about (\d+) are needed", said)[1])
    assert 40 < needed < 400
    enough = first(dataset, needed)
    promote(models, NEW, new_version(enough), enough, "auto")
    assert model_store.current(models) == NEW


def test_photos_that_the_current_version_has_learnt_do_not_count(tmp_path, tiny_graph, dataset):
    models = tmp_path / "other"
    learnt = "\n".join(row.sha256 for row in dataset.test.rows[:100])
    model_store.use(
        models,
        tiny_model.add_version(models, tiny_graph, files={"trained_on.txt": learnt.encode()}),
    )
    tiny_model.add_version(models, tiny_graph, NEW)
    said = promote(models, NEW, new_version(dataset, wrong=100), dataset, "auto")
    assert "on 300 test photos" in said
    assert model_store.current(models) == NEW


def test_a_version_of_which_nobody_knows_what_it_learnt_is_not_compared(
    tmp_path, tiny_graph, dataset
):
    models = tmp_path / "other"
    model_store.use(models, tiny_model.add_version(models, tiny_graph))
    tiny_model.add_version(models, tiny_graph, NEW)
    said = promote(models, NEW, new_version(dataset), dataset, "auto")
    assert "it is not known which photos" in said
    assert model_store.current(models) == tiny_model.VERSION


def test_a_current_version_of_another_size_is_measured_on_the_photos_themselves(models, dataset):
    other_size = replace(dataset, config=config_of(size=64))
    promote(models, NEW, new_version(dataset, wrong=12), other_size, "auto")
    assert model_store.current(models) == tiny_model.VERSION


def test_where_those_photos_are_gone_nothing_changes_and_the_way_to_use_it_is_said(models, dataset):
    (models.parent / "red.png").unlink()
    said = promote(
        models, NEW, new_version(dataset), replace(dataset, config=config_of(size=64)), "auto"
    )
    assert model_store.current(models) == tiny_model.VERSION
    assert f"use {NEW}" in said


def test_a_current_version_that_is_damaged_does_not_lose_the_new_one(models, dataset):
    (models / tiny_model.VERSION / "model.tflite").write_bytes(b"")
    said = promote(models, NEW, new_version(dataset), dataset, "auto")
    assert "was not compared" in said
    assert NEW in model_store.versions(models)


@pytest.mark.parametrize(("rule", "current"), [("always", NEW), ("never", tiny_model.VERSION)])
def test_the_rule_can_be_overridden(models, dataset, rule, current):
    promote(models, NEW, new_version(dataset, wrong=12), dataset, rule)
    assert model_store.current(models) == current


def test_the_first_version_comes_into_use(models, dataset):
    (models / "current").unlink()
    shutil.rmtree(models / tiny_model.VERSION)
    promote(models, NEW, new_version(dataset, wrong=20), dataset, "auto")
    assert model_store.current(models) == NEW
