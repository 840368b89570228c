"""Which differences count as drift."""

from dataclasses import replace

import numpy as np
import pytest

from car_damage.drift import compare as comparing
from car_damage.drift.baseline import Baseline
from car_damage.drift.compare import Audits, compare, holm
from car_damage.drift.features import Components, Photos
from tests.drift.recorded import random_photos


@pytest.fixture(scope="module")
def earlier():
    return random_photos(2000, seed=0)


@pytest.fixture(scope="module")
def baseline(earlier):
    return Baseline.of(earlier)


def moved(found):
    return {each.name for each in found if each.is_drift}


def named(found, name):
    return next(each for each in found if each.name == name)


@pytest.mark.parametrize("count", [200, 1000])
def test_photos_of_the_same_kind_are_no_drift(baseline, count):
    for seed in range(1, 11):
        assert moved(compare(baseline, random_photos(count, seed))) == set()


def test_darker_photos_are_noticed_among_200(baseline):
    assert moved(compare(baseline, random_photos(200, 1, brighter=-60))) == {"brightness"}


def test_a_change_in_a_direction_with_little_variance_is_noticed(baseline):
    # Without whitening, the first directions, which do not move, would hide it.
    found = moved(compare(baseline, random_photos(200, 1, moved=4)))
    assert {"component_4", "kernel"} & found
    assert found <= {"kernel", *(f"component_{number}" for number in range(1, 7))}


@pytest.mark.parametrize("count", [200, 400])  # 27 and 54 comparisons
def test_contents_that_only_come_in_other_combinations_are_noticed(count):
    # Each number alone is distributed as before, so only the kernel can notice the change.
    baseline = Baseline.of(combined(2000, 0))
    assert moved(compare(baseline, combined(count, 1))) == set()
    assert moved(compare(baseline, combined(count, 1, always_the_same=True))) == {"kernel"}


def combined(count, seed, always_the_same=False):
    """Photos with 16 contents that are independent of each other, or always come together."""
    random = np.random.default_rng(seed)
    contents = random.standard_normal((count, 17))  # the last one is outside the components
    if always_the_same:
        contents[:, :16] = contents[:, :1]
    embedded = (contents * np.geomspace(9, 1, 17)).astype(np.float32)
    return replace(random_photos(count, seed), embeddings=embedded)


def test_a_small_change_stays_quiet_even_if_it_is_certain(baseline):
    found = compare(baseline, random_photos(10_000, 1, brighter=6))
    brightness = named(found, "brightness")
    assert brightness.p < 1e-6
    assert not brightness.is_drift
    assert moved(found) == set()


def test_a_large_change_of_the_newest_photos_is_noticed_although_the_whole_week_hides_it(baseline):
    week, today = random_photos(3000, 1), random_photos(200, 2, brighter=-60)
    pairs = zip(vars(week).values(), vars(today).values(), strict=True)
    both = Photos(*(np.concatenate(pair) for pair in pairs))
    alarms = [each for each in compare(baseline, both) if each.is_drift]
    assert {(each.name, each.photos) for each in alarms} == {("brightness", 200)}


@pytest.mark.parametrize("change", [-0.01, 0.01])
def test_a_number_that_was_always_the_same_is_seen_to_shrink_and_to_grow(baseline, change):
    photos = random_photos(200, 1)
    photos.measured[:, 3] += change
    assert "megapixels" in moved(compare(baseline, photos))


def test_a_share_of_answers_is_compared(baseline):
    found = compare(baseline, random_photos(400, 1, threshold=0.001))
    damaged = named(found, "damaged")
    assert damaged.is_drift
    assert damaged.before == pytest.approx(0.5, abs=0.05)
    assert damaged.now > 0.95


def test_a_classifier_compares_only_from_1000_photos_on(baseline, earlier):
    names = {each.name for each in compare(baseline, random_photos(999, 1), earlier)}
    assert "classifier" not in names
    found = compare(baseline, random_photos(1000, 1), earlier)
    assert not named(found, "classifier").is_drift
    found = compare(baseline, random_photos(1000, 1, moved=4), earlier)
    assert named(found, "classifier").is_drift


@pytest.mark.parametrize(
    ("before", "now", "is_drift"),
    [
        (Audits(500, 480), Audits(100, 70), True),
        (Audits(500, 480), Audits(100, 95), False),
        (Audits(500, 480), Audits(100, 100), False),
    ],
)
def test_a_loss_of_accuracy_on_audits_is_drift(baseline, before, now, is_drift):
    found = compare(baseline, random_photos(200, 1), audits=(before, now))
    accuracy = named(found, "accuracy")
    assert accuracy.is_drift == is_drift
    assert accuracy.now == now.correct / now.photos


def test_a_few_audits_say_nothing(baseline):
    found = compare(baseline, random_photos(200, 1), audits=(Audits(500, 480), Audits(29, 5)))
    assert "accuracy" not in {each.name for each in found}


def test_holms_correction_is_the_textbooks():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_baseline_is_the_same_after_it_was_stored(baseline):
    photos = random_photos(300, 1, brighter=-20)
    content = baseline.to_bytes()
    assert len(content) < 2**20
    assert compare(Baseline.from_bytes(content), photos) == compare(baseline, photos)


def test_limits_fall_with_more_photos_but_not_below_what_matters(baseline):
    few, many = (comparing.limits(baseline, count) for count in (200, 100_000))
    assert (few >= many).all()
    assert (many[:-1] >= comparing.MOVED).all()


def test_components_are_white_and_the_rest_is_one_distance():
    random = np.random.default_rng(0)
    embedded = (random.standard_normal((500, 30)) * np.linspace(9, 0.1, 30)).astype(np.float32)
    found = Components.fit(embedded).of(embedded)
    assert found.shape == (500, 17)
    assert np.cov(found[:, :16], rowvar=False) == pytest.approx(np.eye(16), abs=0.01)
