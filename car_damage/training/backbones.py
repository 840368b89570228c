"""The backbones in one table: how each is built, scales its pixels, and where its stages begin.

Every backbone is one flat functional model, so that each of its layers is reachable by name. Its
input `photo` is `uint8` (height, width, 3), RGB, of any size; its first layers scale the pixels as
its ImageNet weights expect them. The scaling is computed in float32 whatever the policy: bfloat16
keeps 8 bits, and a byte less its mean needs more.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras

from car_damage.errors import UserError

HEAD = "head"  # the name of the classifier's last layer, and of the stage that is it alone
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of pixels in 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (123.68, 116.779, 103.939)  # RGB, of pixels in 0..255

Scaling = Callable[[keras.KerasTensor], keras.KerasTensor]


@dataclass(frozen=True)
class Backbone:
    """One line of the table.

    `stages` maps each stage's name to the prefix of its first layer's name, from the photo on;
    `default_stage` is where fine-tuning begins, and `learning_rate` AdamW's peak, unless the user
    says otherwise. `dense`: nearly all of its work are plain convolutions, and none depthwise.
    `embedding`: the layer whose features tell best what is no car; None: the last. It was measured
    where it is named (docs/experiments.md).
    """

    name: str
    scale: Scaling
    body: Callable[..., keras.Model]
    stages: dict[str, str]
    default_stage: str
    learning_rate: float = 1e-4
    output: str | None = None  # the layer to cut after; None: the last
    dense: bool = False
    embedding: str | None = None

    def features(self, weights: str | None = None) -> keras.Model:
        """A new model: photos, `uint8` (n, height, width, 3), to features, (n, h, w, d).

        With `weights="imagenet"` Keras fetches them (`weights.load` makes its failures readable).
        """
        photo = keras.Input((None, None, 3), dtype="uint8", name="photo")
        body = self.body(
            input_tensor=self.scale(photo),
            input_shape=(None, None, 3),
            include_top=False,
            weights=weights,
        )
        features = body.get_layer(self.output).output if self.output else body.output
        return keras.Model(photo, features, name=self.name)


def named(name: str) -> Backbone:
    """The backbone of that name; `UserError` naming all when there is none."""
    if name not in BACKBONES:
        raise UserError(f"there is no backbone {name!r}; choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def trainable_from(
    model: keras.Model, backbone: Backbone, stage: str, from_random_values: bool = False
) -> None:
    """Let `model` learn from `stage` on, head included, and hold everything before it still.

    Batch normalisation is held still everywhere: its statistics come from batches far larger than
    ours. Only `trainable = False` does that; `training=False` in the call does not hold inside
    `fit` (Keras 3.15). A backbone of random values has no statistics worth keeping: its learn.
    Compile afterwards. An unknown stage is a `UserError`.
    """
    prefixes = backbone.stages | {HEAD: HEAD}
    if stage not in prefixes:
        raise UserError(
            f"{backbone.name} has no stage {stage!r} to unfreeze; choose one of "
            f"{', '.join(prefixes)}"
        )
    # Layers are sorted by depth, and all of a stage hangs on the last layer of the one before.
    names = [layer.name for layer in model.layers]
    first = next(i for i, name in enumerate(names) if name.startswith(prefixes[stage]))
    for position, layer in enumerate(model.layers):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = position >= first and (from_random_values or not norm)


def to_caffe(photo: keras.KerasTensor) -> keras.KerasTensor:
    """BGR less the mean, not divided: what Caffe's ResNets were trained on."""
    rgb = rescaled(photo, (1.0, 1.0, 1.0), [-mean for mean in CAFFE_MEAN])
    return keras.ops.flip(rgb, axis=-1)


def to_unit_range(photo: keras.KerasTensor) -> keras.KerasTensor:
    """RGB in -1..1."""
    return rescaled(photo, (1 / 127.5,) * 3, (-1.0,) * 3)


def to_standard(photo: keras.KerasTensor) -> keras.KerasTensor:
    """RGB with ImageNet's mean 0 and standard deviation 1."""
    scales = [1 / (255 * std) for std in IMAGENET_STD]
    offsets = [-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    return rescaled(photo, scales, offsets)


def rescaled(
    photo: keras.KerasTensor, scales: Iterable[float], offsets: Iterable[float]
) -> keras.KerasTensor:
    """`photo` times `scales` plus `offsets`, a number a channel, in float32."""
    layer = keras.layers.Rescaling(
        list(scales), offset=list(offsets), dtype="float32", name="scaling"
    )
    return layer(photo)


def tiny_body(
    input_tensor: keras.KerasTensor,
    input_shape: tuple[int | None, int | None, int],
    include_top: bool,
    weights: str | None,
) -> keras.Model:
    """A plain CNN of 104,000 parameters that learns from random values: for the sample cars.

    Features: (n, height / 8, width / 8, 96).
    """
    if include_top or weights:
        raise UserError("the backbone tiny has no ImageNet weights; pass --weights none")
    x = input_tensor
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
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


TINY_MOMENTUM = 0.9  # Keras's 0.99 would take more steps than a sample run has
TINY_CONVOLUTIONS = ((24, 2), (32, 2), (48, 1), (64, 2), (96, 1))  # filters, stride


def mobilenet_v3_large(**options: Any) -> keras.Model:
    """Keras's MobileNetV3-Large without its own scaling: ours stands before it."""
    return keras.applications.MobileNetV3Large(include_preprocessing=False, **options)


def efficientnet_v2_b0(**options: Any) -> keras.Model:
    """Keras's EfficientNetV2-B0 without its own scaling: ours stands before it."""
    return keras.applications.EfficientNetV2B0(include_preprocessing=False, **options)


def convnext_tiny(**options: Any) -> keras.Model:
    """Keras's ConvNeXt-Tiny without its own scaling: ours stands before it."""
    return keras.applications.ConvNeXtTiny(include_preprocessing=False, **options)


RESNET_STAGES = {"conv1": "conv1_", "conv2": "conv2_", "conv3": "conv3_", "conv4": "conv4_"}

BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "resnet50",  # He et al. 2016, https://arxiv.org/abs/1512.03385
            to_caffe,
            keras.applications.ResNet50,
            RESNET_STAGES | {"conv5": "conv5_"},
            "conv4",  # at 3e-4, ResNet-50 forgets what it knew in one epoch
            dense=True,
            embedding="conv4_block3_out",
        ),
        Backbone(
            "resnet50-c4",  # cut as in Faster R-CNN's C4 (Ren et al. 2015)
            to_caffe,
            keras.applications.ResNet50,
            RESNET_STAGES,
            "conv3",
            output="conv4_block6_out",
            dense=True,
            embedding="conv4_block3_out",
        ),
        Backbone(
            "mobilenetv2",  # Sandler et al. 2018, https://arxiv.org/abs/1801.04381
            to_unit_range,
            keras.applications.MobileNetV2,
            {
                "stem": "Conv1",
                "block1": "block_1_",
                "block3": "block_3_",
                "block6": "block_6_",
                "block10": "block_10_",
                "block13": "block_13_",
                "top": "Conv_1",
            },
            "block6",
            learning_rate=3e-4,
            embedding="block_13_expand_relu",
        ),
        Backbone(
            "efficientnetv2-b0",  # Tan and Le 2021, https://arxiv.org/abs/2104.00298
            to_standard,
            efficientnet_v2_b0,
            {"stem": "stem_"}
            | {f"block{n}": f"block{n}a_" for n in range(1, 7)}
            | {"top": "top_conv"},
            "block4",
        ),
        Backbone(
            "mobilenetv3-large",  # Howard et al. 2019, https://arxiv.org/abs/1905.02244
            to_unit_range,
            mobilenet_v3_large,
            {
                "stem": "conv",
                "block1": "expanded_conv_1_",
                "block3": "expanded_conv_3_",
                "block6": "expanded_conv_6_",
                "block10": "expanded_conv_10_",
                "block12": "expanded_conv_12_",
                "top": "conv_1",
            },
            "block6",
        ),
        Backbone(
            "convnext-tiny",  # Liu et al. 2022, https://arxiv.org/abs/2201.03545
            to_standard,
            convnext_tiny,
            {
                "stem": "convnext_tiny_stem",
                "stage0": "convnext_tiny_stage_0_",
                "stage1": "convnext_tiny_downsampling_block_0",
                "stage2": "convnext_tiny_downsampling_block_1",
                "stage3": "convnext_tiny_downsampling_block_2",
            },
            "stage2",
        ),
        Backbone(
            "tiny",
            to_unit_range,
            tiny_body,
            {f"conv{number}": f"conv{number}" for number in range(1, len(TINY_CONVOLUTIONS) + 1)},
            "conv1",
            learning_rate=4e-3,  # it starts from random values, on drawn cars
        ),
    )
}
