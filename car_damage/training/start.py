"""The model that training starts from: a backbone, its weights, and what of it will learn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from car_damage.training import backbones, weights
from car_damage.training.model import build

DEFAULT = "resnet50"
SAMPLE_DEFAULT = "mobilenetv2"  # small: a sample run should be over in minutes
WITHOUT_WEIGHTS = "tiny"


@dataclass(frozen=True)
class Start:
    """A model that is ready to train, and where it comes from."""

    model: keras.Model
    backbone: backbones.Backbone
    source: str  # of the weights: a file's name, `imagenet` or `none`
    missing_layers: list[str]  # layers that keep random values

    def facts(self) -> dict[str, Any]:
        """The entries of `model.json` about it."""
        weights = {"source": self.source, "missing_layers": self.missing_layers}
        return {"backbone": self.backbone.name, "weights": weights}


def starting_model(backbone: str | None, source: str, about: dict[str, Any]) -> Start:
    """Build a backbone for the data set `about` and give it its weights.

    Drawn cars alone may do without ImageNet's weights: a small network then starts from random
    values, and that is said. On real photos it would be a `UserError`.
    """
    name = backbone or (SAMPLE_DEFAULT if about["sample"] else DEFAULT)
    try:
        return _start(name, source)
    except weights.ImagenetUnavailable as error:
        if not about["sample"] or backbone:
            raise
        print(f"*** {error} ***\n*** a small network learns the drawn cars from random values ***")
        return _start(WITHOUT_WEIGHTS, "none")


def _start(name: str, source: str) -> Start:
    backbone = backbones.named(name)
    model = build(backbone)
    missing = weights.load(model, source)
    if missing and source != "none":
        print(f"not in {source}, so from random values: {', '.join(missing)}")
    return Start(model, backbone, Path(source).name, missing)
