"""The model that training starts from: a backbone, its weights, and what of it will learn."""

from dataclasses import dataclass
from pathlib import Path

import keras

from car_damage import model_store
from car_damage.manifest import DatasetConfig, WeightsOrigin
from car_damage.model_store import MODELS
from car_damage.training import backbones, hardware, initial_weights
from car_damage.training.classifier import build

DEFAULT = "resnet50"
SAMPLE_DEFAULT = "mobilenetv2"  # small: a sample run should be over in minutes
WITHOUT_WEIGHTS = "tiny"


@dataclass(frozen=True)
class Start:
    """A model that is ready to train, and where it comes from."""

    model: keras.Model
    backbone: backbones.Backbone
    weights: WeightsOrigin
    # SHA-256s of the photos that an earlier model and its ancestors were trained on; None: unknown
    learnt: frozenset[str] | None

    @property
    def goes_on(self) -> bool:
        """Whether it goes on from an earlier model, and not from weights alone."""
        return self.weights.source.endswith(".keras")


def starting_model(
    backbone: str | None, source: str | None, config: DatasetConfig, models: Path = MODELS
) -> Start:
    """Build a backbone for a data set, in the precision that is fast here, and load its weights.

    Without a `source` these are ImageNet's; for drawn cars, those of the version in use in
    `models`, whose weights need no network. Drawn cars alone may do without both: a small network
    then starts from random values, and that is said. On real photos it would be a `UserError`.
    """
    if source is None:
        backbone, source = _default_source(backbone, config, models)
    name = backbone or (SAMPLE_DEFAULT if config.sample else DEFAULT)
    try:
        return _start(name, source)
    except initial_weights.ImagenetUnavailable as error:
        if not config.sample or backbone:
            raise
        print(f"*** {error} ***\n*** a small network learns the drawn cars from random values ***")
        return _start(WITHOUT_WEIGHTS, "none")


def _default_source(
    backbone: str | None, config: DatasetConfig, models: Path
) -> tuple[str | None, str]:
    if not config.sample or backbone or model_store.current(models) is None:
        return backbone, "imagenet"
    record = model_store.load_record(models)
    return record.manifest.backbone, str(record.folder / model_store.KERAS_MODEL)


def _start(name: str, source: str) -> Start:
    backbone = backbones.named(name)
    hardware.choose_precision(backbone.dense)
    model = build(backbone)
    missing = initial_weights.load(model, source)
    if missing and source != "none":
        print(f"not in {source}, so from random values: {', '.join(missing)}")
    learnt = (
        model_store.trained_on(Path(source).parent) if source.endswith(".keras") else frozenset()
    )
    return Start(
        model,
        backbone,
        WeightsOrigin(source=_called(source), missing_layers=tuple(missing)),
        learnt,
    )


def _called(source: str) -> str:
    """A name for the weights that tells nothing of this machine's folders."""
    path = Path(source)
    return f"{path.parent.name}/{path.name}" if path.suffix == ".keras" else path.name
