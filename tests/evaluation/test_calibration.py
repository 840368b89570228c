import numpy as np
import pytest
from scipy.special import expit

from car_damage.decision import EVERY_PHOTO, Decision
from car_damage.evaluation.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    choose_review_band,
    choose_threshold,
    fit_decision,
    fit_temperature,
    source_weights,
)


def probabilities(logits, temperature):
    return Decision(temperature=temperature, threshold=0.5).probabilities(logits)


def drawn_photos(temperature, count=20_000):
    """Logits that are `temperature` times too large, and labels drawn from the true ones."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 3, count)
    return honest * temperature, (rng.random(count) < expit(honest)).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_fitting_finds_the_true_temperature(temperature):
    assert fit_temperature(*drawn_photos(temperature)) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize(
    ("logits", "labels", "bound"),
    [([-2, -1, 1, 2], [0, 0, 1, 1], MIN_TEMPERATURE), ([-2, 2], [1, 0], MAX_TEMPERATURE)],
    ids=["told apart without a mistake", "always wrong"],
)
def test_the_search_ends_at_its_bound_if_no_temperature_is_best(logits, labels, bound):
    temperature = fit_temperature(np.array(logits), np.array(labels))
    assert temperature == pytest.approx(bound, rel=0.01)
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE


def test_photos_of_one_class_give_a_temperature():
    temperature = fit_temperature(np.array([1.0, 2.0, -1.0]), np.array([1, 1, 1]))
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE


@pytest.mark.filterwarnings("error")
def test_huge_logits_give_probabilities_from_zero_to_one_without_overflow():
    assert probabilities(np.array([-1e5, 0.0, 1e5]), 0.5).tolist() == [0.0, 0.5, 1.0]
    logits = np.array([-1e5, 1e5, 1e5], np.float32)
    assert np.isfinite(fit_temperature(logits, np.array([0, 1, 0])))


def test_a_high_temperature_makes_answers_less_certain():
    assert probabilities(np.array([2.0]), 2.0) == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-4)


def photos_at(*, damaged, others):
    """Probabilities and labels, from the number of photos of each class at each probability."""
    counts = [*damaged.items(), *others.items()]
    labels = [1] * sum(damaged.values()) + [0] * sum(others.values())
    return np.repeat(*zip(*counts, strict=True)), np.array(labels)


@pytest.mark.parametrize(
    ("damaged", "others", "threshold"),
    [
        ({0.3: 20, 0.36: 20}, {0.05: 20, 0.2: 20}, 0.25),
        # Another threshold than 0.5 would get only one more photo right, of either class
        ({0.45: 1, 0.6: 1, 0.9: 3}, {0.1: 1, 0.4: 3}, 0.5),
        ({0.4: 1, 0.6: 1, 0.8: 2}, {0.1: 100}, 0.5),
        # 4 damaged of 102: "undamaged" for all would be right on 96 %, but useless
        ({0.2: 4}, {0.1: 90, 0.3: 8}, 0.15),
        ({0.1: 1, 0.2: 1}, {}, 0.5),
    ],
    ids=["classes apart", "one photo", "one photo of a rare class", "a rare class", "one class"],
)
def test_both_classes_have_the_same_weight_in_the_threshold(damaged, others, threshold):
    photos = photos_at(damaged=damaged, others=others)
    assert choose_threshold(*photos) == pytest.approx(threshold)


def test_the_threshold_moves_from_one_half_if_many_photos_show_it():
    calibrated, labels = drawn_photos(temperature=1)
    threshold = choose_threshold(probabilities(calibrated - 1, 1), labels)
    assert threshold == pytest.approx(expit(-1), abs=0.05)


@pytest.mark.parametrize(
    ("damaged", "others", "threshold", "band"),
    [
        ({0.9: 60}, {0.1: 60}, 0.5, (0.5, 0.5)),
        ({0.9: 33}, {0.1: 33}, 0.5, (0.5, 0.5)),  # 66, the minimum
        # 72 of 92 photos are decided, without a mistake
        ({0.4: 5, 0.6: 5, 0.9: 36}, {0.1: 36, 0.4: 5, 0.6: 5}, 0.5, (0.25, 0.75)),
        # Between 0.4 and 0.6 half are wrong; one mistake further out is 1 of 121.
        (
            {0.02: 1, 0.4: 5, 0.6: 5, 0.9: 60},
            {0.1: 60, 0.4: 5, 0.6: 5},
            0.5,
            (0.25, 0.75),
        ),
        # One mistake in a hundred is allowed, and two are not
        ({0.2: 1, 0.9: 49}, {0.1: 50}, 0.5, (0.5, 0.5)),
        ({0.2: 2, 0.9: 100}, {0.1: 88}, 0.5, (0.15, 0.5)),
        ({0.7: 5, 0.9: 60}, {0.1: 60, 0.7: 5}, 0.5, (0.5, 0.8)),  # all mistakes on one side
        # 3 mistakes among 203. One remains without the 20 photos at 0.3. Two remain without the 5
        # at 0.8, which is too many. None remains without both, but that costs five more photos.
        ({0.3: 2, 0.9: 89, 0.8: 4}, {0.1: 89, 0.3: 18, 0.8: 1}, 0.5, (0.2, 0.5)),
        ({0.15: 5, 0.9: 60}, {0.1: 60, 0.15: 5}, 0.12, (0.12, 0.525)),
    ],
)
def test_the_band_contains_the_threshold_and_as_few_photos_as_possible(
    damaged, others, threshold, band
):
    photos = photos_at(damaged=damaged, others=others)
    assert choose_review_band(*photos, threshold) == pytest.approx(band)


@pytest.mark.parametrize(
    ("damaged", "others"),
    [
        ({0.9: 32}, {0.1: 33}),  # 65 photos are too few, even without a mistake
        ({0.1: 1, 0.9: 49}, {0.1: 49}),  # one mistake among 99 is more than 1 %
        ({0.9: 500}, {}),
        ({}, {0.1: 500}),
        ({0.1: 100, 0.9: 100}, {0.1: 100, 0.9: 100}),
    ],
    ids=[
        "too few",
        "too few for a mistake",
        "damaged only",
        "undamaged only",
        "answers that say nothing",
    ],
)
def test_every_photo_needs_a_person_if_99_percent_cannot_be_reached(damaged, others):
    assert choose_review_band(*photos_at(damaged=damaged, others=others), 0.5) == EVERY_PHOTO


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_no_narrower_band_reaches_the_target(temperature):
    logits, labels = drawn_photos(temperature=1, count=400)
    calibrated = probabilities(logits, temperature)
    low, high = choose_review_band(calibrated, labels, 0.5)

    def right_outside(low, high):
        outside = (calibrated < low) | (calibrated >= high)
        return np.mean((calibrated >= 0.5)[outside] == labels[outside])

    inner_low = np.sort(calibrated[calibrated >= low])[0] + 1e-12
    inner_high = np.sort(calibrated[calibrated < high])[-1]
    assert right_outside(low, high) >= 0.99
    assert low <= 0.5 <= high
    assert right_outside(inner_low, high) < 0.99
    assert right_outside(low, inner_high) < 0.99


# Weighted photos


def test_sources_have_the_same_weight_within_a_class_and_so_do_both_classes():
    sources = np.array(["uk", "uk", "uk", "kr", "kr", "de"])
    weights = source_weights(sources, np.array([1, 1, 1, 1, 0, 0]))
    assert weights.tolist() == pytest.approx([0.5, 0.5, 0.5, 1.5, 1.5, 1.5])


def test_weights_of_one_class_have_a_mean_of_one():
    weights = source_weights(["uk", "uk", "kr"], np.array([1, 1, 1]))
    assert weights.tolist() == pytest.approx([0.75, 0.75, 1.5])


def test_a_photo_of_double_weight_counts_as_two_photos():
    logits, labels = drawn_photos(temperature=2, count=2000)
    twice = np.arange(2000) % 3 == 0
    weighted = fit_decision(logits, labels, np.where(twice, 2.0, 1.0))
    repeated = fit_decision(np.append(logits, logits[twice]), np.append(labels, labels[twice]))
    assert weighted.temperature == pytest.approx(repeated.temperature, rel=1e-4)
    assert weighted.threshold == pytest.approx(repeated.threshold, abs=0.01)
    assert tuple(weighted.review_band) == pytest.approx(tuple(repeated.review_band), abs=2e-4)


def test_equal_weights_change_nothing():
    logits, labels = drawn_photos(temperature=2, count=400)
    assert fit_decision(logits, labels, np.ones(400)) == fit_decision(logits, labels)


def test_a_source_with_few_photos_moves_the_threshold_as_much_as_one_with_many():
    photos = photos_at(damaged={0.3: 10, 0.9: 1000}, others={0.1: 980, 0.4: 30})
    sources = np.array([*["few"] * 10, *["many"] * 1000, *["few"] * 10, *["many"] * 1000])
    assert choose_threshold(*photos) == 0.5  # 10 of 1010 damaged cars missed, and no false alarm
    assert choose_threshold(*photos, source_weights(sources, photos[1])) == pytest.approx(0.2)


def test_a_lower_target_leaves_fewer_photos_to_a_person():
    photos = photos_at(damaged={0.2: 2, 0.9: 49}, others={0.1: 60})
    assert choose_review_band(*photos, 0.5) == pytest.approx((0.15, 0.5))
    assert choose_review_band(*photos, 0.5, target=0.975) == pytest.approx((0.5, 0.5))


def test_weights_do_not_count_as_photos_if_too_few_are_decided():
    photos = photos_at(damaged={0.9: 30}, others={0.1: 30})
    assert choose_review_band(*photos, 0.5, np.full(60, 2.0)) == EVERY_PHOTO
