"""What keeping copies together prevents: test photos that the model has seen in training."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from car_damage.dataset.arrays import Dataset, Split
from car_damage.training.answers import Answers
from car_damage.training.calibration import Calibration
from car_damage.training.outputs import graph_logits


def leaks(dataset: Dataset, test: Answers, graph: Path, calibration: Calibration) -> dict[str, Any]:
    """How many test photos would have had a copy in training, and how that would have looked.

    `test_photos_leaked` is an expectation, had photos been dealt to the splits one by one.
    `accuracy_without_grouping` is an estimate, for no model was trained that way: leaked photos are
    taken to be answered as training photos that have copies are, and the others as the test photos
    are. It is None where no training photo has a copy to tell from.
    """
    sizes = group_sizes([dataset.train, dataset.val, dataset.test])
    of_copies = [size for size in sizes.values() if size > 1]
    shares = dataset.about["shares"]
    leaked = leaked_share(sizes.values(), shares["train"])
    accuracy = float(test.right[test.split.of_kind("photo")].mean())
    seen = _accuracy_on_copies(dataset.train, sizes, graph, calibration)
    return {
        "groups_of_copies": len(of_copies),
        "photos_in_them": sum(of_copies),
        "test_photos_leaked": leaked * shares["test"] * sum(sizes.values()),
        "accuracy": accuracy,
        "accuracy_without_grouping": None
        if seen is None
        else leaked * seen + (1 - leaked) * accuracy,
    }


def group_sizes(splits: Iterable[Split]) -> Counter[str]:
    """How many photos each group has; close-ups are no photos of their own."""
    return Counter(row.group for split in splits for row in split.rows if row.kind == "photo")


def leaked_share(sizes: Iterable[int], train: float) -> float:
    """The share of test photos with a copy in training, on average over ways to deal them singly.

    Each photo goes to training with probability `train`, whatever becomes of the others. Of a group
    of k, a test photo has k - 1 copies, none of which is in training with (1 - train)^(k - 1).
    """
    size = np.array(list(sizes))
    return float(np.average(1 - (1 - train) ** (size - 1), weights=size))


def _accuracy_on_copies(
    train: Split, sizes: Counter[str], graph: Path, calibration: Calibration
) -> float | None:
    """The accuracy on the training photos that stand in groups of copies."""
    photos = train.of_kind("photo")
    copies = np.array([sizes[row.group] > 1 for row in train.rows])
    chosen = np.flatnonzero(photos & copies)
    if chosen.size == 0:
        return None
    answers = calibration.answers(graph_logits(graph, (train.X[row] for row in chosen)))
    return float(np.mean(answers == train.y[chosen]))
