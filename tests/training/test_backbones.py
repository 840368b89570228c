"""The table of backbones: scaling, stages, and what stays still when a model learns."""

import keras
import numpy as np
import pytest

from car_damage.errors import UserError
from car_damage.training import classifier as classifiers
from car_damage.training.backbones import (
    BACKBONES,
    named,
    to_caffe,
    to_standard,
    to_unit_range,
    trainable_from,
)

PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _default_policy():
    yield
    keras.mixed_precision.set_global_policy("float32")


def tiny() -> keras.Model:
    keras.utils.set_random_seed(1)
    return classifiers.build(named("tiny"))


def scaled(scale) -> np.ndarray:
    photo = keras.Input((64, 64, 3), dtype="uint8")
    return keras.Model(photo, scale(photo)).predict(PHOTOS, verbose=0)


def test_resnets_scaling_is_exactly_that_of_keras():
    expected = keras.applications.resnet50.preprocess_input(PHOTOS.astype(np.float32))

    np.testing.assert_array_equal(scaled(to_caffe), expected)


def test_the_unit_range_is_that_of_keras():
    expected = keras.applications.mobilenet_v2.preprocess_input(PHOTOS.astype(np.float32))

    np.testing.assert_allclose(scaled(to_unit_range), expected, atol=1e-6)


def test_the_standard_scaling_gives_the_mean_colour_of_imagenet_zero():
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    np.testing.assert_allclose(scaled(to_standard), (PHOTOS / 255 - mean) / std, atol=1e-5)


def test_pixels_are_scaled_in_float32_under_mixed_precision():
    exact = scaled(to_caffe)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")

    np.testing.assert_array_equal(scaled(to_caffe), exact)


@pytest.mark.parametrize(
    ("name", "places", "channels"),
    [
        ("tiny", 8, 96),
        ("resnet50", 2, 2048),
        ("resnet50-c4", 4, 1024),
        ("mobilenetv2", 2, 1280),
        ("efficientnetv2-b0", 2, 1280),
        ("mobilenetv3-large", 2, 960),
        ("convnext-tiny", 2, 768),
    ],
)
@pytest.mark.slow
def test_every_backbone_takes_photos_and_gives_a_map_of_features(name, places, channels):
    backbone = named(name)
    features = backbone.features()

    assert backbone.embedding is None or features.get_layer(backbone.embedding)
    assert (features.input.name, features.input.dtype) == ("photo", "uint8")
    shape = features.compute_output_shape((None, 64, 64, 3))
    assert shape == (None, places, places, channels)


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.slow
def test_from_every_stage_on_fewer_layers_learn_and_the_head_always_does(name):
    backbone = BACKBONES[name]
    model = classifiers.build(backbone)
    learning = []
    for stage in [*backbone.stages, "head"]:
        trainable_from(model, backbone, stage)
        learning.append(len(model.trainable_variables))

    assert learning == sorted(set(learning), reverse=True)
    assert learning[-1] == 2
    assert backbone.default_stage in backbone.stages


@pytest.mark.slow
def test_layers_before_the_stage_and_batch_normalisation_do_not_move_in_fit():
    keras.utils.set_random_seed(1)
    backbone = named("resnet50-c4")
    model = classifiers.build(backbone)
    trainable_from(model, backbone, "conv4")
    before = [np.copy(variable) for variable in model.variables]

    model.compile(keras.optimizers.SGD(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(PHOTOS, np.array([0, 1, 1, 1]), verbose=0)

    pairs = zip(before, model.variables, strict=True)
    moved = {variable.path.split("/")[0] for old, variable in pairs if np.any(old != variable)}
    assert {"head", "conv4_block1_1_conv", "conv4_block6_3_conv"} <= moved
    assert all(name == "head" or name.startswith("conv4_") for name in moved)
    assert not any(name.endswith("_bn") for name in moved)


def test_an_unknown_stage_is_refused_with_the_names_of_all():
    with pytest.raises(UserError, match=r"'conv9'.*conv1, conv2.*head"):
        trainable_from(tiny(), named("tiny"), "conv9")


def test_an_unknown_backbone_is_refused_with_the_names_of_all():
    with pytest.raises(UserError, match=r"'vgg'.*resnet50, resnet50-c4"):
        named("vgg")


def test_the_same_seed_gives_the_same_model():
    for one, other in zip(tiny().get_weights(), tiny().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_heatmap_averages_to_the_logit_less_the_bias():
    model = tiny()
    classifiers.set_head(model, np.linspace(-1, 1, 96), 0.5)

    served = classifiers.serving_model(model, 64).predict(PHOTOS, verbose=0)

    np.testing.assert_allclose(served["logit"][:, 0] - 0.5, served["heatmap"].mean(axis=(1, 2)))
    np.testing.assert_allclose(served["logit"], model.predict(PHOTOS)["logit"], atol=1e-5)


def test_the_head_is_linear_on_the_pooled_features():
    model = tiny()
    kernel = np.linspace(-1, 1, 96)
    classifiers.set_head(model, kernel, 0.5)

    pooled = classifiers.feature_extractor(model).predict(PHOTOS, verbose=0)

    logit = model.predict(PHOTOS, verbose=0)["logit"][:, 0]
    np.testing.assert_allclose(pooled @ kernel + 0.5, logit, atol=1e-5)


def test_the_outputs_stay_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = tiny()

    outputs = [*classifiers.serving_model(model, 64).outputs, *model.outputs]

    assert {output.dtype for output in outputs} == {"float32"}


@pytest.mark.parametrize("name", ["tiny", pytest.param("convnext-tiny", marks=pytest.mark.slow)])
def test_a_saved_model_loads_without_being_told_of_its_layers(name, tmp_path):
    model = classifiers.build(named(name))
    model.save(tmp_path / "model.keras")

    again = keras.saving.load_model(tmp_path / "model.keras")

    assert again.name == name
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
