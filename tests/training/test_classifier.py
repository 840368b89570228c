"""The classifier: which layers learn, and how its head works."""

import keras
import numpy as np
import pytest

from car_damage.training import classifier
from car_damage.training.backbones import BACKBONES, named

PHOTOS = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", BACKBONES)
def test_fewer_layers_learn_from_each_later_stage_and_the_head_always_does(name):
    backbone = BACKBONES[name]
    model = classifier.build(backbone)
    learning = []
    for stage in [*backbone.stages, "head"]:
        classifier.trainable_from(model, stage)
        learning.append(len(model.trainable_variables))

    assert learning == sorted(set(learning), reverse=True)
    assert learning[-1] == 2
    assert backbone.default_stage in backbone.stages


def test_layers_before_the_stage_and_batch_normalisation_do_not_change_in_fit():
    keras.utils.set_random_seed(1)
    model = classifier.build(named("resnet50-c4"))
    classifier.trainable_from(model, "conv4")
    before = [np.copy(variable) for variable in model.variables]

    model.compile(keras.optimizers.SGD(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(PHOTOS, np.array([0, 1, 1, 1]), verbose=0)

    pairs = zip(before, model.variables, strict=True)
    moved = {variable.path.split("/")[0] for old, variable in pairs if np.any(old != variable)}
    assert {"head", "conv4_block1_1_conv", "conv4_block6_3_conv"} <= moved
    assert all(name == "head" or name.startswith("conv4_") for name in moved)
    assert not any(name.endswith("_bn") for name in moved)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_logit_is_linear_on_the_pooled_features_and_float32_at_any_precision(policy):
    keras.mixed_precision.set_global_policy(policy)
    model = classifier.build(named("tiny"))
    kernel = np.linspace(-1, 1, 96)
    classifier.set_head(model, kernel, 0.5)
    logit = model.predict(PHOTOS, verbose=0)["logit"]
    pooled = classifier.feature_extractor(model).predict(PHOTOS, verbose=0)
    assert logit.dtype == np.float32
    np.testing.assert_allclose(logit[:, 0], pooled @ kernel + 0.5, atol=1e-5)
