import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from car_damage.evaluation.metrics import bootstrap, calibration_error, compute, wholes_of
from car_damage.manifest import Estimate

# Two damaged cars, one found and one missed; three others, one of them a false alarm.
LABELS = np.array([1, 1, 0, 0, 0], np.uint8)
PROBABILITIES = np.array([0.9, 0.3, 0.8, 0.2, 0.1])


def drawn_photos(count, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1], count // 2)
    drawn = np.clip(0.3 * labels + 0.7 * rng.random(count), 0, 1)
    return labels, np.round(drawn, 2)  # rounded, so that there are ties


def measured(labels, probabilities, threshold=0.5):
    return compute(labels == 1, probabilities >= threshold, probabilities)


def estimated(labels, probabilities, groups, threshold=0.5, seed=0):
    wholes = wholes_of(labels == 1, probabilities >= threshold)
    return bootstrap(
        lambda rows: measured(labels[rows], probabilities[rows], threshold), groups, seed, wholes
    )


def width(figure):
    return figure.high - figure.low


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("accuracy", 3 / 5),
        ("false_negative_rate", 1 / 2),
        ("specificity", 2 / 3),
        ("precision", 1 / 2),
        ("recall", 1 / 2),
        ("f1", 1 / 2),
        ("roc_auc", 5 / 6),  # 5 of the 6 pairs are in the right order
        ("pr_auc", 1 / 2 * 1 + 1 / 2 * 2 / 3),
        ("brier", (0.01 + 0.49 + 0.64 + 0.04 + 0.01) / 5),
        ("ece", (0.1 + 0.7 + 0.8 + 0.2 + 0.1) / 5),  # each photo is in a different bin
    ],
)
def test_metrics_match_a_count_by_hand(name, by_hand):
    assert measured(LABELS, PROBABILITIES)[name] == pytest.approx(by_hand)


def test_errors_within_a_bin_cancel_out_in_the_calibration_error():
    # Four photos at 75 %, of which exactly 75 % are damaged, and one at 100 % that is undamaged.
    labels, calibrated = np.array([1, 1, 1, 0, 0]), np.array([0.75] * 4 + [1.0])
    assert calibration_error(labels, calibrated) == pytest.approx(1 / 5)


def test_both_areas_agree_with_scikit_learn_even_if_probabilities_are_equal():
    labels, drawn = drawn_photos(500)
    found = measured(labels, drawn)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(labels, drawn))
    assert found["pr_auc"] == pytest.approx(average_precision_score(labels, drawn))


@pytest.mark.parametrize("count", [6, 40, 400])
def test_every_interval_contains_its_value(count):
    labels, drawn = drawn_photos(count)
    for name, figure in estimated(labels, drawn, np.arange(count)).items():
        assert figure.low <= figure.value <= figure.high, name


def test_the_interval_of_a_perfect_calibration_starts_at_zero():
    calibrated = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    labels = np.concatenate([np.arange(10) < 10 * share for share in calibrated[::10]]).astype(int)
    error = estimated(labels, calibrated, np.arange(50))["ece"]
    assert error.low == error.value == pytest.approx(0)
    assert error.high > 0.05


def test_the_interval_of_a_share_agrees_with_the_binomial_distribution():
    labels = np.ones(400, int)
    found = np.array([0.9] * 360 + [0.1] * 40)
    recall = estimated(labels, found, np.arange(400))["recall"]
    reach = 1.96 * math.sqrt(0.9 * 0.1 / 400)
    assert (recall.low, recall.high) == pytest.approx((0.9 - reach, 0.9 + reach), abs=0.005)


def test_copies_do_not_make_an_interval_narrower():
    labels, drawn = drawn_photos(60)
    once = estimated(labels, drawn, np.arange(60))["accuracy"]
    copies = [np.tile(array, 9) for array in (labels, drawn)]
    grouped = estimated(*copies, np.tile(np.arange(60), 9))["accuracy"]
    as_if_independent = estimated(*copies, np.arange(540))["accuracy"]
    assert width(grouped) == pytest.approx(width(once), rel=0.1)
    assert width(grouped) > 2 * width(as_if_independent)


def test_groups_can_have_names_and_the_same_seed_gives_the_same_interval():
    names = np.array([f"group-{number % 20}" for number in range(60)])
    first = estimated(*drawn_photos(60), names, seed=7)
    assert estimated(*drawn_photos(60), names, seed=7) == first
    assert estimated(*drawn_photos(60), names, seed=8) != first


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        (0, {"false_negative_rate", "precision", "recall", "f1", "roc_auc", "pr_auc"}),
        (1, {"specificity", "precision", "roc_auc"}),
    ],
)
def test_photos_of_one_class_leave_some_metrics_undefined(label, undefined):
    labels, nobody = np.full(4, label), np.array([0.1, 0.2, 0.3, 0.6])  # none is called damaged
    found = estimated(labels, nobody, np.arange(4), threshold=0.7)
    assert {name for name, each in found.items() if each.value is None} == undefined
    assert found["roc_auc"] == Estimate(value=None, low=None, high=None)
    assert found["accuracy"].value == 1 - label


@pytest.mark.filterwarnings("error")
def test_resamples_without_a_class_are_left_out_of_the_interval():
    # Two of four photos are damaged, one of them below an undamaged one. Some resamples have only
    # one class.
    found = estimated(np.array([1, 1, 0, 0]), np.array([0.9, 0.2, 0.3, 0.1]), np.arange(4))
    assert found["roc_auc"] == Estimate(value=0.75, low=0.0, high=1.0)


def perfect(damaged, others):
    """All photos are right: labels and probabilities."""
    labels = np.repeat([1, 0], [damaged, others])
    return labels, np.where(labels == 1, 0.9, 0.1)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("false_negative_rate", 46),
        ("recall", 46),
        ("precision", 46),
        ("specificity", 30),
        ("accuracy", 76),
    ],
)
def test_a_figure_without_mistakes_has_an_interval(name, groups):
    found = estimated(*perfect(46, 30), np.arange(76))[name]
    by_hand = 1 - 0.025 ** (1 / groups)  # with this share of mistakes, 2.5 % of tests see none
    if found.value == 0:
        assert (found.low, found.high) == (0, pytest.approx(by_hand))
    else:
        assert (found.low, found.high) == (pytest.approx(1 - by_hand), 1)


def test_the_interval_of_0_missed_of_46_ends_at_7_7_percent_and_of_1_missed_later():
    labels, found = perfect(46, 30)
    none_missed = estimated(labels, found, np.arange(76))["false_negative_rate"]
    assert none_missed.high == pytest.approx(0.077, abs=0.0005)
    found[0] = 0.1
    one_missed = estimated(labels, found, np.arange(76))["false_negative_rate"]
    assert one_missed.high == pytest.approx(0.115, abs=0.0005)
    assert one_missed.low < 0.001


def test_a_single_photo_has_a_very_wide_interval():
    found = estimated(*perfect(1, 0), np.zeros(1))["accuracy"]
    assert (found.value, found.low, found.high) == (1, pytest.approx(0.025), 1)


def test_copies_count_once_if_there_are_no_mistakes():
    once = estimated(*perfect(4, 4), np.arange(8))
    copies = [np.tile(array, 9) for array in perfect(4, 4)]
    grouped = estimated(*copies, np.tile(np.arange(8), 9))
    assert grouped["false_negative_rate"] == once["false_negative_rate"]
    assert grouped["accuracy"] == once["accuracy"]


def test_a_constant_figure_that_is_not_a_share_has_no_interval():
    found = estimated(*perfect(46, 30), np.arange(76))
    for name in ("f1", "roc_auc", "pr_auc"):
        assert (found[name].value, found[name].low, found[name].high) == (1, None, None), name
