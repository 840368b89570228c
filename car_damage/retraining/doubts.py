"""Decide which labelled photos may enter the data set, before any of them does."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from car_damage import model_store
from car_damage.dataset.arrays import RejectedRow, Row
from car_damage.dataset.find import LABELS
from car_damage.dataset.prepare import groups_of_copies
from car_damage.dataset.scan import scan
from car_damage.evaluation.label_issues import suspicious
from car_damage.model_store import Record
from car_damage.parallel import map_in_order, per_thread
from car_damage.predictor import Graph
from car_damage.progress import progress

STRENGTH = 0.1  # C, the inverse regularisation; features outnumber the photos of many data sets
FEWEST = 2  # groups of copies of each class, so that each can be predicted from others
# The largest out-of-fold probability of a label that is left out. Photos unlike those seen so far
# are hard to predict, so cleanlab doubts many of their labels, and they are needed most. It doubted
# 54 of 300 correct labels of darkened drawn cars. With this limit, it was 1.
MOST_DOUBTED = 0.1
LOOKS_WRONG = "label_looks_wrong"


@dataclass(frozen=True)
class Looked:
    """Photos that could be read, with an embedding for each: float32 (n, d)."""

    rows: list[Row]
    embeddings: np.ndarray
    rejected: list[RejectedRow]


def reasons_against(
    record: Record, old: Sequence[Row], new: Sequence[Row], sure: Collection[str]
) -> dict[str, str]:
    """Why some photos in `new` must not be trained on: a reason for the path of each.

    `old` are the other photos of the data set. A photo is left out if it cannot be used, if a copy
    of it is in the other class, or if its label looks wrong by confident learning
    (`label_issues.py`): the others give it a probability below `MOST_DOUBTED`.

    The features are the embeddings of the version in use, which tend to agree with its answers. So
    they do not judge the photos in `sure` (SHA-256), whose label may correct a mistake, nor photos
    that the version has learnt, perhaps with the other label.
    """
    looked = _look(record, [*old, *new])
    groups, in_both = groups_of_copies(looked.rows)
    found = {row.path: row.reason for row in [*looked.rejected, *in_both]}
    group_of = {row.path: number for number, group in enumerate(groups) for row in group}
    at = [number for number, row in enumerate(looked.rows) if row.path in group_of]
    rows = [looked.rows[number] for number in at]
    doubtful = _doubtful(rows, looked.embeddings[at], group_of)
    believed = {*sure, *(model_store.trained_on(record.folder) or ())}
    found |= {row.path: LOOKS_WRONG for row in doubtful if row.sha256 not in believed}
    return {row.path: found[row.path] for row in new if row.path in found}


def _look(record: Record, photos: Sequence[Row]) -> Looked:
    graph = per_thread(lambda: Graph(record.graph))

    def look(row: Row) -> tuple[Row, np.ndarray] | RejectedRow:
        scanned = scan(row, record.manifest.size)
        if isinstance(scanned, RejectedRow):
            return scanned
        return scanned[0], graph().run(scanned[1]).embedding

    results = list(progress(map_in_order(look, photos), "checking labels", len(photos)))
    usable = [result for result in results if not isinstance(result, RejectedRow)]
    return Looked(
        [row for row, _ in usable],
        np.stack([embedding for _, embedding in usable]),
        [result for result in results if isinstance(result, RejectedRow)],
    )


def _doubtful(rows: Sequence[Row], embeddings: np.ndarray, group_of: dict[str, int]) -> list[Row]:
    """The photos whose label looks wrong."""
    labels = np.array([LABELS.index(row.label) for row in rows])
    groups = np.array([group_of[row.path] for row in rows])
    if min(len(np.unique(groups[labels == label])) for label in range(len(LABELS))) < FEWEST:
        return []
    probe = make_pipeline(
        VarianceThreshold(), StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000)
    )
    found = suspicious(embeddings, labels, groups, probe, seed=0)
    return [rows[at] for at, quality in found.items() if quality < MOST_DOUBTED]
