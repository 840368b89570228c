"""What training starts from where ImageNet's weights cannot be had."""

import json

import numpy as np
import pytest

from car_damage import model_store
from car_damage.training import initial_weights as weights
from car_damage.training.backbones import named
from car_damage.training.classifier import build
from car_damage.training.start import starting_model

ABOUT = {"sample": True, "size": 64}


@pytest.fixture
def offline(monkeypatch):
    def fail(_):
        raise weights.ImagenetUnavailable("ImageNet's weights could not be fetched")

    monkeypatch.setattr(weights, "imagenet_arrays", fail)


def test_a_sample_run_says_so_and_starts_a_small_network_from_random_values(offline, capsys):
    start = starting_model(None, "imagenet", ABOUT)
    assert start.backbone.name == "tiny"
    assert start.facts()["weights"]["source"] == "none"
    assert "could not be fetched" in capsys.readouterr().out


def test_on_real_photos_it_is_an_error_and_never_random_weights(offline):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model("mobilenetv2", "imagenet", {"sample": False, "size": 64})


def test_a_backbone_that_was_asked_for_is_not_replaced_in_a_sample_run(offline):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model("mobilenetv2", "imagenet", ABOUT)


@pytest.fixture
def in_use(tmp_path):
    """A models folder whose version in use can be trained on from."""
    model = build(named("tiny"))
    with model_store.add(tmp_path, "20260401-0900-ffff") as folder:
        model.save(folder / "model.keras")
        about = {"size": 64, "fit": "squeeze", "temperature": 1.0, "threshold": 0.5}
        (folder / "model.json").write_text(json.dumps({**about, "backbone": "tiny"}))
    model_store.use(tmp_path, "20260401-0900-ffff")
    return tmp_path, model


def test_a_sample_run_starts_from_the_real_model_in_use_without_the_network(offline, in_use):
    models, model = in_use
    start = starting_model(None, None, ABOUT, models)
    assert start.facts() == {
        "backbone": "tiny",
        "weights": {"source": "20260401-0900-ffff/model.keras", "missing_layers": []},
    }
    for one, other in zip(start.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_on_real_photos_imagenet_stays_the_default(offline, in_use):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model(None, None, {**ABOUT, "sample": False}, in_use[0])
