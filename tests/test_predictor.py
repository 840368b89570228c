import math

import numpy as np
import pytest

from car_damage import heatmap, predictor
from car_damage.decision import Decision
from car_damage.errors import UserError
from car_damage.photo_warnings import WarningLimits
from tests import tiny_model
from tests.photo_files import texture
from tests.tiny_model import BIAS, CELLS, FEATURES, SIZE, VERSION, plain_photo

LIMITS = WarningLimits(  # by which grey is familiar and a strong colour is not
    sharpness=0.4,
    brightness=100.0,
    blown=0.3,
    short_side=32,
    distance=0.1,
    components=np.full((1, FEATURES), FEATURES**-0.5, np.float32),
)


@pytest.mark.parametrize(("red", "prediction"), [(True, "damaged"), (False, "not_damaged")])
def test_classifies_a_photo(models, red, prediction):
    answer = predictor.load(models).predict(plain_photo(red))
    assert answer.label == prediction
    assert (answer.probability > 0.5) == red
    assert (answer.model_version, answer.threshold) == (VERSION, 0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"size": SIZE * 2},
            f"its input photo is uint8 1x{SIZE}x{SIZE}x3 instead of uint8 1x64x64x3",
        ),
        (
            {"warning_limits": WarningLimits(components=np.ones((1, FEATURES + 1), np.float32))},
            f"its output embedding is float32 1x{FEATURES} instead of float32 1x{FEATURES + 1}",
        ),
    ],
)
def test_rejects_a_graph_that_does_not_match_its_model_json(models, tiny_graph, changes, said):
    tiny_model.add_version(models, tiny_graph, "20260402-0900-0001", **changes)
    with pytest.raises(UserError, match=said):
        predictor.load(models, "20260402-0900-0001")


@pytest.mark.parametrize("graph", [b"", b"x" * 1000, bytes(100_000)])
def test_rejects_a_file_that_is_not_a_graph(models, graph):
    tiny_model.add_version(models, graph, "20260402-0900-0001")
    with pytest.raises(UserError, match=r"model\.tflite cannot be used"):
        predictor.load(models, "20260402-0900-0001")


def test_a_graph_that_returns_nan_is_an_error(models, monkeypatch):
    loaded = predictor.load(models)
    broken = predictor.GraphOutput(math.nan, np.zeros((4, 4), np.float32), np.zeros(FEATURES))
    monkeypatch.setattr(loaded._graph, "run", lambda image: broken)
    with pytest.raises(UserError, match="instead of a finite number"):
        loaded.predict(plain_photo(red=True))


def test_the_probability_is_the_logit_by_the_temperature(models):
    photo = plain_photo(red=True)
    logit = predictor.Graph(models / VERSION / "model.tflite").run(photo[:SIZE, :SIZE]).logit
    assert logit == pytest.approx(170 / 16 + BIAS)
    expected = 1 / (1 + math.exp(-logit / 2.0))
    assert predictor.load(models).predict(photo).probability == round(expected, 4)


def test_comparing_the_rounded_probability_with_the_limits_gives_the_prediction(models, tiny_graph):
    photo = plain_photo(red=True)
    told = predictor.load(models).predict(photo).probability
    for number, threshold in enumerate((told, round(told + 1e-4, 4))):
        decision = Decision(temperature=2.0, threshold=threshold, review_band=(0.0, threshold))
        name = f"20260402-0900-000{number}"
        tiny_model.add_version(models, tiny_graph, name, decision)
        answer = predictor.load(models, name).predict(photo)
        assert (answer.label == "damaged") == (told >= threshold)
        assert answer.review == (told < threshold)


def test_the_heatmap_accounts_exactly_for_the_probability_and_is_positive_on_damage(models):
    photo = plain_photo(red=False)
    photo[:, :40] = plain_photo(red=True)[0, 0]
    answer = predictor.load(models).predict(photo)
    assert answer.heatmap.dtype == np.float32
    assert answer.heatmap.shape == (CELLS, CELLS)
    accounted = 1 / (1 + math.exp(-float(answer.heatmap.mean())))
    assert accounted == pytest.approx(answer.probability, abs=1e-4)
    assert answer.heatmap[:, 0].min() > 0 > answer.heatmap[:, -1].max()


def test_a_graph_gives_logit_heatmap_and_embedding_of_a_square(models):
    graph = predictor.Graph(models / VERSION / "model.tflite")
    outputs = graph.run(np.zeros((SIZE, SIZE, 3), np.uint8))
    assert outputs.logit == pytest.approx(BIAS)
    assert (outputs.heatmap.shape, outputs.heatmap.dtype) == ((CELLS, CELLS), np.float32)
    assert (outputs.embedding.shape, outputs.embedding.dtype) == ((FEATURES,), np.float32)


def test_an_answer_does_not_change_with_the_next_photo(models):
    loaded = predictor.load(models)
    first = loaded.predict(plain_photo(red=True))
    kept = first.heatmap.copy()
    loaded.predict(plain_photo(red=False))
    np.testing.assert_array_equal(first.heatmap, kept)


def test_a_version_without_band_and_limits_gives_no_reviews_and_no_warnings(models):
    answer = predictor.load(models).predict(plain_photo(red=True))
    assert answer.review is False
    assert answer.warnings == ()


def test_a_version_with_limits_warns_about_unfamiliar_photos(models, tiny_graph):
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", warning_limits=LIMITS)
    loaded = predictor.load(models, name)
    assert loaded.predict(texture(seed=1)).warnings == ()
    assert loaded.predict(plain_photo(red=True)).warnings == ("blurred", "dark", "unfamiliar")
    white = loaded.predict(np.full((80, 99, 3), 255, np.uint8))
    assert white.warnings == ("blurred", "overexposed")


@pytest.mark.parametrize(("side", "warned"), [(31, True), (32, False), (300, False)])
def test_only_a_photo_smaller_than_the_limit_has_a_low_resolution(models, tiny_graph, side, warned):
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", warning_limits=LIMITS)
    answer = predictor.load(models, name).predict(texture(1, width=400, height=side))
    assert ("low_resolution" in answer.warnings) == warned


# the heatmap over the photo


def coloured(photo: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Which pixels of the photo the overlay changes: bool (height, width)."""
    over = heatmap.overlay(photo, cells.astype(np.float32))
    assert (over.shape, over.dtype) == (photo.shape, np.uint8)
    return (over != photo).any(axis=2)


def test_a_photo_without_evidence_of_damage_stays_as_it_is():
    assert not coloured(plain_photo(red=False), np.full((7, 7), -3.0)).any()


@pytest.mark.parametrize("shape", [(90, 150), (150, 90), (65, 640)])
def test_evidence_everywhere_colours_the_whole_photo(shape):
    assert coloured(plain_photo(False, *shape), np.full((7, 7), 3.0)).all()


@pytest.mark.parametrize("shape", [(120, 200), (200, 120), (160, 160)])
def test_evidence_is_drawn_where_the_box_of_the_strongest_place_is(shape):
    cells = np.full((8, 8), -6.0)
    cells[3, 4] = 6.0
    height, width = shape
    place = heatmap.strongest_place(cells, width, height)
    assert (place.left, place.top) == (width * 4 / 8, height * 3 / 8)
    down, across = np.nonzero(coloured(plain_photo(False, *shape), cells))
    assert down.mean() + 0.5 == pytest.approx((place.top + place.bottom) / 2, abs=1)
    assert across.mean() + 0.5 == pytest.approx((place.left + place.right) / 2, abs=1)


def test_weak_evidence_looks_weaker_than_strong_evidence():
    photo = plain_photo(red=False)

    def change(strength: float) -> float:
        over = heatmap.overlay(photo, np.full((7, 7), strength, np.float32))
        return float(np.abs(over.astype(int) - photo).mean())

    assert 0 < change(1) < change(4) < change(12) == change(60)
