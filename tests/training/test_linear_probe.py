"""Phase 1: the head that is fitted on a frozen backbone's features."""

import keras
import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset
from car_damage.training import linear_probe
from car_damage.training.backbones import HEAD
from car_damage.training.classifier import POOLED
from tests.images import config_of, row, split_of

SIZE = 32
STILL = 1e-6  # of the green channel: what is left of it as a feature


@pytest.fixture(scope="module")
def fitted():
    """A model with the photo's mean red, a hair's breadth of its green, and nothing for features;
    and what phase 1 found on photos whose red and green tell that they are damaged."""
    photo = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    red_and_green = keras.layers.Rescaling([1 / 255, STILL / 255, 0.0])(photo)
    pooled = keras.layers.GlobalAveragePooling2D(name=POOLED)(red_and_green)
    logit = keras.layers.Dense(1, name=HEAD)(pooled)
    model = keras.Model(photo, {"logit": logit})
    splits = [photos(seed) for seed in range(3)]
    dataset = Dataset(*splits, config_of())
    return model, linear_probe.fit_head(model, dataset, batch_size=16)


def photos(seed: int):
    random = np.random.default_rng(seed)
    damaged = np.arange(40) % 2 == 0
    images = np.zeros((40, SIZE, SIZE, 3), np.uint8)
    images[..., 0] = (damaged * 60 + random.integers(60, 120, 40))[:, np.newaxis, np.newaxis]
    images[..., 1] = (damaged * 60 + random.integers(60, 120, 40))[:, np.newaxis, np.newaxis]
    labels = np.where(damaged, "damaged", "not-damaged")
    return split_of([row(number, label) for number, label in enumerate(labels)], images)


def test_the_head_answers_as_the_probe_that_was_fitted(fitted):
    model, found = fitted
    images = photos(seed=1).X
    logits = model.predict(images, verbose=0)["logit"][:, 0]
    expected = found.probe.predict_log_proba(found.features["val"])
    np.testing.assert_allclose(logits, expected[:, 1] - expected[:, 0], atol=1e-4)
    assert found.loss < 0.6  # it has learnt something


def test_a_feature_that_hardly_varies_is_not_used_even_if_it_separates_the_classes(fitted):
    model, _ = fitted
    red, green, nothing = model.get_layer(HEAD).get_weights()[0][:, 0]
    assert red > 1
    assert green == nothing == 0
