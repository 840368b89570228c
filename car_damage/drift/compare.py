"""Compare photos with a baseline, number by number and all at once.

Drift is a difference that is neither chance nor small. Three conditions must hold:

- It is significant: p below `SIGNIFICANT` after Holm's correction for all comparisons. This alone
  would alarm nearly every day, because these p-values assume photos that come independently.
- It is more than `FACTOR` times what chance makes of blocks of neighbouring photos.
- It is large enough to matter: above the constants below.

docs/drift.md has the experiment in which `FACTOR` and the constants were chosen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import kstwobign, mannwhitneyu, norm
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from car_damage.drift.baseline import AT, BLOCK, Averages, Baseline, differences_of, table_of
from car_damage.drift.features import ANSWERS, Photos

FEWEST = AT  # photos; with fewer, only very large changes would be noticed
NEWEST = AT  # the newest photos are compared on their own too, so that a change shows soon
SIGNIFICANT = 0.01
FACTOR = 2.0
MOVED = 0.2  # a Kolmogorov-Smirnov distance: one photo in five is elsewhere than before
DISCREPANCY = 0.15  # in the kernel's space, in which photos have the length 1
SEPARABLE = 0.6  # 2 AUC - 1 of a classifier that tells new photos from the baseline's
FEWEST_FOR_CLASSIFIER = 1000  # photos; below, it finds less than the others (Rabanser et al. 2019)
LOSS = 0.05  # of accuracy
FEWEST_AUDITS = 30
PERMUTATIONS = 9999  # so that the smallest p passes Holm's correction for 56 comparisons
FOLDS = 5
KERNEL, CLASSIFIER, ACCURACY = "kernel", "classifier", "accuracy"


class Comparison(NamedTuple):
    """One number, before and now. `before` and `now` are medians, or shares of photos."""

    name: str
    photos: int  # those compared with the baseline
    difference: float
    limit: float
    p: float
    before: float | None = None
    now: float | None = None

    @property
    def ratio(self) -> float:
        """The difference as a multiple of its limit; 0 if it is not significant."""
        return self.difference / self.limit if self.p < SIGNIFICANT else 0.0

    @property
    def is_drift(self) -> bool:
        """Whether the number has changed by enough to matter."""
        return self.ratio > 1


class Audits(NamedTuple):
    """Sure answers that were drawn at random and reviewed."""

    photos: int
    correct: int


def compare(
    baseline: Baseline,
    photos: Photos,
    earlier: Photos | None = None,
    audits: tuple[Audits, Audits] | None = None,
) -> list[Comparison]:
    """Compare photos with the baseline, and their newest ones too if there are many.

    `earlier` are the baseline's photos that are still stored, for the classifier. `audits` are the
    baseline's and the new ones. Holm's correction covers all comparisons.
    """
    found = _compared(baseline, photos)
    if len(photos) >= 2 * NEWEST:
        found += _compared(baseline, photos.part(slice(-NEWEST, None)))
    if earlier is not None and min(len(earlier), len(photos)) >= FEWEST_FOR_CLASSIFIER:
        found.append(_told_apart(baseline, earlier, photos))
    if audits is not None and min(each.photos for each in audits) >= FEWEST_AUDITS:
        found.append(_less_accurate(*audits))
    corrected = holm([each.p for each in found])
    return [each._replace(p=p) for each, p in zip(found, corrected, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) corrected p-values: the chance of any false one among all is bounded."""
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    corrected = np.minimum(1, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    result = np.empty(len(order))
    result[order] = corrected
    return result.tolist()


def limits(baseline: Baseline, photos: int) -> np.ndarray:
    """The limits of the differences of a number of photos, float64 (f + 1,).

    The standard error of a mean falls with the square root of the number of photos, and the
    baseline's own adds to it.
    """
    chance = baseline.chance * np.sqrt(AT / photos + AT / baseline.count)
    large = np.full(len(chance), MOVED)
    large[-1] = DISCREPANCY
    return np.maximum(FACTOR * chance, large)


def _compared(baseline: Baseline, photos: Photos) -> list[Comparison]:
    """The Kolmogorov-Smirnov test of each number, and the kernel two-sample test."""
    averages = baseline.averages_of(photos)
    before, now = baseline.averages.whole, averages.whole
    differences = differences_of(*before, *now)
    bounds = limits(baseline, len(photos))
    effective = np.sqrt(len(photos) * baseline.count / (len(photos) + baseline.count))
    found = [
        Comparison(
            *(name, len(photos), float(difference), float(bound)),
            float(kstwobign.sf(difference * effective)),
            *(_typical(name, steps, shares) for shares in (old, new)),
        )
        for name, difference, bound, steps, old, new in zip(
            *(baseline.names, differences[:-1], bounds[:-1], baseline.steps, before[0], now[0]),
            strict=True,
        )
    ]
    p = _permuted(baseline.averages, averages)
    return [*found, Comparison(KERNEL, len(photos), float(differences[-1]), float(bounds[-1]), p)]


def _typical(name: str, steps: np.ndarray, shares: np.ndarray) -> float:
    """The median of a number, or the share of photos with this answer."""
    if name in ANSWERS:
        return 1 - float(shares[0])
    return float(steps[min(int(np.searchsorted(shares, 0.5)), len(steps) - 1)])


def _permuted(before: Averages, now: Averages) -> float:
    """The p-value of the kernel two-sample test, by exchanging blocks of neighbouring photos."""
    random = np.random.default_rng(0)
    sizes = np.concatenate([before.sizes, now.sizes]).astype(float)[:, np.newaxis]
    # The last column counts the photos, so that one product gives sums and numbers.
    sums = np.hstack([sizes * np.concatenate([before.waves, now.waves]), sizes])
    is_new = np.repeat([False, True], [len(before.sizes), len(now.sizes)])
    permuted = random.permuted(np.tile(is_new, (PERMUTATIONS, 1)), axis=1)
    new = np.vstack([is_new, permuted]) @ sums
    old = sums.sum(axis=0) - new
    apart = new[:, :-1] / new[:, -1:] - old[:, :-1] / old[:, -1:]
    found = np.linalg.norm(apart, axis=1)
    return float(np.mean(found >= found[0] - 1e-12))


def _told_apart(baseline: Baseline, earlier: Photos, photos: Photos) -> Comparison:
    """The classifier two-sample test: can a model tell new photos from the baseline's?"""
    tables = [table_of(each, baseline.components, baseline.names) for each in (earlier, photos)]
    is_new = np.repeat([0, 1], [len(each) for each in tables])
    blocks = np.arange(len(is_new)) // BLOCK  # neighbours never judge each other
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    scores = cross_val_predict(
        *(model, np.concatenate(tables), is_new),
        groups=blocks,
        cv=GroupKFold(FOLDS),
        method="decision_function",
    )
    test = mannwhitneyu(scores[is_new == 1], scores[is_new == 0], alternative="greater")
    auc = test.statistic / len(earlier) / len(photos)
    return Comparison(CLASSIFIER, len(photos), 2 * auc - 1, SEPARABLE, float(test.pvalue))


def _less_accurate(before: Audits, now: Audits) -> Comparison:
    """Whether fewer of the audited answers are correct than before."""
    was, is_now = (each.correct / each.photos for each in (before, now))
    # With two added successes and failures, as in records/summary.py
    shares = [(each.correct + 2) / (each.photos + 4) for each in (before, now)]
    error = sum(
        share * (1 - share) / each.photos for share, each in zip(shares, (before, now), strict=True)
    )
    lost = was - is_now
    limit = max(LOSS, FACTOR * norm.isf(SIGNIFICANT) * error**0.5)
    return Comparison(
        ACCURACY, now.photos, lost, limit, float(norm.sf(lost / error**0.5)), was, is_now
    )
