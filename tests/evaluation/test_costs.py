"""The cost of answers, and the decision with the lowest cost."""

import numpy as np
import pytest

from car_damage.evaluation.calibration import cheapest_decision, fit_decision
from car_damage.evaluation.costs import cost_metrics
from car_damage.evaluation.predictions import predictions_from
from car_damage.manifest import Costs
from tests.images import NO, YES, row, split_of

COSTS = Costs(missed=900, false_alarm=100, review=9)


def measured(truths, logits, costs=COSTS):
    split = split_of([row(at, label) for at, label in enumerate(truths)])
    predictions = predictions_from(split, np.array(logits), cheapest_decision(costs, 1.0))
    return cost_metrics(predictions, np.ones(len(truths), bool), costs, seed=0)


def test_no_other_threshold_or_band_costs_less_if_the_probabilities_are_right():
    probabilities = np.arange(0.0005, 1, 0.001)
    decision = cheapest_decision(COSTS, 1.0)
    choices = [probabilities * 900, (1 - probabilities) * 100, np.full(1000, 9.0)]
    cheapest = np.argmin(choices, axis=0)
    chosen = np.where(
        decision.needs_review(probabilities), 2, decision.is_damaged(probabilities).astype(int)
    )
    np.testing.assert_array_equal(chosen, cheapest)


@pytest.mark.parametrize(("review", "band"), [(90.0, (0.1, 0.1)), (1e-7, (0.0001, 1.0))])
def test_expensive_checks_give_an_empty_band_and_free_checks_the_widest(review, band):
    costs = COSTS.model_copy(update={"review": review})
    assert cheapest_decision(costs, 1.0).review_band == band


def test_training_fits_the_temperature_and_costs_choose_the_rest():
    logits, labels = np.array([-3.0, -1.0, 1.0, 3.0]), np.array([0, 1, 0, 1])
    plain, cheap = fit_decision(logits, labels), fit_decision(logits, labels, costs=COSTS)
    assert cheap.temperature == plain.temperature
    assert cheap == cheapest_decision(COSTS, plain.temperature)


def test_each_mistake_and_each_check_has_its_price():
    truths = ["damaged"] * 2 + ["not-damaged"] * 2
    found = measured(truths, [NO - 4, YES + 4, YES + 4, 0.0])
    assert found.per_thousand.value == pytest.approx(1000 * (900 + 0 + 100 + 9) / 4)
    assert found.damaged == 0.5


def test_the_interval_allows_for_mistakes_that_did_not_happen():
    found = measured(["damaged", "not-damaged"] * 23, [YES + 4, NO - 4] * 23).per_thousand
    assert found.value == found.low == 0
    assert found.high == pytest.approx(900 * 1000 * 0.0771, rel=0.01)  # 0 of 46: up to 7.7 %


def test_the_cost_is_certain_if_a_person_checks_every_photo():
    found = measured(["damaged", "not-damaged"] * 5, [0.0] * 10).per_thousand
    assert (found.low, found.value, found.high) == pytest.approx((9000, 9000, 9000))
