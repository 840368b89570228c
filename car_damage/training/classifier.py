"""The classifier around a backbone: a linear head on its mean-pooled features."""

import keras
import numpy as np

from car_damage.dataset.arrays import Split
from car_damage.errors import UserError
from car_damage.training.backbones import HEAD, Backbone, named
from car_damage.training.batches import PlainBatches
from car_damage.training.networks import features

BATCH_SIZE = 32  # for predictions; results do not depend on it
POOLED = "pooled"  # the layer that averages the features over all places


def build(backbone: Backbone) -> keras.Model:
    """Build a classifier: `uint8` photos (n, height, width, 3) to `{"logit": float32 (n, 1)}`.

    Its weights are random; `initial_weights.load` fills them. Batches may differ in size. Head and
    output are float32 with any precision policy.
    """
    body = features(backbone)
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED, dtype="float32")(body.output)
    logit = keras.layers.Dense(1, name=HEAD, dtype="float32")(pooled)
    return keras.Model(body.input, {"logit": logit}, name=backbone.name)


def trainable_from(model: keras.Model, stage: str, from_random_values: bool = False) -> None:
    """Make `stage` and all later layers of `model` trainable, and freeze the layers before.

    Batch normalisation is frozen everywhere, because its statistics come from batches far larger
    than ours. Only `trainable = False` does that; `training=False` in the call has no effect inside
    `fit` (Keras 3.15). In a backbone with random values, batch normalisation learns, because there
    are no statistics to keep. Compile afterwards. Raises `UserError` for an unknown stage.
    """
    prefixes = named(model.name).stages | {HEAD: HEAD}
    if stage not in prefixes:
        raise UserError(
            f"{model.name} has no stage {stage!r}. "
            f"Choose one of {', '.join(prefixes)} for --unfreeze."
        )
    # Layers are sorted by depth, and each stage follows the last layer of the stage before.
    names = [layer.name for layer in model.layers]
    first = next(i for i, name in enumerate(names) if name.startswith(prefixes[stage]))
    for position, layer in enumerate(model.layers):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = position >= first and (from_random_values or not norm)


def feature_extractor(model: keras.Model) -> keras.Model:
    """The part of `model` up to the pooled features, float32 (n, d), with shared weights."""
    return keras.Model(model.input, model.get_layer(POOLED).output)


def predicted_logits(model: keras.Model, split: Split) -> np.ndarray:
    """Compute the logits of a split's images: float64 (n,)."""
    of_batches = model.predict(PlainBatches(split, BATCH_SIZE), verbose=0)["logit"]
    return np.asarray(of_batches, np.float64)[:, 0]


def rescale_head(model: keras.Model, factor: float, offset: float) -> None:
    """Rescale the head, so that each logit becomes `factor` * logit + `offset`."""
    kernel, bias = model.get_layer(HEAD).get_weights()
    set_head(model, factor * kernel, factor * bias + offset)


def set_head(model: keras.Model, kernel: np.ndarray, bias: float) -> None:
    """Set the head: logit = pooled features . kernel + bias; `kernel` has d values, any shape."""
    model.get_layer(HEAD).set_weights([np.reshape(kernel, (-1, 1)), np.reshape(bias, (1,))])
