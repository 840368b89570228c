from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from car_damage.dataset.split import Group, split_groups
from car_damage.errors import UserError

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def many_groups(folders: dict[tuple[str, str], int]) -> list[Group]:
    return [
        Group(f"{label}-{folder}-{number}", label, folder, photos=1)
        for (label, folder), count in folders.items()
        for number in range(count)
    ]


some_groups = st.builds(
    lambda damaged, whole: (
        [Group(f"d{n}", "damaged", f"damaged/{f}", p) for n, (f, p) in enumerate(damaged)]
        + [Group(f"w{n}", "not-damaged", f"whole/{f}", p) for n, (f, p) in enumerate(whole)]
    ),
    *[st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=40, max_size=120)] * 2,
)


@given(some_groups, st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_order_in_which_photos_are_found_changes_nothing(groups, random, seed):
    shuffled = random.sample(groups, len(groups))
    assert split_groups(shuffled, SHARES, seed) == split_groups(groups, SHARES, seed)


@given(some_groups, st.integers(0, 5))
def test_every_class_is_shared_out_by_photos_nearly_as_asked(groups, seed):
    splits = split_groups(groups, SHARES, seed)
    for label in ("damaged", "not-damaged"):
        photos: Counter[str] = Counter()
        for group in groups:
            if group.label == label:
                photos[splits[group.name]] += group.photos
        for split, share in SHARES.items():
            assert abs(photos[split] - share * photos.total()) <= 4  # the largest group's photos


def test_every_data_folder_is_shared_out_as_asked():
    folders = {("damaged", "a"): 200, ("damaged", "b"): 40, ("not-damaged", "c"): 100}
    groups = many_groups(folders)
    splits = split_groups(groups, SHARES, seed=3)
    for (_, folder), count in folders.items():
        dealt = Counter(splits[group.name] for group in groups if group.data_folder == folder)
        for split, share in SHARES.items():
            assert dealt[split] == pytest.approx(share * count, abs=2)


def test_folders_of_a_single_photo_are_not_all_sent_to_training():
    groups = many_groups({("damaged", f"car-{n}"): 1 for n in range(100)})
    groups += many_groups({("not-damaged", "all"): 100})
    splits = split_groups(groups, SHARES, seed=0)
    assert Counter(splits[group.name] for group in groups if group.label == "damaged") == {
        "train": 70,
        "val": 15,
        "test": 15,
    }


def test_another_seed_gives_another_split():
    groups = many_groups({("damaged", "a"): 50, ("not-damaged", "b"): 50})
    assert split_groups(groups, SHARES, seed=0) != split_groups(groups, SHARES, seed=1)


def test_a_class_too_small_for_every_split_is_named():
    groups = many_groups({("damaged", "a"): 2, ("not-damaged", "b"): 50})
    with pytest.raises(UserError, match="'damaged' is too small to split: 2 different photos"):
        split_groups(groups, SHARES, seed=0)
