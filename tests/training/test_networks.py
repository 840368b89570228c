"""Networks: how they scale pixels, and the shape of their features."""

import keras
import numpy as np
import pytest

from car_damage.training.backbones import named
from car_damage.training.networks import features, scaled

PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32"])
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet50", keras.applications.resnet50),
        ("mobilenetv2", keras.applications.mobilenet_v2),
    ],
)
def test_pixels_are_scaled_in_float32_as_keras_scales_them(name, published, policy):
    keras.mixed_precision.set_global_policy(policy)
    photo = keras.Input((64, 64, 3), dtype="uint8")
    found = keras.Model(photo, scaled(photo, named(name))).predict(PHOTOS, verbose=0)
    expected = published.preprocess_input(PHOTOS.astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "places", "channels"),
    [("tiny", 8, 96), ("resnet50", 2, 2048), ("resnet50-c4", 4, 1024), ("mobilenetv2", 2, 1280)],
)
def test_every_backbone_takes_photos_and_gives_a_map_of_features(name, places, channels):
    backbone = named(name)
    network = features(backbone)
    assert network.get_layer(backbone.embedding)
    assert (network.input.name, network.input.dtype) == ("photo", "uint8")
    assert network.compute_output_shape((None, 64, 64, 3)) == (None, places, places, channels)
