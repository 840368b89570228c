"""What training starts from where ImageNet's weights cannot be had."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from car_damage import model_store
from car_damage.training import initial_weights as weights
from car_damage.training.backbones import named
from car_damage.training.classifier import build
from car_damage.training.start import starting_model

ABOUT = {"sample": True, "size": 64}
NOWHERE = Path("no models")


@pytest.fixture
def offline(monkeypatch):
    def fail(_):
        raise weights.ImagenetUnavailable("ImageNet's weights could not be fetched")

    monkeypatch.setattr(weights, "imagenet_arrays", fail)


def test_a_sample_run_says_so_and_starts_a_small_network_from_random_values(offline, capsys):
    start = starting_model(None, "imagenet", ABOUT, NOWHERE)
    assert start.backbone.name == "tiny"
    assert start.facts()["weights"]["source"] == "none"
    assert "could not be fetched" in capsys.readouterr().out


def test_on_real_photos_it_is_an_error_and_never_random_weights(offline):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model("mobilenetv2", "imagenet", {**ABOUT, "sample": False}, NOWHERE)


def test_a_backbone_that_was_asked_for_is_not_replaced_in_a_sample_run(offline):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model("mobilenetv2", "imagenet", ABOUT, NOWHERE)


def put_to_use(models: Path, version: str, sample: bool = False) -> keras.Model:
    """Add a version that can be trained on from, and make it current."""
    model = build(named("tiny"))
    about = {"size": 64, "fit": "squeeze", "temperature": 1.0, "threshold": 0.5, "sample": sample}
    with model_store.add(models, version) as folder:
        model.save(folder / "model.keras")
        (folder / "model.json").write_text(json.dumps({**about, "backbone": "tiny"}))
    model_store.use(models, version)
    return model


def test_a_sample_run_starts_from_the_projects_real_model_without_the_network(offline, project):
    model = put_to_use(project / "models", "20260401-0900-ffff")
    sample = project / "models" / "sample"
    put_to_use(sample, "20260402-0900-ffff", sample=True)
    start = starting_model(None, None, ABOUT, sample)
    assert start.facts() == {
        "backbone": "tiny",
        "weights": {"source": "20260401-0900-ffff/model.keras", "missing_layers": []},
    }
    for one, other in zip(start.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    put_to_use(sample, "20260403-0900-ffff")  # a real model, in the folder that --models names
    assert starting_model(None, None, ABOUT, sample).source == "20260403-0900-ffff/model.keras"


def test_on_real_photos_imagenet_stays_the_default(offline, project):
    put_to_use(project / "models", "20260401-0900-ffff")
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model(None, None, {**ABOUT, "sample": False}, project / "models")
