"""The metrics of an exported graph, on made-up predictions that can be counted by hand."""

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset
from car_damage.decision import Decision, ReviewBand
from car_damage.evaluation.calibration import fit_decision
from car_damage.evaluation.evaluate import (
    evaluate,
    metrics_of_folders,
    metrics_of_slices,
    review_metrics,
)
from car_damage.evaluation.inference import graph_outputs
from car_damage.evaluation.predictions import predictions_from
from car_damage.manifest import Decided, Estimate
from tests import tiny_model
from tests.images import NO, YES, config_of, row, split_of

DECISION = Decision(temperature=1.0, threshold=0.5)


@pytest.fixture
def four_photos():
    """Four photos in three data folders, and a close-up."""
    return split_of(
        [
            row(0, "damaged", "/cars/damaged/front/a.jpg"),
            row(1, "damaged", "/cars/damaged/rear/b.jpg"),
            row(2, "not-damaged", "/cars/not-damaged/c.jpg"),
            row(3, "not-damaged", "/cars/not-damaged/d.jpg"),
            row(4, "not-damaged", "/cars/not-damaged/c.jpg", "close_up"),
        ]
    )


def predicted(split, logits, band=None):
    decision = DECISION.model_copy(update={"review_band": band and ReviewBand(*band)})
    return predictions_from(split, np.array(logits), decision)


def test_each_data_folder_has_its_own_metrics(four_photos):
    predictions = predicted(four_photos, [YES, NO, NO, YES, NO])
    found = metrics_of_folders(predictions, four_photos.rows, seed=0)
    seen = {name: (folder.count, folder.accuracy.value) for name, folder in found.items()}
    assert seen == {"damaged/front": (1, 1), "damaged/rear": (1, 0), "not-damaged": (2, 0.5)}


def test_each_slice_has_its_own_metrics(four_photos):
    predictions = predicted(four_photos, [YES, NO, NO, YES, NO])
    first_two, last_three = np.arange(5) < 2, np.arange(5) >= 2
    found = metrics_of_slices(predictions, {"dark": first_two, "small": last_three}, seed=0)
    assert found["dark"].false_negative_rate.value == 0.5
    assert found["dark"].specificity == Estimate(value=None, low=None, high=None)
    assert found["small"].count == 3
    assert found["small"].specificity.value == pytest.approx(2 / 3)


def test_the_share_decided_is_measured_on_validation_and_test_photos(four_photos):
    unsure, band = 0.0, (0.4, 0.6)  # a probability of one half
    val = predicted(four_photos, [YES, YES, NO, unsure, unsure], band)
    test = predicted(four_photos, [NO, YES, NO, YES, unsure], band)
    found = review_metrics(val, test, 0.99, seed=0)
    assert found.target == 0.99
    assert found.val == Decided(photos=4, decided=0.75, accuracy=1)
    assert found.test.decided.value == 1
    assert found.test.decided.low == pytest.approx(0.025 ** (1 / 4))
    assert found.test.accuracy.value == 0.5


def test_the_interval_of_the_accuracy_depends_on_the_number_of_decided_photos(four_photos):
    unsure = 0.0
    predictions = predicted(four_photos, [YES, YES, unsure, unsure, NO], (0.4, 0.6))
    found = review_metrics(predictions, predictions, 0.99, seed=0).test
    assert found.accuracy.value == 1
    assert found.accuracy.low == pytest.approx(0.025 ** (1 / 2))


@pytest.mark.parametrize("band", [(0.0, 1.0), (0.5, 0.5), None])
def test_the_share_decided_is_certain_if_it_is_none_or_all(four_photos, band):
    predictions = predicted(four_photos, [YES, YES, NO, NO, NO], band)
    found = review_metrics(predictions, predictions, 0.99, seed=0).test.decided
    assert found == Estimate(value=0 if band == (0, 1) else 1, low=None, high=None)


def test_the_review_band_includes_its_lower_end_but_not_its_upper_end(four_photos):
    at = np.log([1 / 3, 3, 3, 3, 3])  # probabilities of 1/4 and 3/4
    predictions = predicted(four_photos, at, (0.25, 0.75))
    assert review_metrics(predictions, predictions, 0.99, seed=0).val.decided == 0.75


def test_the_accuracy_of_decided_photos_is_undefined_if_all_need_a_person(four_photos):
    predictions = predicted(four_photos, [YES, YES, NO, NO, NO], (0.0, 1.0))
    found = review_metrics(predictions, predictions, 0.99, seed=0)
    assert found.val == Decided(photos=4, decided=0, accuracy=None)
    assert found.test.accuracy == Estimate(value=None, low=None, high=None)


def test_all_metrics_come_from_the_graph_that_classifies_photos(tmp_path, tiny_graph):
    graph = tmp_path / "model.tflite"
    graph.write_bytes(tiny_graph)
    size = tiny_model.SIZE
    images = np.stack([tiny_model.plain_photo(red, size, size) for red in (True, False) * 4])
    labels = ["damaged", "not-damaged"] * 4
    rows = [row(number, label) for number, label in enumerate(labels)]
    close_up = row(8, "not-damaged", kind="close_up")
    split = split_of([*rows, close_up], np.concatenate([images, images[:1]]))
    outputs = graph_outputs(graph, split.X)
    dataset = Dataset(split, split, split, config_of())
    found = evaluate(dataset, graph, outputs, outputs, DECISION, 0.99, seed=0)
    assert (found.photos.count, found.photos.accuracy.value) == (8, 1)
    assert (found.close_ups.count, found.close_ups.accuracy.value) == (1, 0)
    assert found.same_size_and_quality.accuracy.value == 1
    assert found.same_size_and_quality.slices.keys() == found.slices.keys()
    assert found.review.test.decided.value == 1
    assert found.attention.greyed_middle.count == 8
    without = split_of(rows, images)
    outputs = graph_outputs(graph, images)
    dataset = Dataset(without, without, without, config_of())
    assert evaluate(dataset, graph, outputs, outputs, DECISION, 0.99, 0).close_ups is None


def test_calibration_moves_overconfident_probabilities_towards_one_half():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    logits = np.where(random.random(2000) < 0.8, 1, -1) * np.where(labels == 1, 5.0, -5.0)
    decision = fit_decision(logits, labels)
    assert 5.0 / decision.temperature == pytest.approx(np.log(0.8 / 0.2), abs=0.15)
