"""The decision rule: the same for one photo and for many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from car_damage.decision import Decision, rounded_up

PROBABILITIES = st.floats(0, 1).map(lambda value: round(value, 4))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 100), PROBABILITIES)
def test_a_photo_gets_the_same_answer_alone_as_among_others(logits, temperature, threshold):
    decision = Decision(temperature=temperature, threshold=threshold, review_band=(0.2, 0.8))
    together = decision.probabilities(np.array(logits))
    for logit, probability in zip(logits, together, strict=True):
        assert decision.probabilities(logit) == probability
        assert decision.is_damaged(probability) == (probability >= threshold)
        assert decision.needs_review(probability) == (0.2 <= probability < 0.8)


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_a_rounded_limit_still_separates_two_probabilities(one, other):
    decision = Decision(temperature=1.0, threshold=0.5)
    low, high = sorted(decision.probabilities(np.array([one, other])))
    if low < high:
        limit = float(rounded_up((low + high) / 2))
        assert low < limit <= high
        assert limit == round(limit, 4)


def test_a_rounded_probability_at_the_threshold_is_damaged():
    # 0.33646 and 0.3365 are both told as 0.3365, wherever they are compared.
    decision = Decision(temperature=1.0, threshold=0.3365)
    logits = special.logit([0.33644, 0.33646, 0.3365])
    assert decision.is_damaged(decision.probabilities(logits)).tolist() == [False, True, True]


def test_the_band_includes_its_low_end_but_not_its_high_end():
    decision = Decision(temperature=1.0, threshold=0.5, review_band=(0.25, 0.75))
    reviewed = decision.needs_review(np.array([0.2499, 0.25, 0.7499, 0.75]))
    assert reviewed.tolist() == [False, True, True, False]


def test_a_band_over_all_probabilities_sends_every_photo_to_a_person():
    decision = Decision(temperature=1.0, threshold=0.5, review_band=(0.0, 1.0))
    reviewed = decision.needs_review(np.array([0.0, 0.5, 0.9999, 1.0]))
    assert reviewed.tolist() == [True, True, True, True]


def test_huge_logits_cause_no_overflow_and_no_warning():
    decision = Decision(temperature=0.5, threshold=0.5)
    with np.errstate(all="raise", under="ignore"):
        assert decision.probabilities([-1e300, 1e300]).tolist() == [0, 1]


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"threshold": 1.1}, {"review_band": (0, 2)}])
def test_rejects_a_decision_out_of_range(wrong):
    with pytest.raises(ValueError, match=r"equal to|greater than"):
        Decision(**{"temperature": 1.0, "threshold": 0.5} | wrong)
