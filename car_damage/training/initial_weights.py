"""Weights for a classifier's backbone, from ImageNet or from a file, copied layer by layer by name.

Every source becomes a mapping from `layer/variable` (`conv1_conv/kernel`) to an array.
"""

import contextlib
import re
import socket
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from car_damage.errors import UserError
from car_damage.training.backbones import HEAD, named

Arrays = dict[str, np.ndarray]


DOWNLOAD_TIMEOUT = 10  # seconds without a byte
SUFFIXES = (".keras", ".weights.h5", ".h5", ".npz")
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class ImagenetUnavailable(UserError):  # noqa: N818 - it reads as what it says
    """ImageNet's weights are neither in Keras's cache nor to be fetched."""


def load(model: keras.Model, source: str) -> list[str]:
    """Fill `model` (made by `model.build`) from `source`; return the layers left as they were.

    `source` is `imagenet`, `none`, or a file: `.npz` with arrays `<layer>/<variable>`, Keras's
    `.weights.h5` or legacy `.h5`, or an earlier `model.keras`, the only one whose head is taken
    (when its backbone is the same). Layers the backbone does not have are passed over. The head is
    listed only where it could have come along. Raises `ImagenetUnavailable` where ImageNet's
    weights cannot be fetched, and `UserError` for a file that is missing, unreadable, of another
    shape, or holds nothing for this backbone.
    """
    if source == "none":
        return [layer.name for layer in filled_layers(model) if layer.name != HEAD]
    arrays = imagenet_arrays(model) if source == "imagenet" else file_arrays(Path(source), model)
    lacking = copy(arrays, model, source)
    if len(lacking) == sum(1 for _ in filled_layers(model)):
        raise UserError(
            f"{source} holds nothing for the backbone {model.name}; "
            "choose the --backbone it was made for, or another file"
        )
    return lacking if f"{HEAD}/kernel" in arrays else [name for name in lacking if name != HEAD]


def copy(arrays: Arrays, model: keras.Model, source: str) -> list[str]:
    """Copy what `arrays` has into `model`; return the names of the layers it has not whole."""
    lacking = []
    for layer in filled_layers(model):
        keys = [key(layer, variable) for variable in layer.weights]
        # A bias may lack: a convolution before a normalisation needs none, and 0 is its start.
        if any(name not in arrays and not name.endswith("/bias") for name in keys):
            lacking.append(layer.name)
        for name, variable in zip(keys, layer.weights, strict=True):
            if name in arrays:
                assign(variable, arrays[name], layer.name, source)
    return lacking


def assign(variable: keras.Variable, array: np.ndarray, layer: str, source: str) -> None:
    """Set one variable; `UserError` when the shapes differ."""
    if array.shape != tuple(variable.shape):
        raise UserError(
            f"{source} is for another network: layer {layer} has a {variable.name} of shape "
            f"{array.shape} there and {tuple(variable.shape)} here; choose the --backbone it was "
            "made for, or another file"
        )
    variable.assign(array.astype(np.float32))


def key(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    """The name of a variable's array."""
    return f"{stable(layer.name)}/{stable(variable.name)}"


def stable(name: str) -> str:
    """A name without the running number that Keras gives where a backbone's author gave no name.

    ConvNeXt's last layer and its layer scales' variables are such: `variable_36`.
    """
    return re.sub(r"^(layer_normalization|variable)_\d+$", r"\1", name)


def filled_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers that have weights themselves; ConvNeXt keeps some in small nested models."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from filled_layers(layer)
        elif layer.weights:
            yield layer


def model_arrays(model: keras.Model) -> Arrays:
    """All weights of a model in memory."""
    return {
        key(layer, variable): keras.ops.convert_to_numpy(variable)
        for layer in filled_layers(model)
        for variable in layer.weights
    }


def imagenet_arrays(model: keras.Model) -> Arrays:
    """The weights that Keras fetches, or has in its cache, for the backbone of `model`."""
    backbone = named(model.name)
    try:
        with socket_timeout(DOWNLOAD_TIMEOUT):
            return model_arrays(backbone.features(weights="imagenet"))
    except UserError:
        raise
    except Exception as error:  # Keras raises a bare Exception for any failed download
        raise ImagenetUnavailable(
            f"ImageNet weights for {model.name} could not be fetched ({error}); connect to the "
            "internet, or pass --weights FILE"
        ) from error


@contextlib.contextmanager
def socket_timeout(seconds: float) -> Iterator[None]:
    """Give new sockets a timeout: Keras's download has none and would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def file_arrays(path: Path, model: keras.Model) -> Arrays:
    """The weights in a file, named after the layers of `model`."""
    if not path.name.endswith(SUFFIXES):
        raise UserError(
            f"--weights {path} is none of imagenet, none, or a file ending in {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist; check --weights")
    try:
        return read(path, model)
    except UNREADABLE as error:
        raise UserError(
            f"the weights file {path} cannot be read ({error}); make or fetch it again"
        ) from error


def read(path: Path, model: keras.Model) -> Arrays:
    """`file_arrays` of a file that is there, by its kind."""
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file) as arrays:  # np.load leaves a broken file open
            return dict(arrays)
    if path.suffix == ".keras":
        return earlier_model_arrays(path, model)
    with h5py.File(path) as file:
        if path.name.endswith(".weights.h5"):
            return without_head(dict(numbered_arrays(file, model)))
        return without_head(legacy_arrays(file))


def earlier_model_arrays(path: Path, model: keras.Model) -> Arrays:
    """The weights of a saved model; without its head when that sat on another backbone."""
    earlier = keras.saving.load_model(path, compile=False)
    arrays = model_arrays(earlier)
    return arrays if earlier.name == model.name else without_head(arrays)


def without_head(arrays: Arrays) -> Arrays:
    """`arrays` less the head's."""
    return {name: array for name, array in arrays.items() if not name.startswith(f"{HEAD}/")}


def numbered_arrays(group: h5py.Group, model: keras.Model) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the weights in a Keras 3 `.weights.h5`, which numbers layers by class and by order.

    The second `Conv2D` of a model stands at `layers/conv2d_1`, whatever its name; its variables
    are `vars/0`, `vars/1` in the order of `layer.weights`.
    """
    seen: Counter[str] = Counter()
    for layer in model.layers:
        kind = snake_case(type(layer).__name__)
        place = f"layers/{kind}_{seen[kind]}" if seen[kind] else f"layers/{kind}"
        seen[kind] += 1
        if place in group and hasattr(layer, "layers"):
            yield from numbered_arrays(group[place], layer)
            continue
        for number, variable in enumerate(layer.weights):
            if f"{place}/vars/{number}" in group:
                yield key(layer, variable), group[f"{place}/vars/{number}"][()]


def snake_case(name: str) -> str:
    """`BatchNormalization` to `batch_normalization`, as Keras does it: `ReLU` to `re_lu`."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def legacy_arrays(file: h5py.File) -> Arrays:
    """The weights in a legacy `.h5` of weights or of a whole model, named as they were saved.

    A variable's path is `conv1_conv/kernel:0`, below a group for each layer of the model.
    """
    arrays: Arrays = {}

    def keep(path: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            layer, variable = path.split("/")[-2:]
            arrays[f"{stable(layer)}/{stable(variable.removesuffix(':0'))}"] = item[()]

    file.get("model_weights", file).visititems(keep)
    return arrays
