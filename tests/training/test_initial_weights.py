"""Weights from files and from ImageNet: what is taken, what is listed, what is refused."""

import dataclasses

import h5py
import keras
import numpy as np
import pytest

from car_damage.errors import UserError
from car_damage.training import classifier as classifiers
from car_damage.training import initial_weights as weights
from car_damage.training.backbones import named


def random_model(name: str = "tiny", seed: int = 1) -> keras.Model:
    """A classifier with a random value in every weight, biases and statistics included."""
    model = classifiers.build(named(name))
    random = np.random.default_rng(seed)
    model.set_weights([random.random(w.shape, dtype=np.float32) for w in model.get_weights()])
    return model


def assert_same(one: keras.Model, other: keras.Model, but: str = "none") -> None:
    expected, found = weights.model_arrays(one), weights.model_arrays(other)
    for name in expected:
        if not name.startswith(but):
            np.testing.assert_array_equal(expected[name], found[name], err_msg=name)


def npz(path, model: keras.Model, leave_out: str = "none") -> str:
    arrays = weights.model_arrays(model)
    np.savez(path, **{name: a for name, a in arrays.items() if not name.startswith(leave_out)})
    return str(path)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenetv2", "convnext-tiny")]


@pytest.mark.parametrize("name", ["tiny", *SLOW])
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_weights_that_keras_saved_come_back_layer_by_layer(name, suffix, tmp_path):
    earlier, model = random_model(name, 1), random_model(name, 2)
    path = str(tmp_path / f"model{suffix}")
    if suffix == ".weights.h5":
        earlier.save_weights(path)
    else:
        earlier.save(path)

    assert weights.load(model, path) == []
    assert_same(earlier, model, but="head/")


@pytest.mark.slow
def test_a_keras_applications_file_fits_though_it_has_neither_our_scaling_nor_our_head(tmp_path):
    published = keras.applications.MobileNetV2(weights=None, input_shape=(64, 64, 3), classes=7)
    published.save_weights(tmp_path / "published.weights.h5")
    model = random_model("mobilenetv2")

    assert weights.load(model, str(tmp_path / "published.weights.h5")) == []
    assert_same(model, published, but="head/")


def test_an_earlier_model_comes_back_with_its_head(tmp_path):
    earlier, model = random_model(seed=1), random_model(seed=2)
    earlier.save(tmp_path / "model.keras")

    assert weights.load(model, str(tmp_path / "model.keras")) == []
    assert_same(earlier, model)


@pytest.mark.slow
def test_an_earlier_resnet50_gives_resnet50_c4_all_but_the_head(tmp_path):
    earlier, model = random_model("resnet50", 1), random_model("resnet50-c4", 2)
    earlier.save(tmp_path / "model.keras")

    assert weights.load(model, str(tmp_path / "model.keras")) == []
    assert_same(model, earlier, but="head/")


def test_layers_that_the_file_lacks_keep_their_values_and_are_listed(tmp_path):
    model, before = random_model(seed=2), random_model(seed=2)
    path = npz(tmp_path / "part.npz", random_model(seed=1), leave_out="conv3")

    assert weights.load(model, path) == ["conv3", "conv3_bn"]
    np.testing.assert_array_equal(
        weights.model_arrays(model)["conv3/kernel"], weights.model_arrays(before)["conv3/kernel"]
    )


def test_half_precision_kernels_without_biases_are_whole_layers(tmp_path):
    earlier, model = random_model(seed=1), random_model(seed=2)
    arrays = weights.model_arrays(earlier)
    halves = {name: a.astype(np.float16) for name, a in arrays.items() if "bias" not in name}
    np.savez(tmp_path / "half.npz", **halves)

    assert weights.load(model, str(tmp_path / "half.npz")) == []
    np.testing.assert_allclose(
        weights.model_arrays(model)["conv1/kernel"], arrays["conv1/kernel"], atol=1e-3
    )


def test_no_weights_leave_every_layer_as_it_was():
    model, before = random_model(), random_model()

    layers = [name for n in range(1, 6) for name in (f"conv{n}", f"conv{n}_bn")]
    assert weights.load(model, "none") == layers
    assert_same(before, model)


def test_another_shape_is_refused_with_the_layer_and_both_shapes(tmp_path):
    np.savez(tmp_path / "other.npz", **{"conv1/kernel": np.zeros((7, 7, 3, 64))})

    with pytest.raises(UserError, match=r"conv1 .*\(7, 7, 3, 64\).*\(3, 3, 3, 24\)"):
        weights.load(random_model(), str(tmp_path / "other.npz"))


def test_a_file_for_another_backbone_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", **{"block_1_expand/kernel": np.zeros(3)})

    with pytest.raises(UserError, match="nothing for the backbone tiny"):
        weights.load(random_model(), str(tmp_path / "other.npz"))


def empty_h5(path) -> None:
    h5py.File(path, "w").close()


def pickled_npz(path) -> None:
    np.savez(path, **{"conv1/kernel": np.array([{}], dtype=object)})


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("missing.npz", lambda path: None, "does not exist"),
        ("weights.txt", lambda path: path.touch(), "none of imagenet, none, or a file ending in"),
        ("imagnet", lambda path: None, "none of imagenet, none, or a file ending in"),
        ("broken.npz", lambda path: path.write_bytes(b"PK\x03\x04 cut"), "cannot be read"),
        ("broken.h5", lambda path: path.write_bytes(b"no hdf5"), "cannot be read"),
        ("broken.weights.h5", lambda path: path.touch(), "cannot be read"),
        ("broken.keras", lambda path: path.write_bytes(b"no zip"), "cannot be read"),
        ("code.npz", pickled_npz, "cannot be read"),
        ("empty.h5", empty_h5, "nothing for the backbone"),
        ("empty.weights.h5", empty_h5, "nothing for the backbone"),
    ],
)
def test_an_unusable_file_is_refused_by_name(name, make, reason, tmp_path):
    make(tmp_path / name)

    with pytest.raises(UserError, match=reason) as refusal:
        weights.load(random_model(), str(tmp_path / name))

    assert name in str(refusal.value)


def test_imagenet_weights_that_cannot_be_fetched_are_an_error_and_say_what_to_do(monkeypatch):
    def unreachable(**_):
        raise Exception("URL fetch failure: no route to host")  # as Keras does

    cut_off = dataclasses.replace(named("tiny"), body=unreachable)
    monkeypatch.setattr(weights, "named", lambda name: cut_off)
    model, before = random_model(), random_model()

    with pytest.raises(weights.ImagenetUnavailable, match=r"no route to host.*--weights FILE"):
        weights.load(model, "imagenet")

    assert_same(before, model)


def test_the_sample_backbone_has_no_imagenet_weights_and_says_so():
    with pytest.raises(UserError, match="tiny has no ImageNet weights; pass --weights none"):
        weights.load(random_model(), "imagenet")
