"""Metrics of cross-source validation: how good a recipe is on sources left out of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from car_damage.decision import LABELS, Decision
from car_damage.evaluation.calibration import ABROAD_TARGET, choose_threshold
from car_damage.evaluation.cross_sources import (
    HOME,
    FoldAnswer,
    common_scale,
    final_scale,
    fit_decision_abroad,
)
from car_damage.evaluation.metrics import CALIBRATION_BINS, bootstrap, calibration_bin
from car_damage.manifest import (
    ClassMetrics,
    Costs,
    CrossSourceMetrics,
    DecidedEstimate,
    Estimate,
    LogitScale,
    SourceMetrics,
    WorstSource,
)

FEWEST_FOR_WORST = 100  # photos; with fewer, the lowest share is often due to chance


@dataclass(frozen=True)
class _Judged:
    """Held-out photos, classified by a decision fitted on the other folds; all (n,)."""

    fold: np.ndarray
    source: np.ndarray
    group: np.ndarray
    label: np.ndarray  # 1 is damaged
    logit: np.ndarray  # on the folds' common scale
    probability: np.ndarray
    correct: np.ndarray
    decided: np.ndarray  # without a person


def cross_source_metrics(
    answers: Sequence[FoldAnswer],
    home_logits: Mapping[str, float],
    seed: int,
    costs: Costs | None = None,
) -> CrossSourceMetrics:
    """All metrics of cross-source validation.

    `home_logits` are the logits of the model trained on all sources, for each home validation photo
    in `answers`, by its path. Each source counts the same within a class, and both classes count
    the same, no matter how many photos they have. The intervals of such means come from resampling
    sources (`seed`). The intervals of one source come from resampling its groups of copies. `costs`
    choose the thresholds and review bands, if given.
    """
    scaled = common_scale(answers)
    judged = _judged(scaled, costs)
    sources = {name: _of_source(judged, name, seed) for name in np.unique(judged.source).tolist()}
    means = _means_over_sources(judged, seed)
    folds = np.unique(judged.fold)
    scale, decision = final_scale(home_logits, answers), fit_decision_abroad(scaled, costs)
    return CrossSourceMetrics(
        count=len(scaled),
        folds=tuple(tuple(np.unique(judged.source[judged.fold == fold])) for fold in folds),
        balanced_accuracy=means["balanced_accuracy"],
        recall=means["recall"],
        specificity=means["specificity"],
        ece=means["ece"],
        review_target=ABROAD_TARGET,
        review=DecidedEstimate(decided=means["decided"], accuracy=means["accuracy_of_decided"]),
        sources=sources,
        worst_source=_worst(sources),
        roc_auc_by_fold=tuple(_roc_auc(judged, fold) for fold in folds),
        logit_scale=scale,
        threshold=decision.threshold,
        home_threshold=_home_threshold(answers, home_logits, scale, decision),
    )


def _judged(scaled: Sequence[FoldAnswer], costs: Costs | None) -> _Judged:
    fold = np.array([one.fold for one in scaled])
    logit = np.array([one.logit for one in scaled], np.float64)
    label = np.array([one.damaged for one in scaled], int)
    probability = np.zeros(len(scaled))
    correct, decided = np.zeros(len(scaled), bool), np.zeros(len(scaled), bool)
    for number in np.unique(fold):
        decision = fit_decision_abroad([one for one in scaled if one.fold != number], costs)
        held_out = fold == number
        probability[held_out] = decision.probabilities(logit[held_out])
        correct[held_out] = decision.is_damaged(probability[held_out]) == label[held_out]
        decided[held_out] = ~decision.needs_review(probability[held_out])
    source = np.array([one.source for one in scaled])
    group = np.array([one.group for one in scaled])
    return _Judged(fold, source, group, label, logit, probability, correct, decided)


def _means_over_sources(judged: _Judged, seed: int) -> dict[str, Estimate]:
    """Means over sources, with the same weight for both classes, and their intervals."""
    names = np.unique(judged.source)
    of_cell = np.stack([_of_cells(judged, name) for name in names])  # (sources, classes, figures)
    there = np.isfinite(of_cell[..., :1])  # not every source has both classes
    of_cell = np.where(there, of_cell, 0)

    def statistics(drawn: np.ndarray) -> dict[str, float]:
        with np.errstate(invalid="ignore"):  # NaN for a class that no resampled source has
            by_class = of_cell[drawn].sum(axis=0) / there[drawn].sum(axis=0)
            correct, decided, correct_and_decided, *gaps = by_class.mean(axis=0)
            accuracy = correct_and_decided / decided
        return {
            "balanced_accuracy": float(correct),
            "recall": float(by_class[1, 0]),
            "specificity": float(by_class[0, 0]),
            "decided": float(decided),
            "accuracy_of_decided": float(accuracy),
            "ece": float(np.abs(gaps).sum()),
        }

    return bootstrap(statistics, names, seed)


def _of_cells(judged: _Judged, source: str) -> np.ndarray:
    """For each class of a source, shares of its photos and its part of the calibration error.

    The columns are: correct, decided, both, and for each bin of probabilities the sum of
    (probability - label) divided by the number of photos. NaN for a class without photos.
    """
    found = np.full((len(LABELS), 3 + CALIBRATION_BINS), np.nan)
    for label in range(len(LABELS)):
        photos = (judged.source == source) & (judged.label == label)
        if photos.any():
            correct, decided = judged.correct[photos], judged.decided[photos]
            probability = judged.probability[photos]
            bins = calibration_bin(probability)
            gaps = np.bincount(bins, weights=probability - label, minlength=CALIBRATION_BINS)
            shares = correct.mean(), decided.mean(), (correct & decided).mean()
            found[label] = [*shares, *(gaps / len(bins))]
    return found


def _of_source(judged: _Judged, source: str, seed: int) -> SourceMetrics:
    photos = judged.source == source
    by_class = {
        name: _of_class(judged, photos & (judged.label == label), seed)
        for label, name in enumerate(LABELS)
    }
    return SourceMetrics(fold=int(judged.fold[photos][0]), **by_class)


def _of_class(judged: _Judged, chosen: np.ndarray, seed: int) -> ClassMetrics | None:
    if not chosen.any():
        return None
    correct = judged.correct[chosen]
    found = bootstrap(
        lambda rows: {"accuracy": float(correct[rows].mean())},
        *(judged.group[chosen], seed, {"accuracy": np.ones(len(correct), bool)}),
    )
    return ClassMetrics(count=len(correct), accuracy=found["accuracy"])


def _worst(sources: Mapping[str, SourceMetrics]) -> WorstSource | None:
    """The source and class with the lowest accuracy, among those with enough photos."""
    cells = [
        WorstSource(source=source, label=label, count=found.count, accuracy=found.accuracy)
        for source, metrics in sources.items()
        for label in LABELS
        if (found := getattr(metrics, label)) and found.count >= FEWEST_FOR_WORST
    ]
    return min(cells, key=lambda cell: cell.accuracy.value or 0.0, default=None)


def _roc_auc(judged: _Judged, fold: int) -> float | None:
    labels, logits = judged.label[judged.fold == fold], judged.logit[judged.fold == fold]
    return float(roc_auc_score(labels, logits)) if len(np.unique(labels)) == 2 else None


def _home_threshold(
    answers: Sequence[FoldAnswer],
    home_logits: Mapping[str, float],
    scale: LogitScale,
    decision: Decision,
) -> float:
    """The threshold that the home photos would give, as a probability under this decision."""
    labels = {one.path: one.damaged for one in answers if one.part == HOME}
    logits = np.array([home_logits[path] for path in labels], np.float64)
    probabilities = decision.probabilities(scale.factor * logits + scale.offset)
    return choose_threshold(probabilities, np.array([*labels.values()], int))
