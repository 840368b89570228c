"""A list of photos whose label looks wrong, found by confident learning.

The method is confident learning (Northcutt, Jiang & Chuang 2021, https://arxiv.org/abs/1911.00068)
in its authors' library, cleanlab. It uses out-of-fold probabilities: a logistic regression is
fitted on four fifths of the photos and predicts the other fifth. Copies stay in the same fold. The
features are those of the backbone before fine-tuning, which would have memorised wrong labels.
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
    """The photos of all three splits whose label looks wrong, the most suspicious first.

    `features`: pooled features, float32 (n, d), of every image of each split. `probe` is the
    classifier, which is fitted again in each fold. Each class needs photos of at least two groups.
    """
    splits = [getattr(dataset, name) for name in SPLITS]
    photos = np.concatenate([split.of_kind("photo") for split in splits])
    rows = [row for split in splits for row in split.rows if row.kind == "photo"]
    labels = np.concatenate([split.y for split in splits])[photos].astype(int)
    of_photos = np.concatenate([features[name] for name in SPLITS])[photos]
    groups = np.array([row.group for row in rows])
    found = suspicious(of_photos, labels, groups, probe, seed)
    return [
        LabelIssue(rows[at].path, rows[at].label, LABELS[1 - labels[at]], quality)
        for at, quality in found.items()
    ]


def suspicious(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, probe: Pipeline, seed: int
) -> dict[int, float]:
    """The positions of labels that look wrong, the most suspicious first, and their quality.

    `features`: float32 (n, d). `labels`: int (n,), 1 for damaged. `groups`: (n,), the same for
    copies. The quality is the out-of-fold probability of the label. Each class needs photos of at
    least two groups.
    """
    import cleanlab.filter  # takes a second or two, with pandas, and is rarely needed
    import cleanlab.rank

    likely = _out_of_fold(features, labels, groups, probe, seed)
    quality = cleanlab.rank.get_label_quality_scores(labels, likely, method="self_confidence")
    wrong = cleanlab.filter.find_label_issues(
        labels, likely, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return {int(at): float(quality[at]) for at in wrong}


def read_label_issues(folder: Path) -> list[LabelIssue] | None:
    """Read a version's `label_issues.csv`; None if labels were not checked.

    Raises `UserError` if the file has changed since `write_label_issues` wrote it.
    """
    path = folder / LABEL_ISSUES
    return read_table(path, LabelIssue) if path.exists() else None


def write_label_issues(folder: Path, issues: list[LabelIssue]) -> None:
    """Write `label_issues.csv` into `folder`."""
    write_table(folder / LABEL_ISSUES, issues, LabelIssue)


def _out_of_fold(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, probe: Pipeline, seed: int
) -> np.ndarray:
    """The probabilities of both classes for each photo, from a probe not fitted on its copies."""
    fewest = min(len(np.unique(groups[labels == label])) for label in range(len(LABELS)))
    folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    return cross_val_predict(
        probe, features, labels, groups=groups, cv=folds, method="predict_proba"
    )
