"""The logits of cross-source validation: their table and their common scale."""

from dataclasses import replace

import numpy as np
import pytest

from car_damage.errors import UserError
from car_damage.evaluation.cross_sources import (
    HELD_OUT,
    HOME,
    FoldAnswer,
    common_scale,
    final_scale,
    fit_decision_abroad,
    fold_answers,
    read_answers,
    write_answers,
)
from tests.images import row


def answer(path, logit, damaged, fold=0, part=HELD_OUT, source="uk"):
    label = "damaged" if damaged else "not-damaged"
    return FoldAnswer(path, f"sha-{path}", f"group-{path}", source, label, fold, part, logit)


def home(fold, damaged, others):
    """Home answers of a fold: the logits of photos of each class, in the order of their paths."""
    return [
        answer(f"{label}{at}.jpg", logit, label, fold, HOME)
        for label, logits in ((True, damaged), (False, others))
        for at, logit in enumerate(logits)
    ]


def test_the_table_can_be_read_back(tmp_path):
    answers = [answer("a, b.jpg", 0.1 + 0.2, True), *home(1, [1.5], [-2.0])]
    write_answers(tmp_path / "cross_sources.csv", answers)
    assert read_answers(tmp_path / "cross_sources.csv") == answers
    (tmp_path / "cross_sources.csv").write_text("path\na.jpg\n")
    with pytest.raises(UserError, match=r"cross_sources\.csv"):
        read_answers(tmp_path / "cross_sources.csv")


def test_close_ups_are_not_in_the_table():
    rows = [row(0, "damaged", source="uk"), row(1, "not-damaged", kind="close_up")]
    found = fold_answers(rows, np.array([1.5, 2.5], np.float32), 3, HELD_OUT)
    assert [(one.source, one.fold, one.logit) for one in found] == [("uk", 3, 1.5)]


def test_folds_that_differ_only_in_scale_agree_on_the_common_scale():
    first = [answer("x", 1.0, True), *home(0, [2.0, 4.0], [-3.0])]
    second = [
        replace(one, path=f"other {one.path}", fold=1, logit=3 * one.logit - 2) for one in first
    ]
    one, other = common_scale([*first, *second])
    assert one.logit == pytest.approx(other.logit)
    # The means of the home logits are 0 and -2. The spreads are 1 and 3, so their average is 2.
    assert one.logit == pytest.approx(2 * 1.0 - 1)


def test_a_fold_on_the_average_scale_keeps_its_logits_for_any_class_balance():
    same = [*home(0, [2.0], [-2.0]), *home(1, [2.0] * 9, [-2.0])]
    held_out = [answer("x", 1.25, True, fold=0), answer("y", 1.25, True, fold=1)]
    assert [one.logit for one in common_scale([*same, *held_out])] == pytest.approx([1.25, 1.25])


@pytest.mark.filterwarnings("error")
def test_a_model_with_equal_logits_for_all_photos_has_a_scale():
    answers = [answer("x", 0.5, True), *home(0, [0.5], [0.5])]
    assert [one.logit for one in common_scale(answers)] == pytest.approx([0.5])


def test_the_final_model_is_brought_to_the_folds_scale_on_the_same_photos():
    answers = [*home(0, [2.0, 4.0], [-3.0]), *home(1, [5.0], [-4.0, -6.0])]
    of_folds = {"True0.jpg": 2.0, "True1.jpg": 4.0, "False0.jpg": -3.0, "False1.jpg": -6.0}
    first_only = home(0, [2.0, 4.0], [-3.0])
    scale = final_scale({path: 2 * logit + 1 for path, logit in of_folds.items()}, first_only)
    assert (scale.factor, scale.offset) == pytest.approx((0.5, -0.5))

    final = {path: 2 * logit + 1 for path, logit in of_folds.items()}
    scale = final_scale(final, answers)
    scaled = {path: scale.factor * logit + scale.offset for path, logit in final.items()}
    again = final_scale(scaled, answers)
    assert (again.factor, again.offset) == pytest.approx((1.0, 0.0))


def test_a_small_source_counts_as_much_as_a_large_one_in_the_decision():
    large = [answer(f"l{at}", 3.0 if at % 2 else -3.0, at % 2, source="large") for at in range(800)]
    small = [answer(f"s{at}", 1.0 if at % 2 else -3.0, at % 2, source="small") for at in range(20)]
    rare = [answer(f"r{at}", 1.5, False, source="large") for at in range(20)]
    decision = fit_decision_abroad([*large, *small, *rare])
    assert decision.is_damaged(
        decision.probabilities([1.0])
    )  # 20 of 420 false alarms against 10 of 410 missed
