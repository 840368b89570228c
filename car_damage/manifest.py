"""The types of `model.json`, of `dataset.json` and of the training settings.

A field that is added later has a default, so that earlier versions still load. An unknown entry
comes from another version of the program and is refused, not ignored.
"""

import json
import math
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from car_damage.decision import LABELS, Decision, Label, rounded_up
from car_damage.photo_warnings import WarningLimits

FORMAT = 2
Model = TypeVar("Model", bound=BaseModel)

# What entries were called in format 1.
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
BY_FOLDER = ("slices", "data_folders")  # the names in these are not entries

# What format 2 had at first: cross-source validation measures the one without other versions, and
# images no longer change their size from epoch to epoch.
DROPPED_LATER = (("metrics", "held_out_sources"), ("settings", "sides"))


class Frozen(BaseModel):
    """A part of a manifest: immutable, and it refuses unknown entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Frozen):
    """A measured value with its 95 % interval; None where the photos do not define it.

    Both ends are None where the photos give a value, but do not show how certain it is.
    """

    value: float | None
    low: float | None
    high: float | None


class MetricSet(Frozen):
    """Metrics of some photos; None for a metric that was not measured on them."""

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
    """The share decided without a person on validation photos, and the accuracy among these."""

    photos: int | None = None  # validation photos
    decided: float
    accuracy: float | None


class DecidedEstimate(Frozen):
    decided: Estimate
    accuracy: Estimate


class ReviewMetrics(Frozen):
    """What the review band, which was chosen on validation photos, leaves to a person."""

    target: float  # accuracy among the photos that are decided
    val: Decided | None = None
    test: DecidedEstimate


class Costs(Frozen):
    """What one photo costs, in any currency; a photo that is answered correctly costs nothing."""

    missed: float = Field(gt=0)  # a damaged car that is classified as not damaged
    false_alarm: float = Field(gt=0)  # an undamaged car that is classified as damaged
    review: float = Field(gt=0)  # a person's look, who is taken to be right


class CostMetrics(Frozen):
    """The cost of 1,000 photos like those that were measured, with as many damaged cars."""

    costs: Costs
    per_thousand: Estimate
    damaged: float  # the share of the measured photos that show damage


class GreyedMiddle(Frozen):
    """How sure the answers are before and after the middle of each photo is greyed out: shares."""

    count: int
    unsure_before: float
    unsure_after: float
    confident_damaged_before: float
    confident_damaged_after: float


class AttentionMetrics(Frozen):
    """Where the evidence of damage lies; see `evaluation.robustness.attention`."""

    border_share: Estimate
    border_area: float
    greyed_middle: GreyedMiddle


class ExportComparison(Frozen):
    """The exported graph against the Keras model, on the validation images."""

    precision: str
    images: int
    keras_accuracy: float
    graph_accuracy: float
    largest_logit_difference: float


class LogitScale(Frozen):
    """A change of scale: `factor` * logit + `offset`."""

    factor: float
    offset: float


class ClassMetrics(Frozen):
    """How many photos of a class there are, and the share of them that is classified correctly."""

    count: int
    accuracy: Estimate


class SourceMetrics(Frozen):
    """The photos of one source; None for a class that it does not show."""

    fold: int  # which held it out, from 0
    damaged: ClassMetrics | None = None
    not_damaged: ClassMetrics | None = None


class WorstSource(ClassMetrics):
    """The class of a source, among those with enough photos, with the lowest accuracy."""

    source: str
    label: Label


class CrossSourceMetrics(Frozen):
    """Cross-source validation: photos of each source, by a model that was trained without it.

    Means are macro averages: each source counts the same within its class, and both classes count
    the same. Their intervals are of a bootstrap over sources. Temperature, threshold and review
    band for a fold's photos were chosen on the other folds. See
    `evaluation.cross_source_metrics`.
    """

    count: int  # photos
    folds: tuple[tuple[str, ...], ...]  # the sources that each model was trained without
    balanced_accuracy: Estimate  # the mean of recall and specificity
    recall: Estimate  # the share of damaged cars found, mean over sources
    specificity: Estimate  # the share of undamaged cars cleared, mean over sources
    ece: Estimate  # expected calibration error
    review_target: float  # accuracy among the photos that are decided, when the band is chosen
    review: DecidedEstimate
    sources: dict[str, SourceMetrics]
    worst_source: WorstSource | None = None
    roc_auc_by_fold: tuple[float | None, ...]  # None where a fold shows one class only
    logit_scale: LogitScale  # from the final model's logits to those of the folds
    threshold: float  # a probability: chosen on held-out sources, for the final model
    home_threshold: float  # the same, had it been chosen on validation photos of known sources

    @property
    def roc_auc(self) -> float | None:
        """The mean over folds of the ROC AUC within each."""
        found = [each for each in self.roc_auc_by_fold if each is not None]
        return sum(found) / len(found) if found else None


class Metrics(Frozen):
    """All that was measured of a version, on the test photos unless a field says otherwise."""

    photos: MetricSet | None = None
    close_ups: MetricSet | None = None
    data_folders: dict[str, MetricSet] | None = None
    slices: dict[str, MetricSet] | None = None
    same_size_and_quality: MetricSet | None = None
    review: ReviewMetrics | None = None
    attention: AttentionMetrics | None = None
    export: ExportComparison | None = None
    cost: CostMetrics | None = None  # None: no costs were given
    warnings: dict[str, dict[str, float]] | None = None  # shares, by kind of photo and warning
    abroad: CrossSourceMetrics | None = None  # on train and val photos; None: never measured
    # Of the features that the head pools, over 300 validation photos; see `evaluation.features`.
    effective_dimension: float | None = None


class SplitCounts(Frozen):
    damaged: int
    not_damaged: int
    close_ups: int


class CopyCounts(Frozen):
    groups_of_copies: int
    photos_in_them: int


class DatasetConfig(Frozen):
    """`dataset.json`: what a data set holds, and what it was made from."""

    sample: bool = False  # drawn cars
    size: int  # pixels: the side of the model's image
    stored: int | None = None  # pixels: the side of the squares in the arrays; None: `size`
    seed: int
    shares: dict[str, float]
    close_ups: int  # crops cut out of each undamaged photo
    counts: dict[str, SplitCounts]
    copies: CopyCounts
    rejected: dict[str, int]
    python: str
    libraries: dict[str, str]
    fingerprint: str  # SHA-256 over the arrays and tables


class TrainingSettings(Frozen):
    """The settings that, with the data set and the initial weights, determine the model."""

    unfreeze: str
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    keep: float = 0.0
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
        """Read `model.json`. Raises `ValueError` with a clause that says what is wrong."""
        try:
            raw = json.loads(text, parse_constant=_finite, parse_float=_finite)
        except RecursionError as error:
            raise ValueError("its entries are nested too deeply") from error
        if isinstance(raw, dict) and "format" not in raw:
            raw = _from_format_1(raw)
        elif isinstance(raw, dict) and raw["format"] != FORMAT:
            raise ValueError(f"it has format {raw['format']}, and this program reads {FORMAT}")
        for part, name in DROPPED_LATER:
            if isinstance(raw, dict) and isinstance(raw.get(part), dict):
                raw[part].pop(name, None)
        return validated(cls, raw)

    def to_json(self) -> str:
        """The text of `model.json`; what was never set is left out."""
        entries = {"format": FORMAT} | self.model_dump(mode="json", exclude_unset=True)
        return json.dumps(entries, indent=2) + "\n"


def validated(model: type[Model], raw: object) -> Model:
    """`raw`, read from JSON, as a `model`. Raises `ValueError` that names the first wrong entry."""
    try:
        # Strict, so that a text is no number. As JSON, in which a list may be a tuple.
        return model.model_validate_json(json.dumps(raw), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        what = {
            "json_invalid": f"it is not JSON: {first['msg']}",
            "model_type": f"{name or 'it'} is not a JSON object",
            "extra_forbidden": f"it has the unknown entry {name}, of another program version",
            "missing": f"it lacks the entry {name}",
        }.get(first["type"], f"its entry {name} is wrong: {first['msg']}")
        raise ValueError(what) from error


def _finite(number: str) -> float:
    """A number of JSON that is not whole. Raises `ValueError` for NaN, Infinity and 1e999."""
    if not math.isfinite(value := float(number)):
        raise ValueError(f"it contains {number}, which is not a finite number")
    return value


def _from_format_1(raw: dict[str, Any]) -> dict[str, Any]:
    """What `raw` is called now. Format 1 had no entry `format`."""
    if raw.get("fit", "squeeze") != "squeeze":
        raise ValueError(f"it was made with --fit {raw['fit']}, which no longer exists")
    if raw.get("labels", list(LABELS)) != list(LABELS):
        raise ValueError(f"its labels are {raw['labels']} and not {list(LABELS)}")
    new = _renamed(raw)
    band = new.pop("review_band", None)
    decision = {
        "temperature": new.pop("temperature", None),
        "threshold": _rounded_up(new.pop("threshold", 0.5)),
        "review_band": [_rounded_up(limit) for limit in band] if isinstance(band, list) else band,
    }
    return {**new, "format": FORMAT, "decision": decision}


def _rounded_up(limit: Any) -> Any:
    """The limit as `decision.rounded_up` gives it; what is not a number stays, to be refused."""
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
