import json
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from car_damage.evaluation.metrics import (
    Comparison,
    as_json,
    bootstrap,
    calibration_error,
    compare,
    figures,
    measure,
)

# Two damaged cars, one found and one missed; three others, one of them a false alarm.
LABELS = np.array([1, 1, 0, 0, 0], np.uint8)
PROBABILITIES = np.array([0.9, 0.3, 0.8, 0.2, 0.1])


def drawn_photos(count, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1], count // 2)
    drawn = np.clip(0.3 * labels + 0.7 * rng.random(count), 0, 1)
    return labels, np.round(drawn, 2)  # rounded, so that there are ties


def width(figure):
    return figure.high - figure.low


@pytest.mark.parametrize(
    ("name", "by_hand"),
    [
        ("accuracy", 3 / 5),
        ("missed", 1 / 2),
        ("cleared", 2 / 3),
        ("precision", 1 / 2),
        ("recall", 1 / 2),
        ("f1", 1 / 2),
        ("roc_auc", 5 / 6),  # 5 of the 6 pairs are in the right order
        ("pr_auc", 1 / 2 * 1 + 1 / 2 * 2 / 3),
        ("brier", (0.01 + 0.49 + 0.64 + 0.04 + 0.01) / 5),
        ("ece", (0.1 + 0.7 + 0.8 + 0.2 + 0.1) / 5),  # each photo has a bin of its own
    ],
)
def test_a_figure_is_what_counting_by_hand_gives(name, by_hand):
    assert measure(LABELS, PROBABILITIES, 0.5)[name] == pytest.approx(by_hand)


def test_a_probability_equal_to_the_threshold_is_answered_damaged():
    assert measure(LABELS, PROBABILITIES, 0.3)["missed"] == 0
    assert measure(LABELS, PROBABILITIES, 0.3)["accuracy"] == pytest.approx(4 / 5)


def test_errors_within_a_bin_cancel_out_in_the_calibration_error():
    # Four photos at 75 %, three of them damaged: exactly as promised. One at 100 % that is not.
    labels, calibrated = np.array([1, 1, 1, 0, 0]), np.array([0.75] * 4 + [1.0])
    assert calibration_error(labels, calibrated) == pytest.approx(1 / 5)


def test_both_areas_agree_with_scikit_learn_even_where_probabilities_are_equal():
    labels, drawn = drawn_photos(500)
    measured = measure(labels, drawn, 0.5)
    assert measured["roc_auc"] == pytest.approx(roc_auc_score(labels, drawn))
    assert measured["pr_auc"] == pytest.approx(average_precision_score(labels, drawn))


@pytest.mark.parametrize("count", [6, 40, 400])
def test_every_interval_contains_its_value(count):
    labels, drawn = drawn_photos(count)
    for name, figure in figures(labels, drawn, 0.5, np.arange(count)).items():
        assert figure.low <= figure.value <= figure.high, name


def test_the_interval_of_a_perfect_calibration_starts_at_zero():
    calibrated = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 10)
    labels = np.concatenate([np.arange(10) < 10 * share for share in calibrated[::10]]).astype(int)
    error = figures(labels, calibrated, 0.5, np.arange(50))["ece"]
    assert error.low == error.value == pytest.approx(0)
    assert error.high > 0.05


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution():
    labels = np.ones(400, int)
    found = np.array([0.9] * 360 + [0.1] * 40)
    recall = figures(labels, found, 0.5, np.arange(400))["recall"]
    reach = 1.96 * math.sqrt(0.9 * 0.1 / 400)
    assert (recall.low, recall.high) == pytest.approx((0.9 - reach, 0.9 + reach), abs=0.005)


def test_any_statistic_of_rows_gets_its_interval():
    heights = np.array([1.0, 2.0, 3.0, 6.0])
    found = bootstrap(lambda rows: {"mean": heights[rows].mean()}, np.arange(4))["mean"]
    assert found.value == 3
    assert 1 <= found.low < 3 < found.high <= 6


def test_few_photos_give_a_wide_interval():
    few = figures(*drawn_photos(40), 0.5, np.arange(40))["accuracy"]
    many = figures(*drawn_photos(1000), 0.5, np.arange(1000))["accuracy"]
    assert width(few) > 3 * width(many)


def test_copies_do_not_make_a_figure_surer():
    labels, drawn = drawn_photos(60)
    once = figures(labels, drawn, 0.5, np.arange(60))["accuracy"]
    copies = [np.tile(array, 9) for array in (labels, drawn)]
    grouped = figures(*copies, 0.5, np.tile(np.arange(60), 9))["accuracy"]
    as_if_independent = figures(*copies, 0.5, np.arange(540))["accuracy"]
    assert width(grouped) == pytest.approx(width(once), rel=0.1)
    assert width(grouped) > 2 * width(as_if_independent)


def test_groups_may_have_names_and_the_same_seed_gives_the_same_interval():
    names = np.array([f"group-{number % 20}" for number in range(60)])
    first = figures(*drawn_photos(60), 0.5, names, seed=7)
    assert figures(*drawn_photos(60), 0.5, names, seed=7) == first
    assert figures(*drawn_photos(60), 0.5, names, seed=8) != first


@pytest.mark.filterwarnings("error")
def test_undamaged_photos_alone_leave_some_figures_undefined_and_json_says_null():
    measured = figures(np.zeros(4, int), np.array([0.1, 0.2, 0.3, 0.6]), 0.7, np.arange(4))
    undefined = {name for name, figure in measured.items() if math.isnan(figure.value)}
    assert undefined == {"missed", "precision", "recall", "f1", "roc_auc", "pr_auc"}
    read_back = json.loads(json.dumps(as_json(measured), allow_nan=False))
    assert read_back["roc_auc"] == {"value": None, "low": None, "high": None}
    assert read_back["accuracy"]["value"] == 1.0


@pytest.mark.filterwarnings("error")
def test_damaged_photos_alone_have_a_share_missed_but_no_roc_curve():
    measured = figures(np.ones(4, int), np.array([0.1, 0.8, 0.9, 0.9]), 0.5, np.arange(4))
    assert measured["missed"].value == pytest.approx(1 / 4)
    assert math.isnan(measured["roc_auc"].value)


@pytest.mark.filterwarnings("error")
def test_resamples_without_a_class_are_left_out_of_the_interval():
    # One damaged photo of four: a third of the resamples have none.
    measured = figures(np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3]), 0.5, np.arange(4))
    assert (measured["roc_auc"].low, measured["roc_auc"].high) == (1.0, 1.0)


def answers_right_on(right):
    """Answers to ten photos of damaged cars that are right on the given ones."""
    return np.isin(np.arange(10), list(right)).astype(int)


def test_mcnemar_is_a_fair_coin_on_the_photos_that_only_one_gets_right():
    # A alone is right on 7, B alone on 1: P(a fair coin is as one-sided) = 2 (1 + 8) / 2^8.
    result = compare(np.ones(10), answers_right_on(range(8)), answers_right_on({7, 8}))
    assert result.p_value == pytest.approx(2 * (1 + 8) / 2**8)


def test_versions_that_answer_alike_do_not_differ():
    alike = answers_right_on({1, 2})
    assert compare(np.ones(10), alike, alike) == Comparison(0, 0, 1.0, worse=False)


def test_a_new_version_with_significantly_more_mistakes_is_worse():
    result = compare(np.ones(10), new=answers_right_on({0, 1}), current=answers_right_on(range(8)))
    assert result == Comparison(6, 0, pytest.approx(2 / 2**6), worse=True)


def test_a_few_more_mistakes_may_be_luck():
    result = compare(np.ones(10), new=answers_right_on({0, 1}), current=answers_right_on(range(5)))
    assert result == Comparison(3, 0, pytest.approx(2 / 2**3), worse=False)


def test_a_new_version_with_significantly_fewer_mistakes_is_not_worse():
    result = compare(np.ones(10), new=answers_right_on(range(9)), current=answers_right_on({0}))
    assert (result.only_new_right, result.worse) == (8, False)
    assert result.p_value < 0.05
