"""Build the networks in the table of backbones, with the scaling of pixels as their first layer.

Each network is a flat functional model, so all layers can be found by name. The scaling is always
computed in float32. A byte minus its mean needs more precision than the 8 bits of bfloat16.
"""

import keras

from car_damage.training.backbones import Backbone

CAFFE_MEAN = (123.68, 116.779, 103.939)  # RGB, for pixels in 0..255
TINY_MOMENTUM = 0.9  # Keras's default, 0.99, needs more steps than a sample run has
TINY_CONVOLUTIONS = ((24, 2), (32, 2), (48, 1), (64, 2), (96, 1))  # filters, stride


def features(backbone: Backbone, weights: str | None = None) -> keras.Model:
    """Build a model: RGB photos, `uint8` (n, height, width, 3), to features, (n, h, w, d).

    `weights` is as in `keras.applications`: None for random values, `imagenet`, or the path of a
    `.h5` or `.weights.h5` file. Keras's exceptions are not caught.
    """
    photo = keras.Input((None, None, 3), dtype="uint8", name="photo")
    pixels = scaled(photo, backbone)
    if backbone.application is None:
        body = tiny(pixels, weights)
    else:
        body = getattr(keras.applications, backbone.application)(
            input_tensor=pixels,
            input_shape=(None, None, 3),
            include_top=False,
            weights=weights,
        )
    return keras.Model(photo, body.get_layer(backbone.output).output, name=backbone.name)


def scaled(photo: keras.KerasTensor, backbone: Backbone) -> keras.KerasTensor:
    """Scale pixels as in the backbone's pre-training; float32.

    ResNets take BGR minus the mean, not divided, as in Caffe. The others take RGB in -1..1.
    """
    resnet = backbone.is_resnet
    scale, offset = (1.0, [-mean for mean in CAFFE_MEAN]) if resnet else (1 / 127.5, [-1.0] * 3)
    layer = keras.layers.Rescaling([scale] * 3, offset=offset, dtype="float32", name="scaling")
    return keras.ops.flip(layer(photo), axis=-1) if resnet else layer(photo)


def tiny(pixels: keras.KerasTensor, weights: str | None) -> keras.Model:
    """Build a plain CNN of 104,000 parameters that learns drawn cars from random values.

    Features: (n, height / 8, width / 8, 96).
    """
    x = pixels
    for number, (filters, stride) in enumerate(TINY_CONVOLUTIONS, start=1):
        x = keras.layers.Conv2D(
            filters,
            3,
            stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(x)
        x = keras.layers.BatchNormalization(momentum=TINY_MOMENTUM, name=f"conv{number}_bn")(x)
        x = keras.layers.ReLU(name=f"conv{number}_relu")(x)
    model = keras.Model(keras.utils.get_source_inputs(pixels), x)
    if weights:
        model.load_weights(weights)
    return model
