"""Decide whether a new version becomes the current one."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from car_damage import model_store, photos
from car_damage.dataset.arrays import Dataset, Row
from car_damage.dataset.sources import is_feedback
from car_damage.errors import UserError
from car_damage.evaluation.calibration import cheapest_decision
from car_damage.evaluation.comparison import (
    FEWEST_FEEDBACK,
    AgainstCurrent,
    Comparison,
    compare,
    write_comparison,
)
from car_damage.evaluation.inference import graph_logits
from car_damage.manifest import Costs
from car_damage.parallel import map_in_order
from car_damage.paths import located
from car_damage.release.export import Exported
from car_damage.wording import counted


def promote(
    models: Path,
    name: str,
    exported: Exported,
    dataset: Dataset,
    rule: str,
    costs: Costs | None = None,
) -> str:
    """Make `name` current if `rule` (`auto`, `always` or `never`) says so; return the reason.

    `auto` tests for non-inferiority on test photos that neither version was trained on: the new
    version may lose at most `ACCURACY_MARGIN` of accuracy and `DECIDED_MARGIN` of the share of
    photos decided without a person, each with 95 % confidence. Labelled photos from the service
    (`sources.is_feedback`) are compared apart: the new version must be right on at least as many of
    them, if there are `FEWEST_FEEDBACK`. The result is written to the new version's
    `comparison.json`. If `costs` chose the threshold and band of the new version, they
    also choose those of the current one. Otherwise a threshold for fewer missed cars would look
    like a loss.
    """
    current = model_store.current(models)
    if rule == "never":
        return f"{name} was not made the current version, as requested"
    if rule == "always" or current is None:
        model_store.use(models, name)
        return f"{name} is now the current version"
    try:
        against = _compare(models, current, exported, dataset, costs)
    except (OSError, photos.UnusablePhoto, UserError) as error:
        return f"{name} was not compared with {current}: {error}. {_how_to_use(models, name)}"
    write_comparison(models / name, against)
    seen = _described(against, name)
    if against.as_good:
        model_store.use(models, name)
        return f"{seen} {name} is now the current version"
    why = f"{name} looks worse"
    if (needed := against.comparison.photos_needed()) is not None:
        why = (
            f"These are too few photos to be sure that it is as good (about {needed:,} are needed)"
        )
        if against.comparison.as_good:
            why = f"{name} looks worse on the labelled photos"
    return f"{seen} {why}, so {current} stays. {_how_to_use(models, name)}"


def _described(against: AgainstCurrent, name: str) -> str:
    comparison, current = against.comparison, against.current
    correct, decided = comparison.accuracy, comparison.decided
    return (
        f"On {counted(comparison.photos, 'test photo')} that neither was trained on, {name} is "
        f"right on {correct.new} and {current} on {correct.current}, and they decide "
        f"{decided.new / decided.photos:.0%} and {decided.current / decided.photos:.0%} of the "
        f"photos without a person. {_about_feedback(against, name)}"
    ).strip()


def _about_feedback(against: AgainstCurrent, name: str) -> str:
    if against.feedback is None:
        return ""
    correct = against.feedback.accuracy
    too_few = "" if against.counts_feedback else f" (too few to count; it takes {FEWEST_FEEDBACK})"
    photos = counted(correct.photos, "held-out labelled photo")
    return (
        f"On {photos} from the service{too_few}, {name} is right on {correct.new} and "
        f"{against.current} on {correct.current}."
    )


def _how_to_use(models: Path, name: str) -> str:
    return f"To use {name} anyway: {model_store.command(models, 'use', name)}"


def _compare(
    models: Path, current: str, exported: Exported, dataset: Dataset, costs: Costs | None
) -> AgainstCurrent:
    """Compare on the test photos that neither version was trained on, copies included."""
    record = model_store.load_record(models, current)
    learnt = model_store.trained_on(record.folder)
    if learnt is None:
        raise UserError("it is unknown which photos the current version was trained on")
    test = dataset.test
    groups = np.array([row.group for row in test.rows])
    known = {row.group for row in test.rows if row.sha256 in learnt}
    unknown = test.of_kind("photo") & ~np.isin(groups, list(known))
    decision = record.manifest.decision
    if costs is not None:
        decision = cheapest_decision(costs, decision.temperature)

    def on(rows: np.ndarray) -> Comparison:
        logits = graph_logits(record.graph, _images(dataset, rows, record.manifest.size))
        return compare(
            test.y[rows],
            groups[rows],
            new=(exported.decision, exported.decision.probabilities(exported.test.logits[rows])),
            current=(decision, decision.probabilities(logits)),
        )

    labelled = np.array([is_feedback(row.path) for row in test.rows])
    others, feedback = np.flatnonzero(unknown & ~labelled), np.flatnonzero(unknown & labelled)
    if not len(others):
        raise UserError("it was trained on all test photos")
    return AgainstCurrent(current, on(others), on(feedback) if len(feedback) else None)


def _images(dataset: Dataset, rows: np.ndarray, size: int) -> Iterable[photos.Photo]:
    """The images at the version's size: from the arrays if they have it, else from the files."""
    if size == dataset.config.size:
        return (np.asarray(dataset.test.X[at]) for at in rows)

    def image(row: Row) -> photos.Photo:
        return photos.fit(photos.decode(located(row.path).read_bytes(), size), size)

    return map_in_order(image, [dataset.test.rows[at] for at in rows])
