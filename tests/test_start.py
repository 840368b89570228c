"""What training starts from where ImageNet's weights cannot be had."""

import pytest

from car_damage.training import weights
from car_damage.training.start import starting_model


@pytest.fixture
def offline(monkeypatch):
    def fail(_):
        raise weights.ImagenetUnavailable("ImageNet's weights could not be fetched")

    monkeypatch.setattr(weights, "imagenet_arrays", fail)


def test_a_sample_run_says_so_and_starts_a_small_network_from_random_values(offline, capsys):
    start = starting_model(None, "imagenet", {"sample": True, "size": 64})
    assert start.backbone.name == "tiny"
    assert start.facts()["weights"]["source"] == "none"
    assert "could not be fetched" in capsys.readouterr().out


def test_on_real_photos_it_is_an_error_and_never_random_weights(offline):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model("mobilenetv2", "imagenet", {"sample": False, "size": 64})


def test_a_backbone_that_was_asked_for_is_not_replaced_in_a_sample_run(offline):
    with pytest.raises(weights.ImagenetUnavailable):
        starting_model("mobilenetv2", "imagenet", {"sample": True, "size": 64})
