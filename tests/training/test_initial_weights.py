"""Initial weights: what is loaded, what is listed as missing, what is refused."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from car_damage import model_store
from car_damage.errors import UserError
from car_damage.manifest import WeightsOrigin
from car_damage.training import initial_weights as weights
from car_damage.training.backbones import named
from car_damage.training.classifier import build
from car_damage.training.initial_weights import arrays_of, starting_model
from tests import tiny_model

SAMPLE = True
NOWHERE = Path("no models")


def filled(model: keras.Model, seed: int = 1) -> keras.Model:
    """The model with a random value in every weight, biases and statistics included."""
    random = np.random.default_rng(seed)
    model.set_weights([random.random(w.shape, dtype=np.float32) for w in model.get_weights()])
    return model


def tiny(seed: int = 1) -> keras.Model:
    return filled(build(named("tiny")), seed)


def assert_same(one: keras.Model, other: keras.Model, but: str = "none") -> None:
    """All layers of `one` have the same weights in `other`."""
    found = arrays_of(other)
    for name, expected in arrays_of(one).items():
        if not name.startswith(but):
            np.testing.assert_array_equal(expected, found[name], err_msg=name)


NETWORKS = {"mobilenetv2": keras.applications.MobileNetV2, "resnet50": keras.applications.ResNet50}


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
@pytest.mark.parametrize(
    ("published", "name"), [("mobilenetv2", "mobilenetv2"), ("resnet50", "resnet50-c4")]
)
def test_loads_a_file_that_keras_saved_layer_by_layer(published, name, suffix, tmp_path):
    network = filled(NETWORKS[published](weights=None, include_top=False))
    path = str(tmp_path / f"published{suffix}")
    save = network.save_weights if suffix == ".weights.h5" else network.save
    save(path)
    model = build(named(name))

    assert weights.load(model, path) == []
    assert_same(model, network, but="head")


def test_loads_an_earlier_resnet50_into_resnet50_c4_without_its_head(tmp_path):
    earlier, model = filled(build(named("resnet50"))), build(named("resnet50-c4"))
    earlier.save(tmp_path / "model.keras")
    assert weights.load(model, str(tmp_path / "model.keras")) == []
    assert_same(model, earlier, but="head")


def test_an_npz_may_lack_layers_and_biases_and_be_of_half_precision(tmp_path):
    arrays, model = arrays_of(tiny(1)), tiny(2)
    halves = {
        name: array.astype(np.float16)
        for name, array in arrays.items()
        if not name.startswith("conv3") and not name.endswith("bias")
    }
    np.savez(tmp_path / "part.npz", **halves)
    assert weights.load(model, str(tmp_path / "part.npz")) == ["conv3", "conv3_bn"]
    found, before = arrays_of(model), arrays_of(tiny(2))
    np.testing.assert_allclose(found["conv1/kernel"], arrays["conv1/kernel"], atol=1e-3)
    np.testing.assert_array_equal(found["conv3/kernel"], before["conv3/kernel"])


def npz(**arrays):
    return lambda path: np.savez(path, **{k.replace("__", "/"): a for k, a in arrays.items()})


def damaged_keras(path) -> None:
    tiny().save(path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)


def other_network(path) -> None:
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3)])
    (network.save_weights if path.name.endswith(".weights.h5") else network.save)(path)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("missing.npz", lambda path: None, "does not exist"),
        ("weights.txt", lambda path: path.touch(), "Choose imagenet, none, or a file ending in"),
        ("broken.npz", lambda path: path.write_bytes(b"PK\x03\x04 cut"), "Cannot read"),
        ("broken.h5", lambda path: path.write_bytes(b"no hdf5"), "Cannot read"),
        ("broken.weights.h5", lambda path: path.touch(), "Cannot read"),
        ("broken.keras", lambda path: path.write_bytes(b"no zip"), "Cannot read"),
        ("damaged.keras", damaged_keras, "Cannot read"),
        ("code.npz", npz(conv1__kernel=np.array([{}], dtype=object)), "Cannot read"),
        ("empty.h5", lambda path: h5py.File(path, "w").close(), "does not fit tiny"),
        ("empty.weights.h5", lambda path: h5py.File(path, "w").close(), "does not fit tiny"),
        ("other.h5", other_network, "does not fit tiny"),
        ("other.weights.h5", other_network, "does not fit tiny"),
        ("other.npz", npz(block_1_expand__kernel=np.zeros(3)), "no weights for tiny"),
        (
            "shape.npz",
            npz(conv1__kernel=np.zeros((7, 7, 3, 64))),
            r"conv1 .*\(7, 7, 3, 64\).*\(3, 3, 3, 24\)",
        ),
    ],
)
def test_rejects_an_unusable_file_in_one_sentence_with_its_name(name, make, reason, tmp_path):
    make(tmp_path / name)
    with pytest.raises(UserError, match=reason) as refusal:
        weights.load(tiny(), str(tmp_path / name))
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.fixture
def offline(monkeypatch):
    """Make every download of Keras fail, as without a network."""

    def cut_off(network):
        def build_network(weights, **options):
            if weights == "imagenet":
                raise Exception("URL fetch failure: no route to host")  # as Keras does
            return network(weights=weights, **options)

        return build_network

    for network in NETWORKS.values():
        monkeypatch.setattr(keras.applications, network.__name__, cut_off(network))


def test_a_sample_run_without_weights_trains_a_small_network_and_says_so(offline, capsys):
    start = starting_model(None, "imagenet", SAMPLE, NOWHERE)
    assert start.backbone.name == "tiny"
    layers = [name for n in range(1, 6) for name in (f"conv{n}", f"conv{n}_bn")]
    assert start.weights == WeightsOrigin(source="none", missing_layers=tuple(layers))
    assert "could not be downloaded (URL fetch failure" in capsys.readouterr().out


@pytest.fixture
def in_use(tmp_path):
    """A models folder whose version in use training can start from."""
    tiny().save(tmp_path / "model.keras")
    saved = (tmp_path / "model.keras").read_bytes()
    files = {"model.keras": saved, "trained_on.txt": b"5a"}
    tiny_model.add_version(tmp_path, b"no graph", "20260401-0900-ffff", files=files)
    model_store.use(tmp_path, "20260401-0900-ffff")
    return tmp_path


@pytest.mark.parametrize(
    ("backbone", "source", "sample"),
    [
        ("mobilenetv2", "imagenet", True),  # a backbone that was asked for is not replaced
        ("mobilenetv2", "imagenet", False),
        (None, None, False),  # real photos start from ImageNet, not from the version in use
    ],
)
def test_an_error_and_not_random_values_if_imagenet_weights_cannot_be_downloaded(
    backbone, source, sample, offline, in_use
):
    with pytest.raises(weights.ImagenetUnavailable, match=r"no route to host"):
        starting_model(backbone, source, sample, in_use)


def test_the_default_backbone_is_that_of_the_earlier_model(offline, in_use):
    source = str(in_use / "20260401-0900-ffff" / "model.keras")
    start = starting_model(None, source, False, NOWHERE)
    assert start.backbone.name == "tiny"
    assert_same(tiny(), start.model)


def test_a_sample_run_starts_from_the_version_in_use_without_the_network(offline, in_use):
    start = starting_model(None, None, SAMPLE, in_use)
    assert start.weights == WeightsOrigin(source="20260401-0900-ffff/model.keras")
    assert start.backbone.name == "tiny"
    assert start.goes_on
    assert start.learnt == {"5a"}
    assert_same(tiny(), start.model)


@pytest.mark.parametrize(
    ("backbone", "source", "said"),
    [
        ("convnext-tiny", "none", r"'convnext-tiny'.*resnet50, resnet50-c4"),  # of an old version
        ("tiny", "imagenet", "no ImageNet weights for tiny. Use --weights none"),
    ],
)
def test_rejects_a_backbone_that_does_not_exist_or_has_no_such_weights(backbone, source, said):
    with pytest.raises(UserError, match=said):
        starting_model(backbone, source, SAMPLE, NOWHERE)
