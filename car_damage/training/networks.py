"""The networks behind the table of backbones, each with the scaling of its pixels in front.

Every one is a flat functional model, so that each of its layers is reachable by name. The scaling
is computed in float32 whatever the policy: bfloat16 keeps 8 bits, and a byte less its mean needs
more.
"""

import keras

from car_damage.training.backbones import Backbone

CAFFE_MEAN = (123.68, 116.779, 103.939)  # RGB, of pixels in 0..255
TINY_MOMENTUM = 0.9  # Keras's 0.99 would take more steps than a sample run has
TINY_CONVOLUTIONS = ((24, 2), (32, 2), (48, 1), (64, 2), (96, 1))  # filters, stride


def features(backbone: Backbone, weights: str | None = None) -> keras.Model:
    """A new model: RGB photos, `uint8` (n, height, width, 3), to features, (n, h, w, d).

    `weights` is what `keras.applications` takes: None for random values, `imagenet`, or the path
    of a `.h5` or `.weights.h5` file. Keras's errors pass through.
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
    """The pixels as the backbone was trained on them, float32.

    ResNets take BGR less the mean, not divided, as in Caffe; the others take RGB in -1..1.
    """
    resnet = backbone.is_resnet
    scale, offset = (1.0, [-mean for mean in CAFFE_MEAN]) if resnet else (1 / 127.5, [-1.0] * 3)
    layer = keras.layers.Rescaling([scale] * 3, offset=offset, dtype="float32", name="scaling")
    return keras.ops.flip(layer(photo), axis=-1) if resnet else layer(photo)


def tiny(pixels: keras.KerasTensor, weights: str | None) -> keras.Model:
    """A plain CNN of 104,000 parameters that learns from random values: for the sample cars.

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
