"""How the model in `models/` behaves, on drawn cars: none of the photos it learnt from is here."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import binomtest

from car_damage import model_store, photos
from car_damage.dataset.sample import draw_car
from car_damage.predictor import Predictor
from tests import no_cars

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
CARS = 30  # of each class
LITTLE = 0.1  # of probability, on average over photos


@pytest.fixture(scope="module")
def predictor():
    return Predictor(model_store.load_record(MODELS))


@pytest.fixture(scope="module")
def cars():
    """Drawn cars, the first half of them damaged."""
    return [
        draw_car(np.random.default_rng(number), damaged)[0]
        for damaged in (True, False)
        for number in range(CARS)
    ]


def probabilities(predictor: Predictor, pictures) -> np.ndarray:
    return np.array([predictor.predict(picture).probability for picture in pictures])


def mirrored(photo):
    return np.ascontiguousarray(photo[:, ::-1])


def recompressed(photo):
    jpeg = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return photos.decode(jpeg.tobytes())


def brighter(photo):
    return cv2.convertScaleAbs(photo, alpha=1.1)


def darker(photo):
    return cv2.convertScaleAbs(photo, alpha=0.9)


def shifted(photo):
    return cv2.warpAffine(
        photo,
        np.float32([[1, 0, 4], [0, 1, 3]]),
        photo.shape[1::-1],
        borderMode=cv2.BORDER_REPLICATE,
    )


@pytest.mark.parametrize("change", [mirrored, recompressed, brighter, darker, shifted])
def test_what_leaves_the_car_as_it_is_leaves_the_probability_nearly_so(predictor, cars, change):
    before = probabilities(predictor, cars)
    after = probabilities(predictor, [change(car) for car in cars])
    assert np.abs(after - before).mean() < LITTLE


def test_grey_and_black_photos_are_warned_of(predictor):
    for picture in no_cars.kinds()["plain"]:
        assert predictor.predict(picture).warnings


def test_grey_black_and_noise_are_never_taken_for_surely_damaged(predictor):
    pictures = [picture for kind in ("plain", "noise") for picture in no_cars.kinds()[kind]]
    answers = [predictor.predict(picture) for picture in pictures]
    sure = [answer for answer in answers if answer.label == "damaged" and not answer.review]
    assert sure == []


@pytest.fixture(scope="module")
def peaks(predictor):
    """Of drawn cars: whether the heatmap's peak lies on the damage, whether that of what the damage
    adds to it does, and the chance that a random point would."""

    def of_one(number: int) -> tuple[bool, bool, float]:
        photo, damage = draw_car(np.random.default_rng([7, number]), damaged=True)
        undamaged, _ = draw_car(np.random.default_rng([7, number]), damaged=False)
        heatmap = predictor.predict(photo).heatmap
        added = heatmap - predictor.predict(undamaged).heatmap
        places = cv2.resize(damage.astype(np.float32), heatmap.shape[::-1], None, 0, 0, 3) > 0
        return places.flat[heatmap.argmax()], places.flat[added.argmax()], places.mean()

    return np.array([of_one(number) for number in range(4 * CARS)], np.float64)


def luck(hits: np.ndarray, chance: np.ndarray) -> float:
    """How likely as many hits are by chance."""
    likely: float = binomtest(int(hits.sum()), len(hits), chance.mean(), "greater").pvalue
    return likely


def test_what_damage_adds_to_the_heatmap_peaks_on_it_more_often_than_a_random_point_would(peaks):
    _, added, chance = peaks.T
    assert luck(added, chance) < 0.01


def test_the_heatmap_peaks_on_a_drawn_dent_more_often_than_a_random_point_would(peaks):
    whole, _, chance = peaks.T
    assert luck(whole, chance) < 0.05


def test_it_stays_small_and_whole_and_shows_no_photo():
    record = model_store.load_record(MODELS)
    names = {path.name for path in record.folder.iterdir()}
    assert {
        "model.tflite",
        "model.keras",
        "model.json",
        "report.html",
        "LICENSE",
        "NOTICE.md",
    } == names
    assert sum(path.stat().st_size for path in record.folder.iterdir()) < 50_000_000
    report = (record.folder / "report.html").read_text(encoding="utf-8")
    assert "data:image" not in report
    assert ".jpg" not in report.lower()


def card_figures() -> list[tuple[str, str]]:
    """Rows of the card's tables that name a figure: its place in model.json, and what is said."""
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    return re.findall(r"^\|.*?\| ([^|]*?\d[^|]*) \| `(metrics\.[^`]+)` \|$", card, re.MULTILINE)


@pytest.mark.parametrize(("said", "place"), card_figures())
def test_every_figure_in_the_model_card_is_the_one_in_model_json(said, place):
    found = json.loads((model_store.load_record(MODELS).folder / "model.json").read_text())
    for name in place.split("."):
        found = found[name]
    assert said == as_said(found)


def as_said(figure) -> str:
    """A share as per cent, with its interval where it has one."""
    if isinstance(figure, dict):
        return f"{figure['value']:.1%} ({figure['low']:.1%} to {figure['high']:.1%})"
    return f"{figure:.1%}"


def test_the_model_card_names_many_figures():
    assert len(card_figures()) > 20
