"""A photo keeps its split when others change; tested on made-up groups without photos."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from car_damage.dataset.sources import run_of
from car_damage.dataset.split import SPLITS, split_class
from car_damage.errors import UserError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def singles(count, name="photo"):
    return [[f"{name}-{number}"] for number in range(count)]


def mixed(count=1_000):
    """Groups of which most have one photo, every fifth two and every fifteenth three."""
    return [
        [f"{number}-{copy}" for copy in range(1 + (number % 5 == 0) + (number % 15 == 0))]
        for number in range(count)
    ]


def unnumbered(groups):
    return [[(one, None) for one in group] for group in groups]


def split_photos(groups, seed=0):
    splits = split_class("damaged", unnumbered(groups), SHARES, seed)
    return {one: split for group, split in zip(groups, splits, strict=True) for one in group}


@pytest.mark.parametrize(
    ("change", "may_move"),
    [
        (lambda groups: groups + singles(1, "new"), 0),
        (lambda groups: groups + singles(10, "new"), 0),
        (lambda groups: groups[::-1], 0),
        (lambda groups: groups[100:], 0),
        (lambda groups: [[*groups[0], "copy"], *groups[1:]], 3),
        (lambda groups: [[*groups[0], "copy of both", *groups[1]], *groups[2:]], 4),
        (lambda groups: [[*g, f"copy of {g[0]}"] for g in groups[:200]] + groups[200:], 254),
    ],
)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_photos_keep_their_split_and_what_was_trained_on_is_never_tested(change, may_move, seed):
    groups = mixed()
    before, after = split_photos(groups, seed), split_photos(change(groups), seed)
    moved = [(before[one], after[one]) for one in before.keys() & after.keys()]
    moved = [(old, new) for old, new in moved if old != new]
    assert len(moved) <= may_move
    assert set(moved) <= {("val", "train"), ("test", "train"), ("test", "val")}


def test_splits_have_the_requested_shares_in_a_class_and_on_average_in_each_folder(capsys):
    splits = np.array(
        [split_class("damaged", unnumbered(singles(1_000)), SHARES, seed) for seed in range(50)]
    )
    assert capsys.readouterr().out == ""  # nothing was split by count
    for split, share in SHARES.items():
        for part in (splits[0], splits[:, :20], splits[:, 20:100], splits[:, 100:]):
            tolerance = 4 * np.sqrt(share * (1 - share) / part.size)
            assert (part == split).mean() == pytest.approx(share, abs=tolerance)


def test_another_seed_gives_another_split():
    assert split_photos(singles(200), seed=0) != split_photos(singles(200), seed=1)


@pytest.mark.parametrize("groups", [singles(40), [[f"{n}{c}" for c in "ab"] for n in range(1000)]])
def test_few_photos_or_many_copies_are_split_by_count_with_a_notice(groups, capsys):
    before = split_photos(groups)
    assert "'damaged'" in capsys.readouterr().out
    counts = Counter(before.values())
    assert [counts[split] / len(before) for split in SPLITS] == pytest.approx([0.7, 0.15, 0.15])
    for number in range(20):
        after = split_photos([*groups, [f"new-{number}"]])
        moved = [(before[one], after[one]) for one in before if before[one] != after[one]]
        assert len(moved) <= 2 * len(groups[0])
        assert ("train", "test") not in moved


@given(st.lists(st.integers(1, 40), min_size=3, max_size=60), st.integers(0, 5))
def test_no_split_is_empty_with_small_or_uneven_groups(sizes, seed):
    groups = [[f"{number}-{one}" for one in range(size)] for number, size in enumerate(sizes)]
    assert set(split_photos(groups, seed).values()) == set(SPLITS)


def test_rejects_a_class_too_small_for_three_splits():
    with pytest.raises(UserError, match="'damaged' has 2 different photos, too few"):
        split_photos(singles(2))


def numbered(numbers, name="IMG_"):
    """A group for each numbered photo, with its run as step 1 finds it."""
    files = [f"{name}{number:04}.jpg" for number in numbers]
    return [[(file, run_of("phone", file))] for file in files]


def test_views_of_one_car_that_follow_each_other_by_number_stay_in_one_split():
    splits = split_class("damaged", numbered(range(1, 100)), SHARES, 0)
    runs = [splits[:23], splits[23:47], splits[47:71], splits[71:95], splits[95:]]
    assert all(len(set(run)) == 1 for run in runs)
    assert set(splits) == set(SPLITS)


def test_a_copy_of_a_photo_in_another_run_joins_both_runs():
    groups = numbered(range(480))
    groups[0] = [*groups[0], ("copy.jpg", run_of("phone", "IMG_0479.jpg"))]
    for seed in range(20):
        splits = split_class("damaged", groups, SHARES, seed)
        assert len({*splits[:24], *splits[456:]}) == 1


def test_new_photos_with_new_numbers_move_no_other(capsys):
    before = split_class("damaged", numbered(range(2_400)), SHARES, 0)
    more = numbered(range(2_400)) + numbered(range(2_400, 2_900)) + numbered(range(99), "new")
    assert split_class("damaged", more, SHARES, 0)[: len(before)] == before
    assert capsys.readouterr().out == ""  # nothing was split by count


def test_numbered_photos_of_too_few_runs_are_split_with_a_notice(capsys):
    splits = split_class("damaged", numbered(range(40)), SHARES, 0)
    assert set(splits) == set(SPLITS)
    assert "photos of one car may be in two splits" in capsys.readouterr().out
