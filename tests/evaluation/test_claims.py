"""How many photos a claim takes."""

import numpy as np
import pytest

from car_damage.evaluation.claims import claims, photos_needed
from car_damage.evaluation.metrics import clopper_pearson
from car_damage.evaluation.own_photos import SEED
from car_damage.evaluation.predictions import predictions_from
from car_damage.manifest import Metrics
from tests.images import NO, YES, row, split_of
from tests.tiny_model import DECISION


@pytest.mark.parametrize(("share", "claim"), [(1.0, 0.95), (0.97, 0.95), (0.6, 0.5)])
def test_so_many_photos_show_the_claim_and_one_fewer_do_not(share, claim):
    needed = photos_needed(share, claim)
    assert clopper_pearson(share, needed)[0] >= claim > clopper_pearson(share, needed - 1)[0]


def test_no_number_of_photos_shows_more_than_is_so():
    assert photos_needed(0.95, 0.95) is None


def claims_of(count, wrong=0, copies=1):
    """The claims of so many photos; the first are wrong, and each group has so many copies."""
    rows = [row(at, "damaged", group=f"g{at // copies}") for at in range(count)]
    logits = np.array([NO] * wrong + [YES] * (count - wrong))
    predictions = predictions_from(split_of(rows), logits, DECISION)
    photos = predictions.metrics(np.ones(count, bool), SEED)
    return claims(predictions, Metrics(photos=photos))


def test_the_highest_claim_that_is_shown_is_named_and_what_the_next_one_needs():
    accuracy = claims_of(100)["accuracy"]
    assert (accuracy.shown, accuracy.higher) == (0.95, 0.97)  # 100 of 100: from 96.4 %
    assert accuracy.needed == photos_needed(1.0, 0.97) - 100
    assert "specificity" not in claims_of(100), "no photo shows an undamaged car"


def test_a_claim_above_what_was_measured_is_not_held_out():
    accuracy = claims_of(2000, wrong=220)["accuracy"]
    assert (accuracy.shown, accuracy.higher, accuracy.needed) == (0.85, None, None)


def test_copies_count_once():
    assert claims_of(100, copies=2)["accuracy"].photos == 50
