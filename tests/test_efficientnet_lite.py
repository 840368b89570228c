"""EfficientNet-Lite2 as its authors trained it: graph, scaling and weights fit one another."""

from importlib.resources import files

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from car_damage.training import efficientnet_lite, model, torch_file, weights
from car_damage.training.backbones import named

SIZE = 260  # pixels: what its authors trained it on
PALACE = 698  # of ImageNet's 1,000 classes, counted from 0


@pytest.mark.slow
def test_with_its_imagenet_weights_it_knows_a_palace_and_needs_no_network():
    classifier = model.build(named("efficientnet-lite2"))
    assert weights.load(classifier, "imagenet") == []

    china = load_sample_image("china.jpg")[:, 106:533]
    photo = cv2.resize(china, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    features = model.feature_extractor(classifier).predict(photo[np.newaxis], verbose=0)

    published = files(efficientnet_lite.PACKAGE).joinpath(efficientnet_lite.WEIGHTS)
    with published.open("rb") as file:
        tensors = torch_file.read(file)
    scores = tensors["_fc.weight"] @ features[0] + tensors["_fc.bias"]
    assert scores.argmax() == PALACE
