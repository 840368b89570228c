"""The model that training starts from: a backbone, its weights, and what of it will learn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from car_damage import model_store, paths
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
    source: str  # of the weights: `imagenet`, `none`, a file, or `<version>/model.keras`
    missing_layers: list[str]  # layers that keep random values

    def facts(self) -> dict[str, Any]:
        """The entries of `model.json` about it."""
        weights = {"source": self.source, "missing_layers": self.missing_layers}
        return {"backbone": self.backbone.name, "weights": weights}


def starting_model(
    backbone: str | None, source: str | None, about: dict[str, Any], models: Path
) -> Start:
    """Build a backbone for the data set `about`, in the precision that is fast here, and give it
    its weights.

    Without a `source` these are ImageNet's; for drawn cars, those of the model of real photos in
    use in `models`, or else in the project, which need no network. Drawn cars alone may do without
    both: a small network then starts from random values, and that is said. On real photos it would
    be a `UserError`.
    """
    if source is None:
        backbone, source = _default_source(backbone, about, models)
    name = backbone or (SAMPLE_DEFAULT if about["sample"] else DEFAULT)
    try:
        return _start(name, source)
    except initial_weights.ImagenetUnavailable as error:
        if not about["sample"] or backbone:
            raise
        print(f"*** {error} ***\n*** a small network learns the drawn cars from random values ***")
        return _start(WITHOUT_WEIGHTS, "none")


def _default_source(
    backbone: str | None, about: dict[str, Any], models: Path
) -> tuple[str | None, str]:
    if about["sample"] and not backbone:
        for folder in filter(model_store.current, (models, paths.MODELS)):
            record = model_store.load_record(folder)
            if not record.about.get("sample"):
                return record.about["backbone"], str(record.folder / "model.keras")
    return backbone, "imagenet"


def _start(name: str, source: str) -> Start:
    backbone = backbones.named(name)
    hardware.choose_precision(backbone.dense)
    model = build(backbone)
    missing = initial_weights.load(model, source)
    if missing and source != "none":
        print(f"not in {source}, so from random values: {', '.join(missing)}")
    return Start(model, backbone, _called(source), missing)


def _called(source: str) -> str:
    """A name for the weights that tells nothing of this machine's folders."""
    path = Path(source)
    return f"{path.parent.name}/{path.name}" if path.suffix == ".keras" else path.name
