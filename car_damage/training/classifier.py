"""The classifier around a backbone, and the serving graph whose heatmap accounts for its logit.

The head is linear on mean-pooled features, so logit = mean over places of (features . kernel) +
bias: the heatmap features . kernel averages to the logit less its bias (class activation mapping,
Zhou et al. 2016, https://arxiv.org/abs/1512.04150), exactly and not by approximation.
"""

import keras
import numpy as np

from car_damage.errors import UserError
from car_damage.training.backbones import HEAD, Backbone, named
from car_damage.training.networks import features

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


def trainable_from(
    model: keras.Model, backbone: Backbone, stage: str, from_random_values: bool = False
) -> None:
    """Let `model` learn from `stage` on, head included, and freeze everything before it.

    Batch normalisation is frozen everywhere: its statistics come from batches far larger than
    ours. Only `trainable = False` does that; `training=False` in the call has no effect inside
    `fit` (Keras 3.15). A backbone of random values has no statistics worth keeping, so its batch
    normalisation learns. Compile afterwards. An unknown stage is a `UserError`.
    """
    prefixes = backbone.stages | {HEAD: HEAD}
    if stage not in prefixes:
        raise UserError(
            f"{backbone.name} has no stage {stage!r} to unfreeze; choose one of "
            f"{', '.join(prefixes)}"
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


def set_head(model: keras.Model, kernel: np.ndarray, bias: float) -> None:
    """Make logit = pooled features . kernel + bias; `kernel` holds d numbers in any shape."""
    model.get_layer(HEAD).set_weights([np.reshape(kernel, (-1, 1)), np.reshape(bias, (1,))])


def serving_model(model: keras.Model, size: int) -> keras.Model:
    """Photos to `logit` (n, 1), `heatmap` (n, h, w) and `embedding` (n, d), all float32.

    It takes images, `uint8` (n, size, size, 3). The embedding is the `spread` of the features that
    the backbone's table names, for telling photos of cars from others.

    The backbone is shared with `model`; the head is copied as it is now. It is written with dense
    layers only, the mean over places too, so that `export` can keep it out of the quantisation by
    the kind of its operations.
    """
    kernel, bias = model.get_layer(HEAD).get_weights()
    last = model.get_layer(POOLED).input
    earlier = named(model.name).embedding
    telling = model.get_layer(earlier).output if earlier else last
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    features, embedded = keras.Model(model.input, [last, telling])(photo)
    _, height, width, channels = features.shape
    places = height * width

    per_place = keras.layers.Dense(1, use_bias=False, dtype="float32")
    mean = keras.layers.Dense(1, dtype="float32")
    scores = per_place(keras.ops.reshape(features, (-1, places, channels)))
    logit = mean(keras.ops.reshape(scores, (-1, places)))
    per_place.set_weights([kernel])
    mean.set_weights([np.full((places, 1), 1 / places), bias])

    heatmap = keras.ops.reshape(scores, (-1, height, width))
    return keras.Model(photo, {"logit": logit, "heatmap": heatmap, "embedding": spread(embedded)})


def spread(features: keras.KerasTensor) -> keras.KerasTensor:
    """How much each feature varies over the photo: (n, h, w, d) to standard deviations (n, d).

    Fine-tuned for damage, a network's mean features tell little of what is no car. How much they
    vary from place to place still does: a street, a page or a texture is alike all over in other
    ways than a car on its ground is.
    """
    _, height, width, channels = features.shape
    places = keras.ops.reshape(features, (-1, height * width, channels))
    return keras.ops.std(keras.ops.cast(places, "float32"), axis=1)
