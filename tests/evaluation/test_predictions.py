"""A version's predictions for a split, counted by hand."""

import csv

import numpy as np
import pytest

from car_damage.decision import Decision
from car_damage.evaluation.predictions import predictions_from, write_predictions
from tests.images import NO, YES, row, split_of

DECISION = Decision(temperature=2.0, threshold=0.5)
LABELS = ["damaged", "damaged", "damaged", "not-damaged", "not-damaged"]


@pytest.fixture
def five():
    """Three damaged cars, one of them missed, and two others, one a false alarm."""
    split = split_of([row(number, label) for number, label in enumerate(LABELS)])
    return predictions_from(split, np.array([YES, YES, NO, YES, NO]), DECISION)


def values(metrics):
    return {
        name: each["value"] if isinstance(each, dict) else each
        for name, each in metrics.model_dump(exclude_unset=True).items()
    }


def test_the_shares_of_a_slice_match_a_count_by_hand(five):
    found = values(five.shares(np.ones(5, bool), seed=0))
    by_hand = {"count": 5, "damaged": 3, "accuracy": 3 / 5}
    by_hand |= {"false_negative_rate": 1 / 3, "specificity": 1 / 2}
    assert found == pytest.approx(by_hand)


def test_only_the_images_of_the_slice_count(five):
    found = values(five.shares(np.array([0, 0, 1, 0, 1], bool), seed=0))
    assert (found["count"], found["damaged"], found["accuracy"]) == (2, 1, 0.5)
    assert (found["false_negative_rate"], found["specificity"]) == (1, 1)
    assert values(five.shares(np.array([1, 1, 1, 0, 0], bool), seed=0))["specificity"] is None


def test_copies_count_as_one_in_the_interval_of_a_slice():
    rows = [row(number, "damaged", group="same") for number in range(6)]
    predictions = predictions_from(split_of(rows), np.array([YES, YES, YES, NO, NO, NO]), DECISION)
    found = predictions.shares(np.ones(6, bool), seed=0).accuracy
    assert found.value == 0.5
    assert found.low < 0.01
    assert found.high > 0.99


@pytest.mark.parametrize("name", ["false_negative_rate", "specificity"])
def test_the_interval_of_a_share_depends_on_the_photos_it_is_a_share_of(name):
    label, logit = ("damaged", YES) if name == "false_negative_rate" else ("not-damaged", NO)
    other = {"damaged": "not-damaged", "not-damaged": "damaged"}[label]
    rows = [row(number, label if number < 2 else other) for number in range(20)]
    predictions = predictions_from(split_of(rows), np.array([logit] * 20), DECISION)
    of_some = predictions.shares(np.arange(20) < 10, seed=0)
    reach = getattr(of_some, name).high - getattr(of_some, name).low
    assert reach == pytest.approx(1 - 0.025 ** (1 / 2))


def test_all_metrics_are_those_of_the_chosen_images(five):
    found = values(five.metrics(np.array([1, 1, 0, 0, 1], bool), seed=0))
    assert found["count"] == 3
    assert (found["accuracy"], found["roc_auc"], found["specificity"]) == (1, 1, 1)


def test_the_table_has_a_line_for_each_image_with_its_calibrated_probability(five, tmp_path):
    val = predictions_from(
        split_of([row(0, "damaged", "/a.jpg", split="val", width=640, height=480)]),
        np.array([2 * np.log(3)]),
        DECISION,
    )
    write_predictions(tmp_path / "predictions.csv", [val, five])
    with (tmp_path / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    columns = ["split", "path", "label", "kind", "group", "width", "height", "probability"]
    assert list(lines[0]) == columns
    assert float(lines[0].pop("probability")) == pytest.approx(0.75)
    assert list(lines[0].values()) == ["val", "/a.jpg", "damaged", "photo", "g0", "640", "480"]
