"""How many leaks the grouping prevented, on groups that can be counted by hand."""

from collections import Counter

import numpy as np
import pytest

from car_damage.dataset.arrays import Dataset
from car_damage.training import leaks as room
from car_damage.training.answers import answered
from car_damage.training.calibration import Calibration
from car_damage.training.leaks import group_sizes, leaked_share, leaks
from tests.squares import NO, YES, row, split_of

CALIBRATION = Calibration(1.0, 0.5)
SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


def a_split(name, groups):
    return split_of(
        [row(number, "damaged", split=name, group=group) for number, group in enumerate(groups)]
    )


def test_photos_without_copies_never_leak():
    assert leaked_share([1, 1, 1], 0.7) == 0


def test_of_a_pair_the_other_one_is_in_training_as_often_as_any_photo():
    assert leaked_share([2], 0.7) == pytest.approx(0.7)


def test_a_group_of_three_leaks_unless_both_other_copies_are_elsewhere():
    assert leaked_share([3], 0.7) == pytest.approx(1 - 0.3**2)


def test_groups_weigh_as_many_as_they_hold():
    assert leaked_share([1, 1, 1, 1, 2], 0.6) == pytest.approx(2 * 0.6 / 6)


def test_the_expectation_is_what_dealing_singly_gives():
    sizes = [1] * 10 + [2] * 10 + [5] * 4
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    leaked = tested = 0
    for _ in range(2000):
        dealt = rng.choice(3, len(groups), p=list(SHARES.values()))
        in_test = groups[dealt == 2]
        leaked += np.isin(in_test, groups[dealt == 0]).sum()
        tested += len(in_test)
    assert leaked_share(sizes, SHARES["train"]) == pytest.approx(leaked / tested, abs=0.01)


def test_close_ups_are_no_copies_of_their_photo():
    rows = [row(0, "not-damaged", group="a"), row(1, "not-damaged", kind="close_up", group="a")]
    assert group_sizes([split_of(rows)]) == Counter({"a": 1})


@pytest.fixture
def pairs():
    """Two pairs in training, one in test; four photos without copies, two of them in test."""
    train = a_split("train", ["a", "a", "b", "b", "c"])
    val, test = a_split("val", ["d"]), a_split("test", ["e", "e", "f", "g"])
    return Dataset(train, val, test, {"shares": SHARES})


def test_leaked_photos_would_have_been_answered_as_training_photos_with_copies_are(
    monkeypatch, pairs
):
    asked = []

    def graph_logits(_path, squares):
        asked.extend(squares)
        return np.array([YES, YES, YES, NO])  # 3 of 4 right

    monkeypatch.setattr(room, "graph_logits", graph_logits)
    test = answered(pairs.test, np.array([YES, YES, NO, NO]), CALIBRATION)
    found = leaks(pairs, test, None, CALIBRATION)
    assert len(asked) == 4
    assert found["groups_of_copies"] == 3
    assert found["photos_in_them"] == 6
    # Each of the six is a test photo with 1/4, and its copy in training with 1/2.
    assert found["test_photos_leaked"] == pytest.approx(6 / 8)
    assert found["accuracy"] == 0.5
    # 6 of 10 photos have a copy, half of those leak: 0.3 of them at 3/4, the others at 1/2.
    assert found["accuracy_without_grouping"] == pytest.approx(0.3 * 0.75 + 0.7 * 0.5)


def test_without_copies_in_training_nothing_can_be_said_of_how_it_would_have_looked(pairs):
    alone = Dataset(a_split("train", ["a", "b"]), pairs.val, pairs.test, pairs.about)
    test = answered(pairs.test, np.array([YES, YES, NO, NO]), CALIBRATION)
    assert leaks(alone, test, None, CALIBRATION)["accuracy_without_grouping"] is None
