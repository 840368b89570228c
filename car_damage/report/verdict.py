"""A report's first sentence, its verdict, and its last part: what to do next."""

from dataclasses import dataclass
from pathlib import Path

from car_damage import model_store, paths
from car_damage.decision import FEWEST_DECIDED
from car_damage.evaluation.slices import is_too_small
from car_damage.manifest import CostMetrics, DecidedEstimate, Estimate, Metrics
from car_damage.report.formats import amount, percent
from car_damage.report.results import Results
from car_damage.wording import counted

# What a figure must surely reach, with the lower end of its interval.
TO_SORT = 0.8  # of all photos right
TO_DECIDE = 0.95  # of the photos decided without a person right
FEWEST_DECIDED_SHARE = 0.5  # of the photos: if fewer are decided alone, a person sees most


@dataclass(frozen=True)
class Weakest:
    """The photos on which a version does worst, if the difference is larger than chance."""

    photos: str
    accuracy: Estimate


@dataclass(frozen=True)
class Step:
    """Something to do next, and the command that does it."""

    what: str
    command: str | None = None


def verdict(metrics: Metrics) -> str | None:
    """One sentence on what the version is good for; None if nothing was measured.

    Photos of sources that the model never saw decide, where there are any. Where costs chose the
    threshold, the cost decides: such a threshold may call many photos damaged that a person sees.
    """
    if metrics.cost:
        return _worth(metrics.cost) + (", on known sources." if metrics.abroad else ".")
    accuracy = metrics.photos.accuracy if metrics.photos else None
    decided = metrics.review.test if metrics.review else None
    if metrics.abroad:
        accuracy, decided = metrics.abroad.balanced_accuracy, metrics.abroad.review
    if accuracy is None or accuracy.value is None:
        return None
    found = weakest(metrics)
    on = f"; weakest on {found.photos} ({percent(found.accuracy)} right)" if found else ""
    return f"{_good_for(accuracy, decided)}{on}."


def _good_for(accuracy: Estimate, decided: DecidedEstimate | None) -> str:
    if _can_decide(decided):
        share = percent(decided.decided, 0) if decided else ""
        return f"Good enough to decide {share} of the photos alone and leave the rest to a person"
    if accuracy.low is not None and accuracy.low >= TO_SORT:
        return "Good enough to sort photos, not to decide alone"
    if accuracy.high is not None and accuracy.high < TO_SORT:
        return "Not good enough: it is wrong on more than one photo in five"
    return "Measured on too few photos to say whether it is good enough"


def _worth(cost: CostMetrics) -> str:
    found, by_a_person = cost.per_thousand, 1000 * cost.costs.review
    if found.high is not None and found.high < by_a_person:
        saved = f"1,000 photos cost {amount(found.value)} instead of {amount(by_a_person)}"
        return f"At these costs, it is cheaper than a person who looks at each photo: {saved}"
    if found.low is not None and found.low > by_a_person:
        return "At these costs, a person who looks at each photo is cheaper"
    return "Measured on too few photos to say whether it saves money at these costs"


def _can_decide(decided: DecidedEstimate | None) -> bool:
    if decided is None or decided.decided.value is None or decided.accuracy.low is None:
        return False
    return decided.decided.value >= FEWEST_DECIDED_SHARE and decided.accuracy.low >= TO_DECIDE


def weakest(metrics: Metrics) -> Weakest | None:
    """The part of the photos with the lowest accuracy, if it is surely below that of all photos."""
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
        cars = worst.label.replace("_", " ")
        parts.append(Weakest(f"{cars} cars of {worst.source}", worst.accuracy))
    overall = metrics.photos and metrics.photos.accuracy and metrics.photos.accuracy.value
    surely = [one for one in parts if overall and (one.accuracy.high or 1.0) < overall]
    return min(surely, key=lambda one: one.accuracy.value or 0.0, default=None)


def next_steps(results: Results, models: Path, photos_for_a_band: int | None) -> list[Step]:
    """What to do next with a version, the most useful first."""
    steps, metrics = [], results.metrics
    if results.label_issues:
        photos = counted(len(results.label_issues), "photo")
        steps.append(
            Step(f"Look at the {photos} in label_issues.csv: move those with a wrong label.")
        )
    steps += training_photos_to_add(metrics)
    val = metrics.review and metrics.review.val
    if val and val.photos is not None and val.photos < FEWEST_DECIDED and photos_for_a_band:
        steps.append(Step(f"Collect about {photos_for_a_band:,} photos in all, for a review band."))
    if not metrics.abroad and not results.manifest.sample:
        steps.append(
            Step(
                "Measure it on sources that it never saw, if your photos have several:",
                "python model_training.py --cross-sources",
            )
        )
    steps.append(Step("See how good it is on other photos of yours:", _evaluate(models, results)))
    if results.version != model_store.current(models):
        command = model_store.command(models, "use", results.version)
        steps.append(Step("If you prefer it to the version in use:", command))
    return steps


def _evaluate(models: Path, results: Results) -> str:
    is_default = models.absolute() == paths.MODELS
    return f"python evaluate.py FOLDER --model {results.version}" + (
        "" if is_default else f" --models {models}"
    )


def training_photos_to_add(metrics: Metrics) -> list[Step]:
    """The step of adding training photos of the kind on which the version does worst, if any."""
    if found := weakest(metrics):
        told = f"Add training photos like those it gets wrong most often: {found.photos}."
        return [Step(told)]
    return []
