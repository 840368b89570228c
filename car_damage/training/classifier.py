"""The classifier around a backbone, and the serving graph whose heatmap accounts for its logit.

The head is linear on mean-pooled features, so logit = mean over places of (features . kernel) +
bias: the heatmap features . kernel averages to the logit less its bias (class activation mapping,
Zhou et al. 2016, https://arxiv.org/abs/1512.04150), exactly and not by approximation.
"""

import keras
import numpy as np

from car_damage.training.backbones import HEAD, Backbone, named

POOLED = "pooled"  # the layer that averages the features over all places


def build(backbone: Backbone) -> keras.Model:
    """A new classifier: `uint8` photos (n, height, width, 3) to `{"logit": float32 (n, 1)}`.

    Batches may differ in size. Weights are random; `weights.load` fills them. Head and output are
    float32 whatever the policy.
    """
    features = backbone.features()
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED, dtype="float32")(features.output)
    logit = keras.layers.Dense(1, name=HEAD, dtype="float32")(pooled)
    return keras.Model(features.input, {"logit": logit}, name=backbone.name)


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
