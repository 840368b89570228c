"""The classifier: which layers learn, and what it gives to the serving graph."""

import keras
import numpy as np
import pytest

from car_damage.training import classifier
from car_damage.training.backbones import BACKBONES, named

PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _default_policy():
    yield
    keras.mixed_precision.set_global_policy("float32")


def tiny() -> keras.Model:
    """A small classifier whose head is not random: its kernel grows, its bias is 0.5."""
    keras.utils.set_random_seed(1)
    model = classifier.build(named("tiny"))
    classifier.set_head(model, np.linspace(-1, 1, 96), 0.5)
    return model


@pytest.mark.parametrize("name", BACKBONES)
def test_fewer_layers_learn_from_each_later_stage_and_the_head_always_does(name):
    backbone = BACKBONES[name]
    model = classifier.build(backbone)
    learning = []
    for stage in [*backbone.stages, "head"]:
        classifier.trainable_from(model, backbone, stage)
        learning.append(len(model.trainable_variables))

    assert learning == sorted(set(learning), reverse=True)
    assert learning[-1] == 2
    assert backbone.default_stage in backbone.stages


@pytest.mark.slow
def test_layers_before_the_stage_and_batch_normalisation_do_not_change_in_fit():
    keras.utils.set_random_seed(1)
    backbone = named("resnet50-c4")
    model = classifier.build(backbone)
    classifier.trainable_from(model, backbone, "conv4")
    before = [np.copy(variable) for variable in model.variables]

    model.compile(keras.optimizers.SGD(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(PHOTOS, np.array([0, 1, 1, 1]), verbose=0)

    pairs = zip(before, model.variables, strict=True)
    moved = {variable.path.split("/")[0] for old, variable in pairs if np.any(old != variable)}
    assert {"head", "conv4_block1_1_conv", "conv4_block6_3_conv"} <= moved
    assert all(name == "head" or name.startswith("conv4_") for name in moved)
    assert not any(name.endswith("_bn") for name in moved)


def test_logit_is_the_mean_of_the_heatmap_and_linear_on_the_pooled_features():
    model = tiny()
    logit = model.predict(PHOTOS, verbose=0)["logit"][:, 0]

    served = classifier.serving_model(model, 64).predict(PHOTOS, verbose=0)
    pooled = classifier.feature_extractor(model).predict(PHOTOS, verbose=0)

    mean = served["heatmap"].mean(axis=(1, 2))
    np.testing.assert_allclose(mean + 0.5, served["logit"][:, 0], atol=1e-5)
    np.testing.assert_allclose(served["logit"][:, 0], logit, atol=1e-5)
    np.testing.assert_allclose(pooled @ np.linspace(-1, 1, 96) + 0.5, logit, atol=1e-5)


def test_outputs_stay_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = tiny()

    outputs = [*classifier.serving_model(model, 64).outputs, *model.outputs]

    assert {output.dtype for output in outputs} == {"float32"}
