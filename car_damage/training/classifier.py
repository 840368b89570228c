"""The classifier around a backbone: a linear head on its mean-pooled features."""

import keras
import numpy as np

from car_damage.dataset.arrays import Split
from car_damage.errors import UserError
from car_damage.training.backbones import HEAD, Backbone, named
from car_damage.training.batches import PlainBatches
from car_damage.training.networks import features

BATCH_SIZE = 32  # to answer many images; no result depends on it
POOLED = "pooled"  # the layer that averages the features over all places


def build(backbone: Backbone) -> keras.Model:
    """A new classifier: `uint8` photos (n, height, width, 3) to `{"logit": float32 (n, 1)}`.

    Batches may differ in size. Weights are random; `initial_weights.load` fills them. Head and
    output are float32 whatever the policy.
    """
    body = features(backbone)
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED, dtype="float32")(body.output)
    logit = keras.layers.Dense(1, name=HEAD, dtype="float32")(pooled)
    return keras.Model(body.input, {"logit": logit}, name=backbone.name)


def trainable_from(model: keras.Model, stage: str, from_random_values: bool = False) -> None:
    """Let `model` learn from `stage` on, head included, and freeze everything before it.

    Batch normalisation is frozen everywhere: its statistics come from batches far larger than
    ours. Only `trainable = False` does that; `training=False` in the call has no effect inside
    `fit` (Keras 3.15). A backbone of random values has no statistics worth keeping, so its batch
    normalisation learns. Compile afterwards. An unknown stage is a `UserError`.
    """
    prefixes = named(model.name).stages | {HEAD: HEAD}
    if stage not in prefixes:
        raise UserError(
            f"{model.name} has no stage {stage!r} to unfreeze; choose one of {', '.join(prefixes)}"
        )
    # Layers are sorted by depth, and each stage builds on the last layer of the one before.
    names = [layer.name for layer in model.layers]
    first = next(i for i, name in enumerate(names) if name.startswith(prefixes[stage]))
    for position, layer in enumerate(model.layers):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = position >= first and (from_random_values or not norm)


def feature_extractor(model: keras.Model) -> keras.Model:
    """The part of `model` up to the pooled features, float32 (n, d); it shares the weights."""
    return keras.Model(model.input, model.get_layer(POOLED).output)


def predicted_logits(model: keras.Model, split: Split) -> np.ndarray:
    """The logits of a split's images: float64 (n,)."""
    of_batches = model.predict(PlainBatches(split, BATCH_SIZE), verbose=0)["logit"]
    return np.asarray(of_batches, np.float64)[:, 0]


def rescale_head(model: keras.Model, factor: float, offset: float) -> None:
    """Make each logit `factor` times what it is, plus `offset`."""
    kernel, bias = model.get_layer(HEAD).get_weights()
    set_head(model, factor * kernel, factor * bias + offset)


def set_head(model: keras.Model, kernel: np.ndarray, bias: float) -> None:
    """Make logit = pooled features . kernel + bias; `kernel` holds d numbers in any shape."""
    model.get_layer(HEAD).set_weights([np.reshape(kernel, (-1, 1)), np.reshape(bias, (1,))])
