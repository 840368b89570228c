"""How good a version is on the user's own photos, which no model of its line was trained on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from car_damage import model_store
from car_damage.dataset.arrays import Images, RejectedRow, Row, Split
from car_damage.dataset.find import find_photos, skipped_files
from car_damage.dataset.prepare import groups_of_copies
from car_damage.dataset.scan import scan
from car_damage.decision import Decision
from car_damage.errors import UserError
from car_damage.evaluation.calibration import REVIEW_TARGET
from car_damage.evaluation.costs import cost_metrics
from car_damage.evaluation.evaluate import decided_estimate, metrics_of_folders, metrics_of_slices
from car_damage.evaluation.predictions import Predictions, predictions_from
from car_damage.evaluation.slices import mean_luma, slices_by_luma
from car_damage.manifest import CostMetrics, Costs, Metrics, ReviewMetrics
from car_damage.model_store import Record
from car_damage.parallel import map_in_order, per_thread
from car_damage.predictor import Graph
from car_damage.progress import progress
from car_damage.wording import counted

SEED = 0  # of the intervals


@dataclass(frozen=True)
class Answered:
    """A photo, what the graph says of it, and how bright it is, 0 to 255."""

    row: Row
    logit: float
    luma: float


@dataclass(frozen=True)
class OwnPhotos:
    """The photos of a folder that a version can be measured on, and those that it cannot."""

    answered: list[Answered]  # in which each row has the name of its group of copies
    learnt: int | None  # photos that were trained on, and their copies; None: unknown
    rejected: list[RejectedRow]
    skipped: Counter[str]  # as `wording.not_looked_at` takes it

    @property
    def split(self) -> Split:
        """The photos as a split whose images are not kept."""

        def gone(_: int) -> np.ndarray:
            raise NotImplementedError("the images were not kept")

        rows = [one.row for one in self.answered]
        y = np.array([row.label == "damaged" for row in rows], np.uint8)
        return Split(Images(gone, len(rows), 1), y, rows, size=1)


def answer_photos(record: Record, folder: Path) -> OwnPhotos:
    """Have a version answer the photos in `folder`/damaged and `folder`/not-damaged.

    Left out are photos that cannot be used, that are in both classes, or that the version or one
    that it started from was trained on. Raises `UserError` if none is left.
    """
    learnt = model_store.trained_on(record.folder)
    scanned, rejected = _scan(record, find_photos([folder]), learnt or frozenset())
    groups, in_both_classes = groups_of_copies([one.row for one in scanned])
    answers = {one.row.path: one for one in scanned}
    answered: list[Answered] = []
    known = 0
    for group in groups:
        if learnt and any(row.sha256 in learnt for row in group):
            known += len(group)
            continue
        name = min(row.sha256 for row in group)[:12]
        answered += [
            replace(answers[row.path], row=replace(row, group=name, split="test")) for row in group
        ]
    own = OwnPhotos(
        sorted(answered, key=lambda one: one.row.path),
        None if learnt is None else known,
        rejected + in_both_classes,
        skipped_files([folder]),
    )
    if not answered:
        raise _nothing_left(own, record, folder)
    return own


def _scan(
    record: Record, found: Sequence[Row], learnt: frozenset[str]
) -> tuple[list[Answered], list[RejectedRow]]:
    graph, size = per_thread(lambda: Graph(record.graph)), record.manifest.size

    def answer(photo: Row) -> Answered | RejectedRow:
        result = scan(photo, size)
        if isinstance(result, RejectedRow):
            return result
        row, image = result
        logit = 0.0 if row.sha256 in learnt else graph().run(image).logit  # it is left out anyway
        return Answered(row, logit, mean_luma(image))

    results = list(progress(map_in_order(answer, found), "answering photos", len(found)))
    return (
        [one for one in results if isinstance(one, Answered)],
        [one for one in results if isinstance(one, RejectedRow)],
    )


def _nothing_left(own: OwnPhotos, record: Record, folder: Path) -> UserError:
    reasons = Counter(one.reason for one in own.rejected)
    if own.learnt:
        reasons[f"that {record.version} was trained on"] = own.learnt
    why = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
    return UserError(f"no photo in {folder} can be measured ({why}): name a folder of other photos")


def predictions_of(own: OwnPhotos, decision: Decision) -> Predictions:
    """What a decision makes of the answers."""
    return predictions_from(own.split, np.array([one.logit for one in own.answered]), decision)


def measure(
    own: OwnPhotos, predictions: Predictions, costs: Costs | None, target: float = REVIEW_TARGET
) -> Metrics:
    """All metrics that the photos give; `target` is what the review band was chosen for."""
    rows, split = [one.row for one in own.answered], predictions.split
    every = np.ones(len(rows), bool)
    parts = slices_by_luma(split, np.array([one.luma for one in own.answered]))
    return Metrics(
        photos=predictions.metrics(every, SEED),
        data_folders=metrics_of_folders(predictions, rows, SEED),
        slices=metrics_of_slices(predictions, parts, SEED),
        review=ReviewMetrics(target=target, test=decided_estimate(predictions, SEED)),
        cost=costs and cost_metrics(predictions, every, costs, SEED),
    )


def cost_before(own: OwnPhotos, record: Record, costs: Costs) -> CostMetrics:
    """What the photos cost with the version's own threshold and review band."""
    predictions = predictions_of(own, record.manifest.decision)
    return cost_metrics(predictions, np.ones(len(own.answered), bool), costs, SEED)


def left_out(own: OwnPhotos, version: str) -> list[str]:
    """Sentences on the photos that were not measured, and why."""
    counts = Counter(one.reason for one in own.rejected)
    lines = [f"left out: {counted(number, 'photo')}, {word}" for word, number in counts.items()]
    if own.learnt:
        photos = counted(own.learnt, "photo")
        lines.append(f"left out: {photos} that {version} was trained on, or copies of such photos")
    if own.learnt is None:
        lines.append(
            f"it is not known which photos {version} was trained on: if some of these are among "
            "them, the figures are too good"
        )
    return lines
