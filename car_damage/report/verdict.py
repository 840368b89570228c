"""The verdict at the top of a report, and the next steps at its end."""

from dataclasses import dataclass
from pathlib import Path

from car_damage import model_store, paths
from car_damage.decision import FEWEST_DECIDED
from car_damage.evaluation.slices import is_too_small
from car_damage.manifest import CostMetrics, DecidedEstimate, Estimate, Metrics
from car_damage.report.formats import amount, percent
from car_damage.report.results import Results
from car_damage.wording import counted

# The lower end of a figure's 95 % interval must reach these shares.
TO_SORT = 0.8  # accuracy on all photos
TO_DECIDE = 0.95  # accuracy on the photos decided without a person
FEWEST_DECIDED_SHARE = 0.5  # of all photos; below it, a person still checks most of them


@dataclass(frozen=True)
class Weakest:
    """The photos that a version does worst on, if the difference is more than chance."""

    photos: str
    accuracy: Estimate


@dataclass(frozen=True)
class Step:
    """A next step, and the command for it."""

    what: str
    command: str | None = None


def verdict(metrics: Metrics) -> str | None:
    """State what the version is good for; None if nothing was measured.

    Cross-source validation decides if there was one. If costs chose the threshold, the cost
    decides instead of accuracy, which can be low although a person corrects most mistakes.
    """
    if metrics.cost:
        return _worth(metrics.cost) + (" (measured on known sources)." if metrics.abroad else ".")
    accuracy = metrics.photos.accuracy if metrics.photos else None
    decided = metrics.review.test if metrics.review else None
    if metrics.abroad:
        accuracy, decided = metrics.abroad.balanced_accuracy, metrics.abroad.review
    if accuracy is None or accuracy.value is None:
        return None
    found = weakest(metrics)
    verdict = f"{_good_for(accuracy, decided)}."
    if found is None:
        return verdict
    return f"{verdict} It does worst on {found.photos} ({percent(found.accuracy)} correct)."


def _good_for(accuracy: Estimate, decided: DecidedEstimate | None) -> str:
    if _can_decide(decided):
        share = percent(decided.decided, 0) if decided else ""
        return (
            f"Good enough to decide {share} of the photos on its own, if a person checks the rest"
        )
    if accuracy.low is not None and accuracy.low >= TO_SORT:
        return "Good enough to sort photos, but not to decide on its own"
    if accuracy.high is not None and accuracy.high < TO_SORT:
        return "Not good enough: it is wrong on more than one photo in five"
    return "There are too few test photos to say whether it is good enough"


def _worth(cost: CostMetrics) -> str:
    found, by_a_person = cost.per_thousand, 1000 * cost.costs.review
    if found.high is not None and found.high < by_a_person:
        saved = f"1,000 photos cost {amount(found.value)} instead of {amount(by_a_person)}"
        return f"At these costs, it is cheaper than a person who checks every photo: {saved}"
    if found.low is not None and found.low > by_a_person:
        return "At these costs, a person who checks every photo is cheaper"
    return "There are too few test photos to say whether it saves money at these costs"


def _can_decide(decided: DecidedEstimate | None) -> bool:
    if decided is None or decided.decided.value is None or decided.accuracy.low is None:
        return False
    return decided.decided.value >= FEWEST_DECIDED_SHARE and decided.accuracy.low >= TO_DECIDE


def weakest(metrics: Metrics) -> Weakest | None:
    """The part of the photos with the lowest accuracy, if it is surely below the accuracy on all.

    That is so if its whole 95 % interval is below.
    """
    parts = [
        Weakest(name if name.startswith("crops") else f"{name} photos", part.accuracy)
        for name, part in (metrics.slices or {}).items()
        if part.accuracy and not is_too_small(part, "accuracy")
    ]
    parts += [
        Weakest(f"photos in {name}", part.accuracy)
        for name, part in (metrics.data_folders or {}).items()
        if part.accuracy and not is_too_small(part, "accuracy")
    ]
    if metrics.abroad and (worst := metrics.abroad.worst_source):
        kind = worst.label.replace("not_", "un")
        parts.append(Weakest(f"{kind} cars from {worst.source}", worst.accuracy))
    overall = metrics.photos and metrics.photos.accuracy and metrics.photos.accuracy.value
    surely = [one for one in parts if overall and (one.accuracy.high or 1.0) < overall]
    return min(surely, key=lambda one: one.accuracy.value or 0.0, default=None)


def next_steps(results: Results, models: Path, photos_for_a_band: int | None) -> list[Step]:
    """The next steps with a version, the most useful first."""
    steps, metrics = [], results.metrics
    if results.label_issues:
        photos = counted(len(results.label_issues), "photo")
        steps.append(
            Step(f"Check the {photos} in label_issues.csv. Move those with a wrong label.")
        )
    steps += training_photos_to_add(metrics)
    val = metrics.review and metrics.review.val
    if val and val.photos is not None and val.photos < FEWEST_DECIDED and photos_for_a_band:
        steps.append(
            Step(f"Collect more photos. A review band takes about {photos_for_a_band:,} in all.")
        )
    if not metrics.abroad and not results.manifest.sample:
        steps.append(
            Step(
                "If your photos come from several sources, test it on new sources:",
                "python model_training.py --cross-sources",
            )
        )
    steps.append(Step("Test it on your own photos:", _evaluate(models, results)))
    if results.version != model_store.current(models):
        command = model_store.command(models, "use", results.version)
        steps.append(Step("To use this version instead of the current one:", command))
    return steps


def _evaluate(models: Path, results: Results) -> str:
    is_default = models.absolute() == paths.MODELS
    return f"python evaluate.py FOLDER --model {results.version}" + (
        "" if is_default else f" --models {models}"
    )


def training_photos_to_add(metrics: Metrics) -> list[Step]:
    """The step to add training photos of the kind that the version does worst on, if any."""
    if found := weakest(metrics):
        return [Step(f"Add training photos of the kind that it does worst on: {found.photos}.")]
    return []
