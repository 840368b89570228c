"""The trained classifier as a LiteRT (TFLite) graph for serving.

The head is linear on mean-pooled features, so logit = mean over places of (features . kernel) +
bias. The mean of the heatmap, features . kernel, is therefore exactly the logit minus its bias
(class activation mapping, Zhou et al. 2016, https://arxiv.org/abs/1512.04150).

int8 is full-integer quantisation after training: int8 weights with a scale per output channel, and
int8 activations whose ranges come from calibration photos (Jacob et al. 2018,
https://arxiv.org/abs/1712.05877). The linear head stays in float. With 256 steps, the mean of its
heatmap would differ from the logit, and the calibrated probability would jump. The embedding also
stays in float, because 256 steps would lose its small values.
"""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from car_damage.training.backbones import HEAD, named
from car_damage.training.classifier import POOLED

# The operations of the head and the embedding; no backbone uses them.
FLOAT_OPERATIONS = ["FULLY_CONNECTED", "RESHAPE", "MEAN", "SQUARED_DIFFERENCE", "SQRT"]


def to_tflite(model: keras.Model, size: int, precision: str, calibration: np.ndarray) -> bytes:
    """The serving graph of `model` (made by `model.build`), at one of the `PRECISIONS`.

    Its signature `serving_default` takes `photo`, `uint8` (1, size, size, 3), RGB, and returns
    `logit` (1, 1), `heatmap` (1, h, w), whose mean is the logit minus its bias, and `embedding`
    (1, d), all float32. `calibration`, `uint8` (k, size, size, 3), are training photos, used for
    int8 only; about 200 are enough.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        save(serving_model(in_float32(model), size), folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision == "int8":
            return quantised(converter, calibration)
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def serving_model(model: keras.Model, size: int) -> keras.Model:
    """A model from images, `uint8` (n, size, size, 3), to the outputs of `to_tflite`, n of each.

    The backbone is shared with `model`; the head is a copy. All of it is dense layers, even the
    mean over places, so that the type of its operations keeps it out of the quantisation.
    """
    kernel, bias = model.get_layer(HEAD).get_weights()
    telling = model.get_layer(named(model.name).embedding).output
    photo = keras.Input((size, size, 3), dtype="uint8", name="photo")
    features, embedded = keras.Model(model.input, [model.get_layer(POOLED).input, telling])(photo)
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
    """The standard deviation of each feature over the photo: (n, h, w, d) to (n, d).

    After fine-tuning for damage, the mean features hardly show whether there is a car. Their
    variation over the photo still does: a street, a page or a texture varies less than a car in
    front of a background, or in other features.
    """
    _, height, width, channels = features.shape
    places = keras.ops.reshape(features, (-1, height * width, channels))
    return keras.ops.std(keras.ops.cast(places, "float32"), axis=1)


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of `model` that computes in float32, no matter which policy it was trained with."""

    def rebuilt(layer: keras.Operation) -> keras.Operation:
        config = layer.get_config()
        if "dtype" in config:  # a plain operation, such as a flip, has none
            config["dtype"] = "float32"
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=rebuilt)
    copy.set_weights(model.get_weights())
    return copy


def save(model: keras.Model, folder: str) -> None:
    """Write a SavedModel whose one signature takes one photo."""
    photo = tf.TensorSpec((1, *model.input_shape[1:]), tf.uint8, name="photo")
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default", lambda photo: model(photo, training=False), input_signature=[photo]
    )
    archive.write_out(folder, verbose=False)


def quantised(converter: tf.lite.TFLiteConverter, calibration: np.ndarray) -> bytes:
    """Convert to int8 with the debugger, because only it can leave operations out."""

    def photos() -> Iterator[list[np.ndarray]]:
        return ([photo[np.newaxis]] for photo in calibration)

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = photos
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=FLOAT_OPERATIONS)
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=photos, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the converter's output, which its C++ part writes directly to stderr.

    If the conversion fails, the output is shown.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as log, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
