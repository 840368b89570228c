"""Networks: how they scale pixels, and the features that they give."""

import keras
import numpy as np
import pytest

from car_damage.training.backbones import named
from car_damage.training.networks import features, to_caffe, to_unit_range

PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


def scaled(scale) -> np.ndarray:
    photo = keras.Input((64, 64, 3), dtype="uint8")
    return keras.Model(photo, scale(photo)).predict(PHOTOS, verbose=0)


@pytest.fixture(autouse=True)
def _default_policy():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_pixels_are_scaled_in_float32_as_keras_scales_them(policy):
    keras.mixed_precision.set_global_policy(policy)
    pixels = PHOTOS.astype(np.float32)
    for ours, keras_module in (
        (to_caffe, keras.applications.resnet50),
        (to_unit_range, keras.applications.mobilenet_v2),
    ):
        expected = keras_module.preprocess_input(pixels.copy())
        np.testing.assert_allclose(scaled(ours), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "places", "channels"),
    [("tiny", 8, 96), ("resnet50", 2, 2048), ("resnet50-c4", 4, 1024), ("mobilenetv2", 2, 1280)],
)
def test_every_backbone_takes_photos_and_gives_a_map_of_features(name, places, channels):
    backbone = named(name)
    network = features(backbone)
    assert backbone.embedding is None or network.get_layer(backbone.embedding)
    assert (network.input.name, network.input.dtype) == ("photo", "uint8")
    assert network.compute_output_shape((None, 64, 64, 3)) == (None, places, places, channels)
