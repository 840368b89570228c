"""What is measured of an exported graph, on made-up answers that can be counted by hand."""

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset
from car_damage.evaluation.calibration import Calibration, calibrate
from car_damage.evaluation.evaluate import (
    evaluate,
    figures_of_photos,
    figures_of_review,
    figures_of_slices,
)
from car_damage.evaluation.inference import graph_outputs
from car_damage.evaluation.predictions import predictions_from
from tests import tiny_model
from tests.images import NO, YES, row, split_of

CALIBRATION = Calibration(1.0, 0.5)


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


def answers_to(split, logits):
    return predictions_from(split, np.array(logits), CALIBRATION)


def test_close_ups_are_never_mixed_into_the_figures_of_the_photos(four_photos):
    figures = figures_of_photos(
        answers_to(four_photos, [YES, YES, NO, NO, YES]), four_photos.rows, seed=0
    )
    assert figures["photos"]["count"] == 4
    assert figures["photos"]["accuracy"]["value"] == 1
    assert figures["close_ups"]["count"] == 1
    assert figures["close_ups"]["accuracy"]["value"] == 0


def test_data_folders_are_measured_apart_and_named_from_where_they_part(four_photos):
    figures = figures_of_photos(
        answers_to(four_photos, [YES, NO, NO, YES, NO]), four_photos.rows, seed=0
    )
    found = {
        name: (folder["count"], folder["accuracy"]["value"])
        for name, folder in figures["data_folders"].items()
    }
    assert found == {"damaged/front": (1, 1), "damaged/rear": (1, 0), "not-damaged": (2, 0.5)}


def test_a_data_set_without_close_ups_has_no_figure_of_them(four_photos):
    photos = split_of(four_photos.rows[:4])
    figures = figures_of_photos(answers_to(photos, [YES, YES, NO, NO]), photos.rows, seed=0)
    assert figures["close_ups"] is None


def test_each_slice_has_its_own_figures(four_photos):
    predictions = answers_to(four_photos, [YES, NO, NO, YES, NO])
    first_two, last_three = np.arange(5) < 2, np.arange(5) >= 2
    figures = figures_of_slices(predictions, {"dark": first_two, "small": last_three}, seed=0)
    assert figures["dark"]["missed"]["value"] == 0.5
    assert figures["dark"]["cleared"]["value"] is None
    assert figures["small"]["count"] == 3
    assert figures["small"]["cleared"]["value"] == pytest.approx(2 / 3)


def test_what_the_review_band_decides_is_counted_on_validation_and_on_test_photos(four_photos):
    unsure = 0.0  # a probability of one half
    val = answers_to(four_photos, [YES, YES, NO, unsure, unsure])
    test = answers_to(four_photos, [NO, YES, NO, YES, unsure])
    figures = figures_of_review(val, test, (0.4, 0.6), seed=0)
    assert figures["target"] == 0.99
    assert figures["val"] == {"decided": 0.75, "accuracy": 1}
    assert figures["test"]["decided"] == {"value": 1, "low": 1, "high": 1}
    assert figures["test"]["accuracy"]["value"] == 0.5


def test_an_answer_at_the_bands_lower_end_needs_a_person_and_at_its_upper_end_does_not(four_photos):
    at = np.log([1 / 3, 3, 3, 3, 3])  # probabilities of 1/4 and 3/4
    predictions = answers_to(four_photos, at)
    low, *_, high = np.sort(predictions.probabilities)
    figures = figures_of_review(predictions, predictions, (low, high), seed=0)
    assert figures["val"]["decided"] == 0.75


def test_where_every_photo_needs_a_person_there_is_no_accuracy_of_those_decided(four_photos):
    predictions = answers_to(four_photos, [YES, YES, NO, NO, NO])
    figures = figures_of_review(predictions, predictions, (0.0, 1.0), seed=0)
    assert figures["val"] == {"decided": 0, "accuracy": None}
    assert figures["test"]["accuracy"] == {"value": None, "low": None, "high": None}


def test_every_figure_is_taken_from_the_graph_that_answers_photos(tmp_path, tiny_graph):
    graph = tmp_path / "model.tflite"
    graph.write_bytes(tiny_graph)
    size = tiny_model.SIZE
    images = np.stack([tiny_model.plain_photo(red, size, size) for red in (True, False) * 4])
    labels = ["damaged", "not-damaged"] * 4
    split = split_of([row(number, label) for number, label in enumerate(labels)], images)
    dataset = Dataset(split, split, split, {})
    found = graph_outputs(graph, images)
    figures = evaluate(dataset, graph, found, found, CALIBRATION, (0.5, 0.5), seed=0)
    assert figures["photos"]["accuracy"]["value"] == 1
    assert figures["same_size_and_quality"]["accuracy"]["value"] == 1
    assert figures["same_size_and_quality"]["slices"].keys() == figures["slices"].keys()
    assert figures["review"]["test"]["decided"]["value"] == 1
    assert figures["attention"]["greyed_middle"]["count"] == 8


def test_an_answer_is_damaged_from_the_threshold_on():
    calibration = Calibration(temperature=2.0, threshold=0.75)
    at_threshold = 2.0 * np.log(3)  # sigmoid(log 3) = 3/4
    predictions = calibration.predict(np.array([at_threshold + 1e-6, at_threshold - 1e-6]))
    assert predictions.tolist() == [1, 0]


def test_calibration_softens_answers_that_are_surer_than_right():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    logits = np.where(random.random(2000) < 0.8, 1, -1) * np.where(labels == 1, 5.0, -5.0)
    calibration = calibrate(logits, labels)
    assert 5.0 / calibration.temperature == pytest.approx(np.log(0.8 / 0.2), abs=0.15)
