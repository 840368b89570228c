"""Photos whose label looks wrong, found by confident learning, as a list to work through.

Confident learning (Northcutt, Jiang & Chuang 2021, https://arxiv.org/abs/1911.00068) by its
authors' library cleanlab, on probabilities that a photo's own label had no part in: each fifth of
the photos is judged by a logistic regression fitted on the others, copies together. The features
are those of the backbone as it was loaded: fine-tuning would have learnt the wrong labels by heart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline

from car_damage.dataset.arrays import Dataset, read_table, write_table
from car_damage.dataset.find import LABELS
from car_damage.dataset.split import SPLITS

LABEL_ISSUES = "label_issues.csv"
FOLDS = 5


@dataclass(frozen=True)
class LabelIssue:
    """A line of `label_issues.csv`."""

    path: str
    label: str
    suggested: str
    quality: float  # out-of-fold probability of `label`


def find_label_issues(
    dataset: Dataset, features: Mapping[str, np.ndarray], probe: Pipeline, seed: int
) -> list[LabelIssue]:
    """The photos of all three splits whose label looks wrong, the worst first.

    `features`: pooled features, float32 (n, d), of every image of each split. `probe` is the
    classifier, which is fitted anew in each fold. Each class needs photos of at least two groups.
    """
    import cleanlab.filter  # takes a second or two, with pandas; needed once a run at most
    import cleanlab.rank

    splits = [getattr(dataset, name) for name in SPLITS]
    photos = np.concatenate([split.of_kind("photo") for split in splits])
    rows = [row for split in splits for row in split.rows if row.kind == "photo"]
    labels = np.concatenate([split.y for split in splits])[photos].astype(int)
    of_photos = np.concatenate([features[name] for name in SPLITS])[photos]
    groups = np.array([row.group for row in rows])
    likely = _out_of_fold(of_photos, labels, groups, probe, seed)
    quality = cleanlab.rank.get_label_quality_scores(labels, likely, method="self_confidence")
    wrong = cleanlab.filter.find_label_issues(
        labels, likely, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return [
        LabelIssue(rows[at].path, rows[at].label, LABELS[1 - labels[at]], float(quality[at]))
        for at in wrong
    ]


def read_label_issues(folder: Path) -> list[LabelIssue] | None:
    """Read a version's `label_issues.csv`; None where nobody looked for any.

    Raises `UserError` where it is not as `write_label_issues` wrote it.
    """
    path = folder / LABEL_ISSUES
    return read_table(path, LabelIssue) if path.exists() else None


def write_label_issues(folder: Path, issues: list[LabelIssue]) -> None:
    """Write `label_issues.csv` into `folder`."""
    write_table(folder / LABEL_ISSUES, issues, LabelIssue)


def _out_of_fold(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, probe: Pipeline, seed: int
) -> np.ndarray:
    """For each photo the probability of each class, by a probe that has seen none of its copies."""
    fewest = min(len(np.unique(groups[labels == label])) for label in range(len(LABELS)))
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    return cross_val_predict(
        probe, features, labels, groups=groups, cv=folds, method="predict_proba"
    )
