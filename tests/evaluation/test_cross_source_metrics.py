"""The metrics of cross-source validation."""

import numpy as np
import pytest

from car_damage.evaluation.cross_source_metrics import cross_source_metrics
from car_damage.evaluation.cross_sources import HELD_OUT, HOME, FoldAnswer, fit_decision_abroad
from car_damage.evaluation.metrics import calibration_error

pytestmark = pytest.mark.filterwarnings("error")

YES, NO = 3.0, -3.0  # logits


def cell(fold, source, damaged, logits):
    """The held-out photos of one class of a source."""
    label = "damaged" if damaged else "not-damaged"
    names = [f"{source}-{label}-{at}" for at in range(len(logits))]
    return [
        FoldAnswer(name, name, name, source, label, fold, HELD_OUT, logit)
        for name, logit in zip(names, logits, strict=True)
    ]


# The same for both folds, so that their scales agree
HOME_LOGITS = {"home-yes": YES, "home-no": NO}
HOMES = [
    FoldAnswer(path, path, path, "home", label, fold, HOME, HOME_LOGITS[path])
    for fold in (0, 1)
    for path, label in (("home-yes", "damaged"), ("home-no", "not-damaged"))
]


def measured(*cells):
    answers = [one for each in cells for one in each]
    return cross_source_metrics([*answers, *HOMES], HOME_LOGITS, seed=0)


@pytest.fixture(scope="module")
def metrics():
    return measured(
        cell(0, "uk", True, [YES] * 90 + [NO] * 10),
        cell(0, "jp", False, [NO] * 100),
        cell(1, "kr", True, [YES] * 200),
        cell(1, "kr", False, [YES] * 5 + [NO] * 5),
        cell(1, "de", True, [NO]),
    )


def test_each_source_counts_the_same_within_its_class(metrics):
    assert metrics.recall.value == pytest.approx((0.9 + 1.0 + 0.0) / 3)
    assert metrics.specificity.value == pytest.approx((1.0 + 0.5) / 2)
    assert metrics.balanced_accuracy.value == pytest.approx((1.9 / 3 + 0.75) / 2)


def test_all_means_have_intervals_even_if_sources_have_one_class(metrics):
    for name in ("balanced_accuracy", "recall", "specificity", "ece"):
        estimate = getattr(metrics, name)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1, name
    assert metrics.recall.low < 0.4  # three sources with damaged cars are few
    assert metrics.recall.high > 0.9


def test_each_source_is_listed_with_its_fold_and_classes(metrics):
    assert metrics.folds == (("jp", "uk"), ("de", "kr"))
    assert metrics.count == 411
    assert list(metrics.sources) == ["de", "jp", "kr", "uk"]
    kr, jp = metrics.sources["kr"], metrics.sources["jp"]
    assert (kr.fold, kr.damaged.count, kr.not_damaged.count) == (1, 200, 10)
    assert kr.not_damaged.accuracy.value == 0.5
    assert (jp.fold, jp.damaged) == (0, None)


def test_a_source_without_mistakes_has_an_interval(metrics):
    perfect = metrics.sources["kr"].damaged.accuracy
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.982, abs=0.001)  # Clopper and Pearson's for 200 of 200


def test_the_worst_source_is_one_with_enough_photos(metrics):
    worst = metrics.worst_source  # not "de" with one photo or "kr" with ten
    assert (worst.source, worst.label, worst.count) == ("uk", "damaged", 100)
    assert worst.accuracy.value == 0.9
    assert measured(cell(0, "uk", True, [YES]), cell(1, "de", False, [NO])).worst_source is None


def test_each_fold_with_both_classes_has_a_roc_auc(metrics):
    assert metrics.roc_auc_by_fold == pytest.approx(
        (0.9 + 0.1 / 2, (1 + 0.5) / 2 * 200 / 201 + 0.25 / 201)
    )
    assert metrics.roc_auc == pytest.approx(np.mean(metrics.roc_auc_by_fold))
    one_class = measured(cell(0, "uk", True, [YES]), cell(1, "de", False, [NO]))
    assert one_class.roc_auc_by_fold == (None, None)
    assert one_class.roc_auc is None


def test_a_folds_photos_are_classified_by_a_threshold_from_the_other_folds():
    ordinary = cell(0, "uk", True, [YES] * 60), cell(0, "uk", False, [NO] * 60)
    # With its own threshold, this source would have no mistakes.
    bright = cell(1, "de", True, [YES + 5] * 60), cell(1, "de", False, [NO + 5] * 60)
    metrics = measured(*ordinary, *bright)
    assert metrics.sources["de"].not_damaged.accuracy.value == 0.0
    assert metrics.sources["uk"].damaged.accuracy.value == 0.0


def drawn(fold, source, shift, seed):
    rng = np.random.default_rng(seed)
    return [
        *cell(fold, source, True, rng.normal(2 + shift, 2, 200).tolist()),
        *cell(fold, source, False, rng.normal(-2 + shift, 2, 200).tolist()),
    ]


def test_means_over_sources_of_the_same_size_are_means_over_photos():
    parts = [drawn(0, "uk", 0.2, seed=1), drawn(1, "de", -0.2, seed=2)]
    metrics = measured(*parts)
    decisions = [fit_decision_abroad(other) for other in reversed(parts)]
    logits = [np.array([one.logit for one in part]) for part in parts]
    found = [each.probabilities(x) for each, x in zip(decisions, logits, strict=True)]
    damaged = np.array([one.damaged for part in parts for one in part])
    correct = (
        np.concatenate([each.is_damaged(p) for each, p in zip(decisions, found, strict=True)])
        == damaged
    )
    decided = np.concatenate(
        [~each.needs_review(p) for each, p in zip(decisions, found, strict=True)]
    )
    assert metrics.balanced_accuracy.value == pytest.approx(correct.mean())
    assert metrics.review.decided.value == pytest.approx(decided.mean())
    assert metrics.review.accuracy.value == pytest.approx(correct[decided].mean())
    assert metrics.ece.value == pytest.approx(calibration_error(damaged, np.concatenate(found)))
    assert 0.3 < metrics.review.decided.value < 1
    assert metrics.review_target == 0.975


def test_the_metrics_have_the_thresholds_from_known_and_from_new_sources():
    parts = [drawn(0, "uk", -1, seed=1), drawn(1, "de", -1, seed=2)]
    metrics = measured(*parts)
    assert (metrics.logit_scale.factor, metrics.logit_scale.offset) == pytest.approx((1, 0))
    assert metrics.threshold < metrics.home_threshold == 0.5
