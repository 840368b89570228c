"""Evaluation of a version on the user's own photos, without those it was trained on."""

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

SEED = 0  # for the intervals


@dataclass(frozen=True)
class Answered:
    """A photo, the graph's logit for it, and its brightness, 0 to 255."""

    row: Row
    logit: float
    luma: float


@dataclass(frozen=True)
class OwnPhotos:
    """The photos of a folder that a version can be evaluated on, and those left out."""

    answered: list[Answered]  # each row has the name of its group of copies
    learnt: int | None  # the number of training photos and their copies; None if unknown
    rejected: list[RejectedRow]
    skipped: Counter[str]  # the argument of `wording.not_looked_at`

    @property
    def split(self) -> Split:
        """The photos as a split without images."""

        def gone(_: int) -> np.ndarray:
            raise NotImplementedError("the images were not kept")

        rows = [one.row for one in self.answered]
        y = np.array([row.label == "damaged" for row in rows], np.uint8)
        return Split(Images(gone, len(rows), 1), y, rows, size=1)


def answer_photos(record: Record, folder: Path) -> OwnPhotos:
    """Run a version on the photos in `folder`/damaged and `folder`/not-damaged.

    Photos are left out if they cannot be used, if they are in both classes, or if the version or
    one of its ancestors was trained on them. Raises `UserError` if no photo is left.
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
        logit = 0.0 if row.sha256 in learnt else graph().run(image).logit  # left out later
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
    return UserError(f"No photo in {folder} can be used ({why}). Choose another folder.")


def predictions_of(own: OwnPhotos, decision: Decision) -> Predictions:
    """The predictions that a decision gives for these logits."""
    return predictions_from(own.split, np.array([one.logit for one in own.answered]), decision)


def measure(
    own: OwnPhotos, predictions: Predictions, costs: Costs | None, target: float = REVIEW_TARGET
) -> Metrics:
    """All metrics on these photos; `target` is the accuracy that the review band was chosen for."""
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
    """The cost of the photos with the version's own threshold and review band."""
    predictions = predictions_of(own, record.manifest.decision)
    return cost_metrics(predictions, np.ones(len(own.answered), bool), costs, SEED)


def left_out(own: OwnPhotos, version: str) -> list[str]:
    """Lines on the photos that were left out, and why."""
    counts = Counter(one.reason for one in own.rejected)
    lines = [f"left out: {counted(number, 'photo')}, {word}" for word, number in counts.items()]
    if own.learnt:
        photos = counted(own.learnt, "photo")
        lines.append(f"left out: {photos} that {version} was trained on, or copies of such photos")
    if own.learnt is None:
        lines.append(
            f"it is unknown which photos {version} was trained on; if some of these are among "
            "them, the figures are too good"
        )
    return lines
