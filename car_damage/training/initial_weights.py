"""Initial weights: from ImageNet, from a file, or random."""

import socket
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from car_damage import model_store, paths
from car_damage.errors import UserError
from car_damage.manifest import WeightsOrigin
from car_damage.model_store import KERAS_MODEL
from car_damage.training import hardware
from car_damage.training.backbones import DEFAULT, HEAD, SAMPLE_DEFAULT, TINY, Backbone, named
from car_damage.training.classifier import build
from car_damage.training.earlier_model import manifest_beside
from car_damage.training.networks import features

Arrays = dict[str, np.ndarray]  # by `layer/variable`, such as `conv1_conv/kernel`

DOWNLOAD_TIMEOUT = 10  # seconds without data
SUFFIXES = (".keras", ".weights.h5", ".h5", ".npz")


class ImagenetUnavailable(UserError):  # noqa: N818 - reads better without "Error"
    """ImageNet weights are not in Keras's cache and cannot be downloaded."""


@dataclass(frozen=True)
class Start:
    """A model that is ready for training, and its origin."""

    model: keras.Model
    backbone: Backbone
    weights: WeightsOrigin
    # SHA-256s of the photos that an earlier model and its ancestors were trained on; None: unknown
    learnt: frozenset[str] | None = frozenset()

    @property
    def goes_on(self) -> bool:
        """Whether training continues an earlier model instead of starting from weights only."""
        return self.weights.source.endswith(".keras")


def starting_model(backbone: str | None, source: str | None, sample: bool, models: Path) -> Start:
    """Build a backbone in the precision that is fast on this machine, and load its weights.

    The default `source` is ImageNet. For drawn cars it is the model in use for real photos, in
    `models` or in the project, which needs no network. The default backbone is the one in the
    earlier model's manifest. If ImageNet weights cannot be downloaded, a run on drawn cars prints a
    notice and trains a small network from random values. A run on real photos raises
    `ImagenetUnavailable`.
    """
    if source is None:
        source = "imagenet"
        if sample and not backbone and (record := _real_model_in_use(models)):
            backbone, source = record.manifest.backbone, str(record.folder / KERAS_MODEL)
    if not backbone and (earlier := manifest_beside(source)):
        backbone = earlier.backbone
    default = SAMPLE_DEFAULT if sample else DEFAULT
    try:
        return _start(named(backbone) if backbone else default, source)
    except ImagenetUnavailable as error:
        if not sample or backbone:
            raise
        print(f"*** {error} ***\n*** Training a small network from random values instead. ***")
        return _start(TINY, "none")


def _real_model_in_use(models: Path) -> model_store.Record | None:
    records = map(model_store.load_record, filter(model_store.current, (models, paths.MODELS)))
    return next((record for record in records if not record.manifest.sample), None)


def _start(backbone: Backbone, source: str) -> Start:
    hardware.choose_precision(dense=backbone.is_resnet)
    model = build(backbone)
    missing = load(model, source)
    if missing and source != "none":
        print(f"layers that are not in {source} start from random values: {', '.join(missing)}")
    path = Path(source)
    earlier = path.suffix == ".keras"
    called = f"{path.parent.name}/{path.name}" if earlier else path.name  # no private folders
    origin = WeightsOrigin(source=called, missing_layers=tuple(missing))
    learnt = model_store.trained_on(path.parent) if earlier else frozenset()
    return Start(model, backbone, origin, learnt)


def load(model: keras.Model, source: str) -> list[str]:
    """Load weights into `model` (from `classifier.build`); return the layers that were not loaded.

    `source` is `imagenet`, `none`, or a file: a Keras `.h5` or `.weights.h5` of the whole backbone;
    a `.npz` with arrays `<layer>/<variable>`, which may lack layers; or an earlier `model.keras`.
    The head is loaded only from a `model.keras` with the same backbone, and is never in the result.
    Raises `ImagenetUnavailable` if ImageNet weights cannot be downloaded, and `UserError` for a
    file that is missing, unreadable, or for another network.
    """
    layers = [layer for layer in model.layers if layer.weights]
    if source == "none":
        return [layer.name for layer in layers if layer.name != HEAD]
    backbone = named(model.name)
    arrays = (
        imagenet_arrays(backbone) if source == "imagenet" else file_arrays(Path(source), backbone)
    )
    lacking = [layer.name for layer in layers if not _fill(layer, arrays, source)]
    if len(lacking) == len(layers):
        raise UserError(
            f"{source} has no weights for {model.name}. "
            "Choose the --backbone that it was made for, or another file."
        )
    return [name for name in lacking if name != HEAD]


def _fill(layer: keras.layers.Layer, arrays: Arrays, source: str) -> bool:
    """Copy a layer's weights from `arrays`; return whether all of them were there."""
    whole = True
    for variable in layer.weights:
        array = arrays.get(f"{layer.name}/{variable.name}")
        if array is None:
            # The bias may be missing: before a normalisation, a convolution needs none.
            whole = whole and variable.name == "bias"
        elif array.shape != tuple(variable.shape):
            raise UserError(
                f"{source} is for another network: the {variable.name} of layer {layer.name} has "
                f"the shape {array.shape} instead of {tuple(variable.shape)}. Choose the "
                "--backbone that it was made for, or another file."
            )
        else:
            variable.assign(array)
    return whole


def arrays_of(model: keras.Model) -> Arrays:
    """All weights of a model, by name."""
    return {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.weights
    }


def imagenet_arrays(backbone: Backbone) -> Arrays:
    """The ImageNet weights for the backbone, which Keras downloads or has in its cache."""
    if backbone.application is None:
        raise UserError(f"There are no ImageNet weights for {backbone.name}. Use --weights none.")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # Keras's download has no timeout of its own
    try:
        return arrays_of(features(backbone, weights="imagenet"))
    except Exception as error:  # Keras raises a bare Exception for any failed download
        raise ImagenetUnavailable(
            f"ImageNet weights for {backbone.name} could not be downloaded ({error})."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def file_arrays(path: Path, backbone: Backbone) -> Arrays:
    """The weights in a file, by the names of the backbone's layers."""
    if not path.name.endswith(SUFFIXES):
        raise UserError(
            f"--weights {path} is unknown. "
            f"Choose imagenet, none, or a file ending in {', '.join(SUFFIXES)}."
        )
    if not path.is_file():
        raise UserError(f"The weights file {path} does not exist. Check --weights.")
    try:
        return _read(path, backbone)
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise almost any exception
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"Cannot read the weights file {path} ({reason}). Create or download it again."
        ) from error


def _read(path: Path, backbone: Backbone) -> Arrays:
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file) as arrays:  # np.load does not close broken ones
            return {name: array.astype(np.float32) for name, array in arrays.items()}
    if path.suffix == ".keras":
        earlier = keras.saving.load_model(path, compile=False)
        arrays = arrays_of(earlier)
        of_head = () if earlier.name == backbone.name else (f"{HEAD}/",)
        return {name: array for name, array in arrays.items() if not name.startswith(of_head)}
    try:
        with warnings.catch_warnings(action="ignore"):  # about files of older Keras versions
            return arrays_of(features(backbone, weights=str(path)))
    except ValueError as error:  # its message lists all layers that do not fit
        raise UserError(
            f"{path} does not fit {backbone.name} without its head. Choose the --backbone that it "
            "was made for, or another file."
        ) from error
