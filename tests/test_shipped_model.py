"""The included model, tested on drawn cars, because its training photos are not included."""

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
from tests.photo_files import jpeg

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "models"
CARS = 30  # of each class
LITTLE = 0.1  # mean change of the probability


@pytest.fixture(scope="module")
def predictor():
    return Predictor(model_store.load_record(MODELS))


@pytest.fixture(scope="module")
def cars():
    return [draw_car(np.random.default_rng(number), number < CARS)[0] for number in range(2 * CARS)]


def probabilities(predictor: Predictor, pictures) -> np.ndarray:
    return np.array([predictor.predict(picture).probability for picture in pictures])


CHANGES = {
    "mirrored": lambda photo: np.ascontiguousarray(photo[:, ::-1]),
    "recompressed": lambda photo: photos.decode(jpeg(photo, quality=75)),
    "brighter": lambda photo: cv2.convertScaleAbs(photo, alpha=1.1),
    "darker": lambda photo: cv2.convertScaleAbs(photo, alpha=0.9),
    "shifted": lambda photo: np.pad(photo, ((3, 0), (4, 0), (0, 0)), "edge")[:-3, :-4],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_that_keep_the_car_hardly_change_the_probability(predictor, cars, change):
    before = probabilities(predictor, cars)
    after = probabilities(predictor, [change(car) for car in cars])
    assert np.abs(after - before).mean() < LITTLE


def test_plain_pictures_get_a_warning_and_are_never_surely_damaged_and_neither_is_noise(predictor):
    plain, noise = (
        [predictor.predict(picture) for picture in no_cars.kinds()[kind]]
        for kind in ("plain", "noise")
    )
    assert all(answer.warnings for answer in plain)
    assert not [one for one in plain + noise if one.label == "damaged" and not one.review]


def peaks(predictor: Predictor, number: int) -> tuple[bool, bool, float]:
    """Find out whether peaks are on the damage of a drawn car.

    Returns this for the heatmap's peak and for the peak of the difference that the damage makes to
    the heatmap, and the chance that a random point is on the damage.
    """
    photo, damage = draw_car(np.random.default_rng([7, number]), damaged=True)
    undamaged, _ = draw_car(np.random.default_rng([7, number]), damaged=False)
    heatmap = predictor.predict(photo).heatmap
    added = heatmap - predictor.predict(undamaged).heatmap
    places = cv2.resize(damage.astype(np.float32), heatmap.shape[::-1], None, 0, 0, 3) > 0
    return places.flat[heatmap.argmax()], places.flat[added.argmax()], places.mean()


def test_the_heatmap_and_its_change_peak_on_the_damage_more_often_than_by_chance(predictor):
    *hits, chance = np.array([peaks(predictor, number) for number in range(4 * CARS)]).T
    luck = [
        binomtest(int(found.sum()), len(found), chance.mean(), "greater").pvalue for found in hits
    ]
    assert luck[0] < 0.05
    assert luck[1] < 0.01


def test_the_included_version_is_small_and_complete_and_contains_no_photo():
    record = model_store.load_record(MODELS)
    names = {path.name for path in record.folder.iterdir()}
    models = {"model.tflite", "model.keras", "model.json", "trained_on.txt", "reference.npz"}
    assert names == {*models, "report.html", "LICENSE", "NOTICE.md"}
    assert sum(path.stat().st_size for path in record.folder.iterdir()) < 50_000_000
    report = (record.folder / "report.html").read_text(encoding="utf-8")
    assert "data:image" not in report
    assert ".jpg" not in report.lower()


def card_figures() -> list[tuple[str, str]]:
    """The figures in the card's tables: the text, and the place in model.json."""
    card = (ROOT / "docs" / "model-card.md").read_text(encoding="utf-8")
    return re.findall(r"^\|.*?\| ([^|]*?\d[^|]*) \| `(metrics\.[^`]+)` \|$", card, re.MULTILINE)


@pytest.mark.parametrize(("said", "place"), card_figures())
def test_every_figure_in_the_model_card_is_the_one_in_model_json(said, place):
    found = json.loads((model_store.load_record(MODELS).folder / "model.json").read_text())
    for name in place.split("."):
        found = found[int(name)] if isinstance(found, list) else found[name]
    if isinstance(found, dict):  # with its interval
        assert said == f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
    else:
        assert said == f"{found:.1%}"


def test_the_model_card_has_many_figures():
    assert len(card_figures()) > 20
