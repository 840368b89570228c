"""Tests whether a version looks at the car or at the photo's quality and border."""

import cv2
import numpy as np
import pytest

from car_damage.decision import Decision
from car_damage.evaluation.inference import Outputs, graph_outputs
from car_damage.evaluation.predictions import predictions_from
from car_damage.evaluation.robustness import (
    SIDE,
    attention,
    border_places,
    border_shares,
    equalise,
    grey_middle,
    greyed_middle,
)
from car_damage.manifest import Estimate, GreyedMiddle
from car_damage.photos import MID_GREY
from tests import tiny_model
from tests.images import row, split_of
from tests.photo_files import texture


def sharpness(image):
    return cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()


def shrunk_before(image):
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def test_a_sharp_photo_and_its_thumbnail_become_the_same():
    sharp = texture(0, 320, 320)
    thumbnail = shrunk_before(sharp)
    assert sharpness(sharp) > 10 * sharpness(thumbnail)
    assert sharpness(equalise(sharp)) < 2 * sharpness(equalise(thumbnail))


def test_the_content_of_the_photo_stays():
    image = texture(1, 224, 224)
    equalised = equalise(image)
    assert equalised.shape == image.shape
    assert equalised.dtype == np.uint8
    difference = cv2.blur(equalised, (15, 15)).astype(int) - cv2.blur(image, (15, 15))
    assert np.abs(difference).mean() < 3


def test_small_images_are_not_enlarged():
    image = np.full((48, 48, 3), (200, 30, 30), np.uint8)
    assert np.abs(equalise(image).astype(int) - image).max() < 5


def outputs(*heatmaps, bias=0.0):
    maps = np.array(heatmaps, np.float32)
    return Outputs(maps.mean(axis=(1, 2)) + bias, maps, np.zeros((len(maps), 1), np.float32))


@pytest.mark.parametrize(("side", "inner"), [(3, 1), (7, 5), (8, 6), (14, 10), (16, 12)])
def test_the_border_is_an_eighth_of_the_side_but_at_least_one_place(side, inner):
    assert border_places((side, side)).sum() == side**2 - inner**2


def test_the_border_share_is_that_of_the_evidence_for_damage_with_the_bias():
    # 6 in the middle, 2 in a corner; evidence against damage does not count.
    heatmap = [[2, -9, 0], [0, 6, 0], [0, 0, 0]]
    assert border_shares(outputs(heatmap)) == pytest.approx([2 / 8])
    assert border_shares(outputs(heatmap, bias=-1.0)) == pytest.approx([1 / 6])


@pytest.mark.filterwarnings("error")
def test_a_heatmap_without_evidence_for_damage_has_no_border_share():
    assert np.isnan(border_shares(outputs(np.full((3, 3), -1.0)))).all()


def test_greying_the_middle_does_not_change_the_border_or_the_original():
    image = np.full((16, 16, 3), 9, np.uint8)
    greyed = grey_middle(image)
    assert (greyed[2:14, 2:14] == MID_GREY).all()
    assert (greyed == 9).sum() == 3 * (16**2 - 12**2)
    assert (image == 9).all()


def test_answers_are_unsure_between_a_tenth_and_nine_tenths():
    before = np.array([0.05, 0.1, 0.9, 0.95])
    after = np.array([0.5, 0.5, 0.5, 0.95])
    assert greyed_middle(before, after) == GreyedMiddle(
        count=4,
        unsure_before=0.25,
        unsure_after=0.75,
        confident_damaged_before=0.5,
        confident_damaged_after=0.25,
    )


def test_attention_shows_whether_a_version_looks_at_the_middle_or_the_border(tmp_path, tiny_graph):
    graph = tmp_path / "model.tflite"
    graph.write_bytes(tiny_graph)
    size, cell = tiny_model.SIZE, tiny_model.SIZE // tiny_model.CELLS
    in_middle, at_border, blue = (np.zeros((size, size, 3), np.uint8) for _ in range(3))
    in_middle[cell:-cell, cell:-cell, 0] = 255  # the tiny model classifies red as damaged
    at_border[:, :, 0] = 255
    at_border[cell:-cell, cell:-cell] = 0
    blue[:, :, 2] = 255
    labels = ["damaged", "damaged", "not-damaged"]
    rows = [row(number, label) for number, label in enumerate(labels)]

    def measured(image):
        images = np.stack([image, image, blue])
        found = graph_outputs(graph, images)
        decision = Decision(temperature=0.5, threshold=0.5)
        predictions = predictions_from(split_of(rows, images), found.logits, decision)
        return attention(predictions, found, graph, seed=0)

    looking_at_middle, looking_at_border = measured(in_middle), measured(at_border)
    assert looking_at_middle.border_area == 12 / 16
    assert looking_at_middle.border_share == Estimate(value=0, low=None, high=None)
    assert looking_at_border.border_share.value == 1
    assert looking_at_middle.greyed_middle.confident_damaged_after == 0
    assert looking_at_border.greyed_middle.confident_damaged_after == pytest.approx(2 / 3)
