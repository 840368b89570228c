import math

import numpy as np
import pytest

from car_damage import heatmap, model_store, predictor
from car_damage.errors import UserError
from car_damage.photo_warnings import Limits
from car_damage.photos import Box, unfit
from tests import tiny_model
from tests.photo_files import texture
from tests.tiny_model import BIAS, CELLS, FEATURES, SIZE, VERSION, plain_photo


def half_red(height: int = 60, width: int = 90) -> np.ndarray:
    """A blue photo whose left third is red."""
    photo = plain_photo(red=False, height=height, width=width)
    photo[:, : width // 3] = plain_photo(red=True)[0, 0]
    return photo


def doubtful(short_side: int) -> dict:
    """An entry `doubt` of `model.json` for which grey is familiar and a strong colour is not."""
    grey = np.full((1, FEATURES), FEATURES**-0.5, np.float32)
    return Limits(0.4, 100.0, 0.3, short_side, distance=0.1, components=grey).as_json()


@pytest.mark.parametrize(("red", "prediction"), [(True, "damaged"), (False, "not_damaged")])
def test_a_photo_is_answered(models, red, prediction):
    answer = predictor.load(models).predict(plain_photo(red))
    assert answer.prediction == prediction
    assert (answer.probability > 0.5) == red
    assert (answer.model_version, answer.threshold) == (VERSION, 0.5)


def test_the_probability_is_the_logit_by_the_temperature(models):
    photo = plain_photo(red=True)
    logit = predictor.Graph(models / VERSION / "model.tflite").run(photo[:SIZE, :SIZE]).logit
    assert logit == pytest.approx(170 / 16 + BIAS)
    expected = 1 / (1 + math.exp(-logit / 2.0))
    assert predictor.load(models).predict(photo).probability == round(expected, 4)


def test_a_probability_at_the_threshold_is_damaged(models, tiny_graph):
    photo = plain_photo(red=True)
    probability = predictor.load(models).predict(photo).probability
    for threshold, prediction in ((probability, "damaged"), (probability + 1e-6, "not_damaged")):
        name = f"20260401-0900-{prediction == 'damaged':04x}"
        tiny_model.add_version(models, tiny_graph, name, threshold=threshold)
        assert predictor.load(models, name).predict(photo).prediction == prediction


def test_who_compares_the_probability_that_was_told_agrees_with_the_answer(models, tiny_graph):
    photo = plain_photo(red=True)
    logit = predictor.Graph(models / VERSION / "model.tflite").run(photo[:SIZE, :SIZE]).logit
    exact = predictor.sigmoid(logit / 2.0)
    told = predictor.load(models).predict(photo).probability
    between = (exact + told) / 2  # on the other side of what was told than of what was computed
    name = "20260402-0900-0001"
    tiny_model.add_version(models, tiny_graph, name, threshold=between, review_band=[0.0, between])
    answer = predictor.load(models, name).predict(photo)
    assert exact != told
    assert (answer.prediction == "damaged") == (told >= between)
    assert answer.review == (told < between)


def test_the_heatmap_is_an_exact_account_of_the_probability(models):
    answer = predictor.load(models).predict(half_red())
    assert answer.heatmap.dtype == np.float32
    assert answer.heatmap.shape == (CELLS, CELLS)
    accounted = predictor.sigmoid(float(answer.heatmap.mean()))
    assert accounted == pytest.approx(answer.probability, abs=1e-4)


def test_the_heatmap_is_positive_where_damage_is_and_negative_elsewhere(models):
    answer = predictor.load(models).predict(half_red())
    assert answer.heatmap[:, 0].min() > 0 > answer.heatmap[:, -1].max()


def test_a_graph_gives_logit_heatmap_and_embedding_of_a_square(models):
    outputs = predictor.Graph(models / VERSION / "model.tflite").run(
        np.zeros((SIZE, SIZE, 3), np.uint8)
    )
    assert outputs.logit == pytest.approx(BIAS)
    assert (outputs.heatmap.shape, outputs.heatmap.dtype) == ((CELLS, CELLS), np.float32)
    assert (outputs.embedding.shape, outputs.embedding.dtype) == ((FEATURES,), np.float32)


def test_an_answer_outlives_the_next_one(models):
    loaded = predictor.load(models)
    first = loaded.predict(plain_photo(red=True))
    kept = first.heatmap.copy()
    loaded.predict(plain_photo(red=False))
    np.testing.assert_array_equal(first.heatmap, kept)


@pytest.mark.parametrize(
    ("low", "high", "review"), [(0.0, 0.1, False), (0.0, 1.0, True), (0.99, 1.0, False)]
)
def test_a_probability_in_the_band_needs_a_person(models, tiny_graph, low, high, review):
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", review_band=[low, high])
    answer = predictor.load(models, name).predict(plain_photo(red=True))
    assert 0.1 < answer.probability < 0.99
    assert answer.review == review


def test_the_band_begins_with_its_low_end_and_ends_before_its_high_one():
    assert predictor.needs_review(0.25, [0.25, 0.75])
    assert not predictor.needs_review(0.75, [0.25, 0.75])
    assert not predictor.needs_review(0.5, [0.5, 0.5])


def test_a_version_without_band_and_limits_reviews_and_warns_of_nothing(models):
    answer = predictor.load(models).predict(plain_photo(red=True))
    assert answer.review is False
    assert answer.warnings == ()


def test_a_version_with_limits_warns_of_what_it_does_not_know(models, tiny_graph):
    doubts = doubtful(short_side=32)
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", doubt=doubts)
    loaded = predictor.load(models, name)
    assert loaded.predict(texture(seed=1)).warnings == ()
    assert loaded.predict(plain_photo(red=True)).warnings == ("blurred", "dark", "unfamiliar")
    assert loaded.predict(np.full((80, 99, 3), 255, np.uint8)).warnings == (
        "blurred",
        "overexposed",
    )


@pytest.mark.parametrize(("side", "warned"), [(31, True), (32, False), (300, False)])
def test_only_a_photo_smaller_than_the_limit_has_a_low_resolution(models, tiny_graph, side, warned):
    doubts = doubtful(short_side=32)
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", doubt=doubts)
    answer = predictor.load(models, name).predict(texture(1, width=400, height=side))
    assert ("low_resolution" in answer.warnings) == warned


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"run bash run_pipeline\.sh"):
        predictor.load(tmp_path / "models")


def test_a_model_that_was_changed_is_not_loaded(models):
    (models / VERSION / "model.tflite").write_bytes(b"something else")
    with pytest.raises(UserError, match="has changed"):
        predictor.load(models)


def test_any_version_can_be_asked(models, tiny_graph):
    other = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff")
    assert predictor.load(models, other).record.version == other
    assert model_store.current(models) == VERSION


@pytest.mark.parametrize("logit", [-1e6, -800.0, -3.0, 0.0, 3.0, 800.0, 1e6])
def test_any_logit_has_a_probability(logit):
    with np.errstate(over="raise", invalid="raise"):
        probability = predictor.sigmoid(logit)
    assert 0 <= probability <= 1
    assert predictor.sigmoid(-logit) == pytest.approx(1 - probability)


# the heatmap over the photo


def coloured(photo: np.ndarray, cells: np.ndarray, how: str, size: int = 64) -> np.ndarray:
    """Which pixels of the photo the overlay changes: bool (height, width)."""
    over = heatmap.overlay(photo, cells.astype(np.float32), size, how)
    assert (over.shape, over.dtype) == (photo.shape, np.uint8)
    return (over != photo).any(axis=2)


@pytest.mark.parametrize("how", ["squeeze", "letterbox", "crop"])
def test_a_photo_without_evidence_of_damage_stays_as_it_is(how):
    assert not coloured(plain_photo(red=False), np.full((7, 7), -3.0), how).any()


@pytest.mark.parametrize("how", ["squeeze", "letterbox"])
@pytest.mark.parametrize("shape", [(90, 150), (150, 90), (65, 640)])
def test_evidence_everywhere_colours_the_whole_photo(how, shape):
    assert coloured(plain_photo(False, *shape), np.full((7, 7), 3.0), how).all()


def test_what_the_crop_cut_off_stays_bare():
    changed = coloured(plain_photo(False, height=100, width=300), np.full((7, 7), 3.0), "crop")
    assert changed[:, 100:200].all()
    assert not changed[:, :100].any()
    assert not changed[:, 200:].any()


@pytest.mark.parametrize("how", ["squeeze", "letterbox", "crop"])
@pytest.mark.parametrize("shape", [(120, 200), (200, 120), (160, 160)])
def test_evidence_is_drawn_where_unfit_puts_it(how, shape):
    cells = np.full((8, 8), -6.0)
    cells[3, 4] = 6.0
    height, width = shape
    changed = coloured(plain_photo(False, *shape), cells, how, size=64)
    place = unfit(Box(32, 24, 40, 32), width, height, 64, how)
    down, across = np.nonzero(changed)
    assert down.mean() + 0.5 == pytest.approx((place.top + place.bottom) / 2, abs=1)
    assert across.mean() + 0.5 == pytest.approx((place.left + place.right) / 2, abs=1)


def test_weak_evidence_looks_weaker_than_strong_evidence():
    photo = plain_photo(red=False)

    def change(strength: float) -> float:
        over = heatmap.overlay(photo, np.full((7, 7), strength, np.float32), 64, "squeeze")
        return float(np.abs(over.astype(int) - photo).mean())

    assert 0 < change(1) < change(4) < change(12) == change(60)
