"""The types of `model.json`, `dataset.json` and the training settings.

Fields that were added later have defaults, so that older files still load. An unknown entry comes
from another version of the program. It is refused, not ignored.
"""

import json
import math
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from car_damage.decision import LABELS, Decision, Label, rounded_up
from car_damage.photo_warnings import WarningLimits

FORMAT = 2
Model = TypeVar("Model", bound=BaseModel)

# The names of entries in format 1, and their names now
RENAMED = {
    "figures": "metrics",
    "data": "dataset",
    "doubt": "warning_limits",
    "missed": "false_negative_rate",
    "cleared": "specificity",
    "squares": "images",
}
DROPPED = ("labels", "fit", "leaks", "left_out")
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]  # never a path
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BY_FOLDER = ("slices", "data_folders")  # their keys are names of folders, not of entries

# Entries of early files in format 2. Cross-source validation has replaced the first, and the image
# size no longer changes during training.
DROPPED_LATER = (("metrics", "held_out_sources"), ("settings", "sides"))


class Frozen(BaseModel):
    """A part of a manifest. It is immutable and refuses unknown entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Frozen):
    """A measured value with its 95 % interval; None if the photos do not define it.

    Both ends are None if the photos give a value but not its uncertainty.
    """

    value: float | None
    low: float | None
    high: float | None


class MetricSet(Frozen):
    """Metrics of a set of photos; None for a metric that was not measured on them."""

    count: int
    damaged: int | None = None
    accuracy: Estimate | None = None
    false_negative_rate: Estimate | None = None
    specificity: Estimate | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None
    f1: Estimate | None = None
    roc_auc: Estimate | None = None
    pr_auc: Estimate | None = None
    brier: Estimate | None = None
    ece: Estimate | None = None
    slices: dict[str, "MetricSet"] | None = None


class Decided(Frozen):
    """The share of validation photos decided without a person, and the accuracy on these."""

    photos: int | None = None  # validation photos
    decided: float
    accuracy: float | None


class DecidedEstimate(Frozen):
    decided: Estimate
    accuracy: Estimate


class ReviewMetrics(Frozen):
    """How many photos the review band leaves to a person; it was chosen on validation photos."""

    target: float  # accuracy on the photos decided without a person
    val: Decided | None = None
    test: DecidedEstimate


class Costs(Frozen):
    """The cost of one photo, in any currency; a correct answer costs nothing."""

    missed: float = Field(gt=0)  # a damaged car that is classified as not damaged
    false_alarm: float = Field(gt=0)  # an undamaged car that is classified as damaged
    review: float = Field(gt=0)  # a person checks the photo and is assumed to be right


class CostMetrics(Frozen):
    """The cost of 1,000 photos like the measured ones, with the same share of damaged cars."""

    costs: Costs
    per_thousand: Estimate
    damaged: float  # the share of the measured photos that show damage


class GreyedMiddle(Frozen):
    """Shares of unsure and confident answers, before and after greying out each photo's middle."""

    count: int
    unsure_before: float
    unsure_after: float
    confident_damaged_before: float
    confident_damaged_after: float


class AttentionMetrics(Frozen):
    """Where in the photos the model sees damage; see `evaluation.robustness.attention`."""

    border_share: Estimate
    border_area: float
    greyed_middle: GreyedMiddle


class ExportComparison(Frozen):
    """The exported graph compared with the Keras model, on the validation images."""

    precision: str
    images: int
    keras_accuracy: float
    graph_accuracy: float
    largest_logit_difference: float


class LogitScale(Frozen):
    """A rescaling of logits: `factor` * logit + `offset`."""

    factor: float
    offset: float


class ClassMetrics(Frozen):
    """The number of photos of a class, and the share of them that is classified correctly."""

    count: int
    accuracy: Estimate


class SourceMetrics(Frozen):
    """Metrics of one source; None for a class that it does not contain."""

    fold: int  # the fold that held it out, from 0
    damaged: ClassMetrics | None = None
    not_damaged: ClassMetrics | None = None


class WorstSource(ClassMetrics):
    """The source and class with the lowest accuracy, among those with enough photos."""

    source: str
    label: Label


class CrossSourceMetrics(Frozen):
    """Cross-source validation: each source is classified by a model trained without it.

    Means are macro averages: each source counts the same within its class, and both classes count
    the same. Their intervals come from a bootstrap over sources. Temperature, threshold and review
    band for a fold's photos were chosen on the other folds. See
    `evaluation.cross_source_metrics`.
    """

    count: int  # photos
    folds: tuple[tuple[str, ...], ...]  # the sources that each model was trained without
    balanced_accuracy: Estimate  # the mean of recall and specificity
    recall: Estimate  # the share of damaged cars recognised, mean over sources
    specificity: Estimate  # the share of undamaged cars recognised, mean over sources
    ece: Estimate  # expected calibration error
    review_target: float  # accuracy on the photos decided without a person, to choose the band
    review: DecidedEstimate
    sources: dict[str, SourceMetrics]
    worst_source: WorstSource | None = None
    roc_auc_by_fold: tuple[float | None, ...]  # None for a fold with one class only
    logit_scale: LogitScale  # from the final model's logits to those of the folds
    threshold: float  # a probability for the final model, chosen on held-out sources
    home_threshold: float  # the same, chosen on validation photos of known sources

    @property
    def roc_auc(self) -> float | None:
        """The mean of the folds' ROC AUCs."""
        found = [each for each in self.roc_auc_by_fold if each is not None]
        return sum(found) / len(found) if found else None


class Metrics(Frozen):
    """All measurements of a version, on the test photos unless a field says otherwise."""

    photos: MetricSet | None = None
    close_ups: MetricSet | None = None
    data_folders: dict[str, MetricSet] | None = None
    slices: dict[str, MetricSet] | None = None
    same_size_and_quality: MetricSet | None = None
    review: ReviewMetrics | None = None
    attention: AttentionMetrics | None = None
    export: ExportComparison | None = None
    cost: CostMetrics | None = None  # None: the user gave no costs
    warnings: dict[str, dict[str, float]] | None = None  # shares, by kind of photo and warning
    abroad: CrossSourceMetrics | None = None  # on train and val photos; None: not measured
    # Of the pooled features of 300 validation photos; see `evaluation.features`.
    effective_dimension: float | None = None


class SplitCounts(Frozen):
    damaged: int
    not_damaged: int
    close_ups: int


class CopyCounts(Frozen):
    groups_of_copies: int
    photos_in_them: int


class DatasetConfig(Frozen):
    """`dataset.json`: the contents of a data set and the settings that made it."""

    sample: bool = False  # drawn cars
    size: int  # pixels: the side of the model's image
    stored: int | None = None  # pixels: the side of the squares in the arrays; None: `size`
    seed: int
    shares: dict[str, float]
    close_ups: int  # crops cut from each undamaged photo
    counts: dict[str, SplitCounts]
    copies: CopyCounts
    rejected: dict[str, int]
    python: str
    libraries: dict[str, str]
    fingerprint: str  # SHA-256 over the arrays and tables


class TrainingSettings(Frozen):
    """The settings that determine the model, with the data set and the initial weights."""

    unfreeze: str
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    keep: float = 0.0
    soup: bool = False
    leave_out: tuple[str, ...] = ()


class WeightsOrigin(Frozen):
    source: str  # `imagenet`, `none`, a file, or `<version>/model.keras`
    missing_layers: tuple[str, ...] = ()


class Manifest(Frozen):
    """`model.json`."""

    format: Literal[2] = 2
    version: str
    created: str | None = None  # ISO 8601
    backbone: str | None = None
    weights: WeightsOrigin | None = None
    settings: TrainingSettings | None = None
    size: int = Field(gt=0)  # pixels: the side of the model's image
    decision: Decision
    precision: str | None = None  # of the exported graph
    sample: bool = False  # trained on drawn cars
    dataset: DatasetConfig | None = None
    moved_to_training: dict[str, int] | None = (
        None  # photos that left val and test, see `without_learnt`
    )
    metrics: Metrics = Metrics()
    warning_limits: WarningLimits | None = None
    libraries: dict[str, str] | None = None
    files: dict[FileName, Sha256] = {}

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read `model.json`. Raises `ValueError` with a clause about what is wrong."""
        try:
            raw = json.loads(text, parse_constant=_finite, parse_float=_finite)
        except RecursionError as error:
            raise ValueError("its entries are nested too deeply") from error
        if isinstance(raw, dict) and "format" not in raw:
            raw = _from_format_1(raw)
        elif isinstance(raw, dict) and raw["format"] != FORMAT:
            raise ValueError(f"it has format {raw['format']}, but this program reads {FORMAT}")
        for part, name in DROPPED_LATER:
            if isinstance(raw, dict) and isinstance(raw.get(part), dict):
                raw[part].pop(name, None)
        return validated(cls, raw)

    def to_json(self) -> str:
        """The text of `model.json`, without entries that were never set."""
        entries = {"format": FORMAT} | self.model_dump(mode="json", exclude_unset=True)
        return json.dumps(entries, indent=2) + "\n"


def validated(model: type[Model], raw: object) -> Model:
    """Check `raw`, read from JSON, as a `model`. Raises `ValueError` on the first wrong entry."""
    try:
        # Strict, so that text does not pass for a number. As JSON, where a list may be a tuple.
        return model.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        what = {
            "json_invalid": f"it is not JSON: {first['msg']}",
            "model_type": f"{name or 'it'} is not a JSON object",
            "extra_forbidden": f"it has the unknown entry {name}, from another program version",
            "missing": f"it lacks the entry {name}",
        }.get(first["type"], f"its entry {name} is wrong: {first['msg']}")
        raise ValueError(what) from error


def _finite(number: str) -> float:
    """Parse a JSON number. Raises `ValueError` for NaN, Infinity and 1e999."""
    if not math.isfinite(value := float(number)):
        raise ValueError(f"it contains {number}, which is not a finite number")
    return value


def _from_format_1(raw: dict[str, Any]) -> dict[str, Any]:
    """Convert a manifest of format 1, which had no entry `format`, to the current names."""
    if raw.get("fit", "squeeze") != "squeeze":
        raise ValueError(f"it was made with --fit {raw['fit']}, an option that no longer exists")
    if raw.get("labels", list(LABELS)) != list(LABELS):
        raise ValueError(f"its labels are {raw['labels']} instead of {list(LABELS)}")
    new = _renamed(raw)
    band = new.pop("review_band", None)
    decision = {
        "temperature": new.pop("temperature", None),
        "threshold": _rounded_up(new.pop("threshold", 0.5)),
        "review_band": [_rounded_up(limit) for limit in band] if isinstance(band, list) else band,
    }
    return {**new, "format": FORMAT, "decision": decision}


def _rounded_up(limit: Any) -> Any:
    """Round a limit with `decision.rounded_up`; keep other types, which validation refuses."""
    return float(rounded_up(limit)) if isinstance(limit, int | float) else limit


def _renamed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        RENAMED.get(name, name): (
            {folder: _renamed(found) for folder, found in entry.items()}
            if name in BY_FOLDER and isinstance(entry, dict)
            else _renamed(entry)
        )
        for name, entry in value.items()
        if name not in DROPPED
    }
