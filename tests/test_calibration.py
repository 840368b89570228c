import numpy as np
import pytest
from scipy.special import expit

from car_damage.training.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    choose_threshold,
    fit_temperature,
    probabilities,
)


def drawn_photos(temperature, count=20_000):
    """Logits that are `temperature` times too large for the labels drawn by them."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 3, count)
    return honest * temperature, (rng.random(count) < expit(honest)).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_logits_were_made_with_is_found(temperature):
    assert fit_temperature(*drawn_photos(temperature)) == pytest.approx(temperature, rel=0.05)


def test_photos_told_apart_without_a_mistake_do_not_make_the_answers_certain():
    temperature = fit_temperature(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert temperature == pytest.approx(MIN_TEMPERATURE, rel=0.01)
    assert temperature >= MIN_TEMPERATURE


def test_logits_that_are_always_wrong_stay_within_bounds():
    temperature = fit_temperature(np.array([-2.0, 2.0]), np.array([1, 0]))
    assert temperature == pytest.approx(MAX_TEMPERATURE, rel=0.01)
    assert temperature <= MAX_TEMPERATURE


def test_one_class_only_still_gives_a_temperature():
    temperature = fit_temperature(np.array([1.0, 2.0, -1.0]), np.array([1, 1, 1]))
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE


@pytest.mark.filterwarnings("error")
def test_huge_logits_neither_overflow_nor_leave_zero_to_one():
    assert probabilities(np.array([-1e5, 0.0, 1e5]), 0.5).tolist() == [0.0, 0.5, 1.0]
    logits = np.array([-1e5, 1e5, 1e5], np.float32)
    assert np.isfinite(fit_temperature(logits, np.array([0, 1, 0])))


def test_a_high_temperature_makes_the_answer_less_sure():
    assert probabilities(np.array([2.0]), 2.0) == pytest.approx(1 / (1 + np.exp(-1)))


def test_the_threshold_lies_in_the_middle_between_two_classes_that_are_apart():
    calibrated = np.array([0.05, 0.1, 0.15, 0.2] * 10 + [0.3, 0.32, 0.34, 0.36] * 10)
    labels = np.array([0] * 40 + [1] * 40)
    assert choose_threshold(calibrated, labels) == pytest.approx(0.25)


def test_one_photo_is_no_reason_to_leave_one_half():
    calibrated = np.array([0.1, 0.2, 0.3, 0.4, 0.45, 0.6, 0.7, 0.8, 0.9])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    assert choose_threshold(calibrated, labels) == 0.5


def test_one_photo_of_a_rare_class_is_no_reason_either():
    calibrated = np.concatenate([np.full(100, 0.1), [0.4, 0.6, 0.7, 0.8]])
    labels = np.array([0] * 100 + [1] * 4)
    assert choose_threshold(calibrated, labels) == 0.5


def test_many_photos_are_a_reason_to_leave_one_half():
    calibrated, labels = drawn_photos(temperature=1)
    threshold = choose_threshold(probabilities(calibrated - 1, 1), labels)
    assert threshold == pytest.approx(expit(-1), abs=0.05)


def test_a_rare_class_weighs_as_much_as_a_common_one():
    # 4 damaged among 102: calling every car undamaged would be right on 96 %, and useless.
    calibrated = np.concatenate([np.full(90, 0.1), np.full(8, 0.3), [0.2, 0.2, 0.2, 0.2]])
    labels = np.array([0] * 98 + [1] * 4)
    assert 0.1 < choose_threshold(calibrated, labels) < 0.2


def test_one_class_only_keeps_the_threshold_at_one_half():
    assert choose_threshold(np.array([0.1, 0.2]), np.array([1, 1])) == 0.5
