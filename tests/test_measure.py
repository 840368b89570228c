"""What is measured of an exported graph, on made-up answers that can be counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from car_damage.dataset.arrays import Row, Split
from car_damage.training import measure as room
from car_damage.training.measure import Calibration, Exported, calibrate, export_checked, measure

YES, NO = 4.0, -4.0  # logits


def exported(logits: list[float], precision: str = "int8", lost: float = 0.0) -> Exported:
    comparison = {"keras_accuracy": 0.9, "graph_accuracy": 0.9 - lost}
    return Exported(precision, Calibration(1.0, 0.5), np.array(logits), comparison)


def row(number: int, label: str, path: str, kind: str = "photo") -> Row:
    return Row("test", number, label, kind, path, f"g{number}", 100, 100, "", "")


@pytest.fixture
def four_photos():
    """Four photos in three data folders, and a close-up."""
    rows = [
        row(0, "damaged", "/cars/damaged/front/a.jpg"),
        row(1, "damaged", "/cars/damaged/rear/b.jpg"),
        row(2, "not-damaged", "/cars/not-damaged/c.jpg"),
        row(3, "not-damaged", "/cars/not-damaged/d.jpg"),
        row(4, "not-damaged", "/cars/not-damaged/c.jpg", "close_up"),
    ]
    y = np.array([1, 1, 0, 0, 0], np.uint8)
    return Split(np.zeros((5, 8, 8, 3), np.uint8), y, rows)


def test_close_ups_are_never_mixed_into_the_figures_of_the_photos(four_photos):
    figures = measure(exported([YES, YES, NO, NO, YES]), four_photos, seed=0)
    assert figures["photos"]["count"] == 4
    assert figures["photos"]["accuracy"]["value"] == 1
    assert figures["close_ups"]["count"] == 1
    assert figures["close_ups"]["accuracy"]["value"] == 0


def test_data_folders_are_measured_apart_and_named_from_where_they_part(four_photos):
    figures = measure(exported([YES, NO, NO, YES, NO]), four_photos, seed=0)
    found = {
        name: (folder["count"], folder["accuracy"]["value"])
        for name, folder in figures["data_folders"].items()
    }
    assert found == {"damaged/front": (1, 1), "damaged/rear": (1, 0), "not-damaged": (2, 0.5)}


def test_a_data_set_without_close_ups_has_no_figure_of_them(four_photos):
    rows = four_photos.rows[:4]
    figures = measure(
        exported([YES, YES, NO, NO]), Split(four_photos.X[:4], four_photos.y[:4], rows), seed=0
    )
    assert figures["close_ups"] is None


@pytest.mark.parametrize(("lost", "precision"), [(0.005, "int8"), (0.006, "float16")])
def test_an_export_that_loses_over_half_a_point_falls_back_and_says_so(
    monkeypatch, capsys, lost, precision
):
    def export(_model, _dataset, wanted, *_):
        return exported([], wanted, lost if wanted == "int8" else 0.0)

    monkeypatch.setattr(room, "_export", export)
    result = export_checked(None, None, "int8", Path("model.tflite"), seed=0)
    assert result.precision == precision
    assert ("exporting in float16 instead" in capsys.readouterr().out) == (precision == "float16")


def test_an_answer_is_damaged_from_the_threshold_on():
    calibration = Calibration(temperature=2.0, threshold=0.75)
    at_threshold = 2.0 * np.log(3)  # sigmoid(log 3) = 3/4
    answers = calibration.answers(np.array([at_threshold + 1e-6, at_threshold - 1e-6]))
    assert answers.tolist() == [1, 0]


def test_calibration_softens_answers_that_are_surer_than_right():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 2000)
    logits = np.where(random.random(2000) < 0.8, 1, -1) * np.where(labels == 1, 5.0, -5.0)
    calibration = calibrate(logits, labels)
    assert 5.0 / calibration.temperature == pytest.approx(np.log(0.8 / 0.2), abs=0.15)
