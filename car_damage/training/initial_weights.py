"""What training starts from: a backbone and its weights, from ImageNet, a file or at random."""

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

DOWNLOAD_TIMEOUT = 10  # seconds without a byte
SUFFIXES = (".keras", ".weights.h5", ".h5", ".npz")


class ImagenetUnavailable(UserError):  # noqa: N818 - it reads as what it says
    """ImageNet's weights are not in Keras's cache and cannot be fetched."""


@dataclass(frozen=True)
class Start:
    """A model that is ready to train, and where it comes from."""

    model: keras.Model
    backbone: Backbone
    weights: WeightsOrigin
    # SHA-256s of the photos that an earlier model and its ancestors were trained on; None: unknown
    learnt: frozenset[str] | None = frozenset()

    @property
    def goes_on(self) -> bool:
        """Whether it goes on from an earlier model, and not from weights alone."""
        return self.weights.source.endswith(".keras")


def starting_model(backbone: str | None, source: str | None, sample: bool, models: Path) -> Start:
    """Build a backbone in the precision that is fast on this machine, and load its weights.

    Without a `source` these are ImageNet's; for drawn cars, those of the model of real photos in
    use in `models`, or else in the project, which need no network. The backbone of an earlier
    model is that of its manifest, unless another one is asked for. Where ImageNet's cannot be
    fetched, a run on drawn cars prints so and trains a small network from random values; on real
    photos it is an `ImagenetUnavailable`.
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
        print(f"*** {error} ***\n*** a small network learns the drawn cars from random values ***")
        return _start(TINY, "none")


def _real_model_in_use(models: Path) -> model_store.Record | None:
    records = map(model_store.load_record, filter(model_store.current, (models, paths.MODELS)))
    return next((record for record in records if not record.manifest.sample), None)


def _start(backbone: Backbone, source: str) -> Start:
    hardware.choose_precision(dense=backbone.is_resnet)
    model = build(backbone)
    missing = load(model, source)
    if missing and source != "none":
        print(f"not in {source}, so from random values: {', '.join(missing)}")
    path = Path(source)
    earlier = path.suffix == ".keras"
    called = f"{path.parent.name}/{path.name}" if earlier else path.name  # without other folders
    origin = WeightsOrigin(source=called, missing_layers=tuple(missing))
    learnt = model_store.trained_on(path.parent) if earlier else frozenset()
    return Start(model, backbone, origin, learnt)


def load(model: keras.Model, source: str) -> list[str]:
    """Fill `model` (made by `classifier.build`) from `source`; return the layers left as they were.

    `source` is `imagenet`, `none`, or a file: Keras's `.h5` or `.weights.h5` of the whole backbone;
    `.npz` with arrays `<layer>/<variable>`, which may lack layers; or an earlier `model.keras`, the
    only one whose head is taken, if its backbone is the same. The head is never listed. Raises
    `ImagenetUnavailable` if ImageNet's weights cannot be fetched, and `UserError` for a file that
    is missing, unreadable, of another network, or holds nothing for this backbone.
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
            f"{source} holds nothing for the backbone {model.name}; "
            "choose the --backbone it was made for, or another file"
        )
    return [name for name in lacking if name != HEAD]


def _fill(layer: keras.layers.Layer, arrays: Arrays, source: str) -> bool:
    """Copy what `arrays` has of a layer; return whether that is all of it."""
    whole = True
    for variable in layer.weights:
        array = arrays.get(f"{layer.name}/{variable.name}")
        if array is None:
            # A convolution before a normalisation needs no bias: it may keep its 0.
            whole = whole and variable.name == "bias"
        elif array.shape != tuple(variable.shape):
            raise UserError(
                f"{source} is for another network: layer {layer.name} has a {variable.name} of "
                f"shape {array.shape} there and {tuple(variable.shape)} here; choose the "
                "--backbone it was made for, or another file"
            )
        else:
            variable.assign(array)
    return whole


def arrays_of(model: keras.Model) -> Arrays:
    """All weights of a model."""
    return {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.weights
    }


def imagenet_arrays(backbone: Backbone) -> Arrays:
    """The weights that Keras fetches, or has in its cache, for the backbone."""
    if backbone.application is None:
        raise UserError(f"{backbone.name} has no ImageNet weights; pass --weights none")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # Keras's download has none and would wait for ever
    try:
        return arrays_of(features(backbone, weights="imagenet"))
    except Exception as error:  # Keras raises a bare Exception for any failed download
        raise ImagenetUnavailable(
            f"ImageNet weights for {backbone.name} could not be fetched ({error})"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def file_arrays(path: Path, backbone: Backbone) -> Arrays:
    """The weights in a file, named after the layers of the backbone."""
    if not path.name.endswith(SUFFIXES):
        raise UserError(
            f"--weights {path} is not imagenet, none, or a file ending in {', '.join(SUFFIXES)}"
        )
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist; check --weights")
    try:
        return _read(path, backbone)
    except UserError:
        raise
    except Exception as error:  # a damaged file raises whatever its decoder trips over
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"the weights file {path} cannot be read ({reason}); make or fetch it again"
        ) from error


def _read(path: Path, backbone: Backbone) -> Arrays:
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file) as arrays:  # np.load leaves a broken file open
            return {name: array.astype(np.float32) for name, array in arrays.items()}
    if path.suffix == ".keras":
        earlier = keras.saving.load_model(path, compile=False)
        arrays = arrays_of(earlier)
        of_head = () if earlier.name == backbone.name else (f"{HEAD}/",)
        return {name: array for name, array in arrays.items() if not name.startswith(of_head)}
    try:
        with warnings.catch_warnings(action="ignore"):  # of what older Keras did not write
            return arrays_of(features(backbone, weights=str(path)))
    except ValueError as error:  # it lists over many lines which layers do not fit
        raise UserError(
            f"{path} is not for {backbone.name} without its head; choose the --backbone that it "
            "was made for, or another file"
        ) from error
