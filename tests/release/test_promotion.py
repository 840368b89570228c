"""Promotion of a new version. The current one classifies red photos as damaged; half are red."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from car_damage import model_store
from car_damage.dataset.arrays import Dataset
from car_damage.decision import Decision
from car_damage.evaluation.comparison import read_comparison
from car_damage.release.export import Exported
from car_damage.release.promotion import promote
from tests import tiny_model
from tests.images import config_of, outputs_of, row, split_of

PHOTOS = 400
CLASSES = ["not-damaged", "damaged"]
NEW = "20260312-0900-0b2c"


@pytest.fixture
def dataset(tmp_path):
    """Test photos on disk and as images, red ones damaged."""
    photos = [tiny_model.plain_photo(red) for red in (False, True)]
    for photo, name in zip(photos, CLASSES, strict=True):
        cv2.imwrite(str(tmp_path / f"{name}.png"), photo[:, :, ::-1])
    rows = [
        replace(row(number, name, f"{tmp_path}/{name}.png"), sha256=f"sha{number}")
        for number, name in enumerate(CLASSES * (PHOTOS // 2))
    ]
    squares = [photo[: tiny_model.SIZE, : tiny_model.SIZE] for photo in photos]
    test = split_of(rows, np.stack(squares * (PHOTOS // 2)))
    return Dataset(test, test, test, config_of(size=tiny_model.SIZE))


def two_versions(models: Path, graph: bytes, learnt: bytes | None = b"another") -> Path:
    """Add a current version, which needs no person for any photo, and a new one."""
    files = {} if learnt is None else {"trained_on.txt": learnt}
    model_store.use(models, tiny_model.add_version(models, graph, files=files))
    tiny_model.add_version(models, graph, NEW)
    return models


@pytest.fixture
def models(tmp_path, tiny_graph):
    return two_versions(tmp_path / "models", tiny_graph)


def new_version(dataset, wrong: int = 0, unsure: int = 0) -> Exported:
    """A new version that is wrong on `wrong` test photos and unsure about `unsure` of them."""
    logits = np.where(dataset.test.y == 1, 5.0, -5.0)
    logits[:wrong] *= -1
    logits[len(logits) - unsure :] /= 50
    outputs = outputs_of(logits)
    decision = Decision(temperature=1.0, threshold=0.5, review_band=(0.4, 0.6))
    return Exported(decision, outputs, outputs, None)


def first(dataset: Dataset, photos: int) -> Dataset:
    """The data set with this many of its test photos."""
    test = dataset.test
    fewer = split_of(test.rows[:photos], test.X[:photos])
    return Dataset(fewer, fewer, fewer, dataset.config)


def test_a_new_version_that_is_surely_as_good_becomes_current(models, dataset):
    said = promote(models, NEW, new_version(dataset, wrong=2, unsure=4), dataset, "auto")
    assert model_store.current(models) == NEW
    assert f"On 400 test photos that neither was trained on, {NEW} is right on 398" in said
    assert "they decide 99% and 100%" in said
    kept = read_comparison(models / NEW)
    assert kept.current == tiny_model.VERSION
    assert (kept.comparison.photos, kept.comparison.accuracy.new) == (400, 398)


@pytest.mark.parametrize(
    ("photos", "mistakes", "figures"),
    [
        (20, {"wrong": 5}, "is right on 15"),
        (PHOTOS, {"unsure": 316}, "they decide 21% and 100%"),
    ],
)
def test_a_new_version_with_more_mistakes_or_fewer_decisions_does_not_become_current(
    models, dataset, photos, mistakes, figures
):
    part = first(dataset, photos)
    said = promote(models, NEW, new_version(part, **mistakes), part, "auto")
    assert model_store.current(models) == tiny_model.VERSION
    assert figures in said
    assert f"{NEW} looks worse" in said
    assert f"python -m car_damage.model_store --models {models} use {NEW}" in said


def test_the_included_version_stays_current_if_it_is_clearly_better(models, dataset):
    (models / "current").unlink()
    (models / "pretrained").mkdir()
    (models / tiny_model.VERSION).rename(models / "pretrained" / tiny_model.VERSION)
    promote(models, NEW, new_version(dataset, wrong=12), dataset, "auto")
    assert model_store.current(models) == tiny_model.VERSION


def test_with_too_few_photos_nothing_changes_and_the_message_says_how_many(models, dataset):
    few = first(dataset, 40)
    said = promote(models, NEW, new_version(few), few, "auto")
    assert model_store.current(models) == tiny_model.VERSION
    needed = int(re.search(r"too few photos.*about (\d+) are needed", said)[1])
    assert 40 < needed < 400
    enough = first(dataset, needed)
    promote(models, NEW, new_version(enough), enough, "auto")
    assert model_store.current(models) == NEW


def test_training_photos_of_the_current_version_do_not_count(tmp_path, tiny_graph, dataset):
    learnt = "\n".join(row.sha256 for row in dataset.test.rows[:100]).encode()
    models = two_versions(tmp_path, tiny_graph, learnt)
    said = promote(models, NEW, new_version(dataset, wrong=100), dataset, "auto")
    assert "On 300 test photos" in said
    assert model_store.current(models) == NEW


def with_feedback(dataset: Dataset, photos: int) -> Dataset:
    """The data set, where the last photos of the test are labelled photos from the service."""
    test = dataset.test
    split_at = len(test.rows) - photos
    rows = [
        each if at < split_at else replace(each, path=f"/raw/{each.label}/feedback/7-{at:064x}.jpg")
        for at, each in enumerate(test.rows)
    ]
    labelled = split_of(rows, test.X)
    return Dataset(labelled, labelled, labelled, dataset.config)


def wrong_on_feedback(dataset: Dataset, wrong: int) -> Exported:
    """A new version that is wrong on some labelled photos only."""
    logits = np.where(dataset.test.y == 1, 5.0, -5.0)
    logits[len(logits) - wrong :] *= -1
    outputs = outputs_of(logits)
    return Exported(Decision(temperature=1.0, threshold=0.5), outputs, outputs, None)


def test_labelled_photos_are_compared_apart_and_both_comparisons_must_pass(models, dataset):
    dataset = with_feedback(dataset, 100)
    said = promote(models, NEW, wrong_on_feedback(dataset, 0), dataset, "auto")
    assert "On 300 test photos that neither was trained on" in said
    assert f"On 100 held-out labelled photos from the service, {NEW} is right on 100" in said
    assert model_store.current(models) == NEW
    assert read_comparison(models / NEW).feedback.photos == 100


def test_a_new_version_that_is_worse_on_labelled_photos_does_not_become_current(models, dataset):
    dataset = with_feedback(dataset, 100)
    said = promote(models, NEW, wrong_on_feedback(dataset, 1), dataset, "auto")
    assert f"{NEW} is right on 99 and {tiny_model.VERSION} on 100" in said
    assert f"{NEW} looks worse on the labelled photos, so {tiny_model.VERSION} stays" in said
    assert model_store.current(models) == tiny_model.VERSION


def test_too_few_labelled_photos_do_not_count_and_the_message_says_so(models, dataset):
    dataset = with_feedback(dataset, 29)
    said = promote(models, NEW, wrong_on_feedback(dataset, 29), dataset, "auto")
    assert "On 29 held-out labelled photos from the service (too few to count; it takes 30)" in said
    assert model_store.current(models) == NEW


def test_a_version_with_unknown_training_photos_is_not_compared(tmp_path, tiny_graph, dataset):
    models = two_versions(tmp_path, tiny_graph, learnt=None)
    said = promote(models, NEW, new_version(dataset), dataset, "auto")
    assert "it is unknown which photos" in said
    assert model_store.current(models) == tiny_model.VERSION


def test_a_current_version_of_another_size_is_run_on_the_photo_files(models, dataset):
    other_size = replace(dataset, config=config_of(size=64))
    said = promote(models, NEW, new_version(dataset, wrong=12), other_size, "auto")
    assert f"and {tiny_model.VERSION} on 400" in said
    assert model_store.current(models) == tiny_model.VERSION
    (models.parent / "damaged.png").unlink()
    said = promote(models, NEW, new_version(dataset), other_size, "auto")
    assert f"was not compared with {tiny_model.VERSION}" in said
    assert f"use {NEW}" in said
    assert model_store.current(models) == tiny_model.VERSION


def test_the_new_version_is_kept_if_the_current_one_is_damaged(models, dataset):
    (models / tiny_model.VERSION / "model.tflite").write_bytes(b"")
    said = promote(models, NEW, new_version(dataset), dataset, "auto")
    assert "was not compared" in said
    assert NEW in model_store.versions(models)


@pytest.mark.parametrize(("rule", "current"), [("always", NEW), ("never", tiny_model.VERSION)])
def test_the_user_can_force_or_prevent_promotion(models, dataset, rule, current):
    promote(models, NEW, new_version(dataset, wrong=12), dataset, rule)
    assert model_store.current(models) == current


def test_the_first_version_becomes_current(models, dataset):
    (models / "current").unlink()
    shutil.rmtree(models / tiny_model.VERSION)
    promote(models, NEW, new_version(dataset, wrong=20), dataset, "auto")
    assert model_store.current(models) == NEW
