"""How many photos a claim needs."""

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
def test_the_number_of_photos_for_a_claim_is_the_smallest_possible(share, claim):
    needed = photos_needed(share, claim)
    assert clopper_pearson(share, needed)[0] >= claim > clopper_pearson(share, needed - 1)[0]


def test_no_number_of_photos_supports_a_claim_above_the_share():
    assert photos_needed(0.95, 0.95) is None


def claims_of(count, wrong=0, copies=1):
    """The claims of `count` photos; the first `wrong` are wrong, and groups have `copies` each."""
    rows = [row(at, "damaged", group=f"g{at // copies}") for at in range(count)]
    logits = np.array([NO] * wrong + [YES] * (count - wrong))
    predictions = predictions_from(split_of(rows), logits, DECISION)
    photos = predictions.metrics(np.ones(count, bool), SEED)
    return claims(predictions, Metrics(photos=photos))


def test_a_share_has_its_highest_supported_claim_and_the_next_one():
    accuracy = claims_of(100)["accuracy"]
    assert (accuracy.shown, accuracy.higher) == (0.95, 0.97)  # 100 of 100: from 96.4 %
    assert accuracy.needed == photos_needed(1.0, 0.97) - 100
    assert "specificity" not in claims_of(100), "no photo shows an undamaged car"


def test_a_claim_above_the_measured_share_is_not_offered():
    accuracy = claims_of(2000, wrong=220)["accuracy"]
    assert (accuracy.shown, accuracy.higher, accuracy.needed) == (0.85, None, None)


def test_copies_count_once():
    assert claims_of(100, copies=2)["accuracy"].photos == 50
