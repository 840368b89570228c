"""The folds of cross-source validation."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from car_damage.errors import UserError
from car_damage.evaluation.folds import deal_folds
from tests.images import row

SOURCES = {  # damaged and undamaged photos
    "auction-us": (1754, 214),
    "cars-web": (0, 899),
    "carshare-tw": (0, 104),
    "dealers-uk": (0, 800),
    "dents-phone": (150, 0),
    "details-web": (468, 326),
    "fronts-bd": (0, 99),
    "kaggle": (1140, 1149),
    "panels-kr": (501, 163),
    "parts-web": (382, 0),
    "press-seat": (0, 138),
    "roads-in": (0, 277),
    "streets-eu": (0, 142),
    "thai": (0, 917),
    "vds": (1237, 0),
}
SHARED = {  # groups of near copies that span two sources
    ("details-web", "vds"): 7,
    ("dents-phone", "vds"): 4,
    ("dents-phone", "kaggle"): 4,
    ("auction-us", "kaggle"): 4,
    ("parts-web", "vds"): 3,
}


def rows_of(sources, shared=None):
    """Photos of these sources, plus one photo in each of two sources per shared group."""
    rows = [
        row(at, label, source=source, group=f"{source}-{label}-{at}")
        for source, counts in sources.items()
        for label, count in zip(("damaged", "not-damaged"), counts, strict=True)
        for at in range(count)
    ]
    for pair, count in (shared or {}).items():
        label = "damaged" if all(sources[source][0] for source in pair) else "not-damaged"
        rows += [
            row(at, label, source=source, group=f"copy-{pair}-{at}")
            for source in pair
            for at in range(count)
        ]
    return rows


def as_sets(folds):
    return {frozenset(fold) for fold in folds}


def test_fifteen_real_sources_make_six_folds():
    assert as_sets(deal_folds(rows_of(SOURCES, SHARED), None)) == as_sets(
        [
            ["kaggle", "streets-eu"],
            ["auction-us", "dealers-uk", "carshare-tw"],
            ["vds", "details-web", "press-seat"],
            ["panels-kr", "roads-in", "fronts-bd"],
            ["parts-web", "thai"],
            ["dents-phone", "cars-web"],
        ]
    )


def test_sources_that_share_copies_stay_together_if_enough_folds_are_left():
    sources = {"a": (9, 9), "b": (9, 9), "c": (9, 9)}
    together = deal_folds(rows_of(sources, {("a", "b"): 1, ("b", "c"): 2}), 2)
    assert as_sets(together) == as_sets([["a"], ["b", "c"]])  # b and c share more
    assert len(deal_folds(rows_of(sources, {("b", "c"): 2}), 3)) == 3


def test_few_sources_give_fewer_folds():
    sources = {"both": (9, 9), "crashes": (9, 0), "dents": (5, 0), "dealers": (0, 9)}
    assert as_sets(deal_folds(rows_of(sources), None)) == as_sets(
        [["both", "dents"], ["crashes", "dealers"]]
    )


def test_crops_of_undamaged_cars_do_not_count_as_a_second_class():
    crops = [row(at, "not-damaged", kind="close_up", source="a") for at in range(9)]
    with pytest.raises(UserError, match=r"allow 1 fold\."):
        deal_folds([*rows_of({"a": (9, 0), "b": (9, 9)}), *crops], None)


@pytest.mark.parametrize("count", [-1, 0, 1, 8])
def test_an_impossible_number_of_folds_is_refused(count):
    with pytest.raises(UserError, match=r"not possible\. .* allow 2 to 7 folds"):
        deal_folds(rows_of(SOURCES), count)


@pytest.mark.parametrize("count", [None, 2])
@pytest.mark.parametrize("sources", [{}, {"a": (9, 9), "b": (9, 0)}, {"a": (9, 0), "b": (0, 9)}])
def test_one_source_with_both_classes_is_not_enough(sources, count):
    with pytest.raises(UserError, match="at least two sources"):
        deal_folds(rows_of(sources), count)


@st.composite
def data_sets(draw):
    """Sources with few photos, at least two of both classes, and pairs that share copies."""
    counts = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(any)
    several = [*draw(st.lists(counts, max_size=9)), (3, 1), (1, 2)]
    sources = {f"s{at:02}": count for at, count in enumerate(several)}
    pairs = [
        (one, other)
        for one, other in combinations(sources, 2)
        if any(map(min, zip(sources[one], sources[other], strict=True)))
    ]
    shared = draw(st.dictionaries(st.sampled_from(pairs), st.integers(1, 4))) if pairs else {}
    return sources, rows_of(sources, shared)


@given(data_sets(), st.data())
def test_every_fold_and_its_training_set_have_both_classes(data_set, data):
    sources, rows = data_set
    damaged_only = sum(not undamaged for _, undamaged in sources.values())
    undamaged_only = sum(not damaged for damaged, _ in sources.values())
    both = len(sources) - damaged_only - undamaged_only
    possible = both + min(damaged_only, undamaged_only)
    count = data.draw(st.none() | st.integers(2, possible))

    folds = deal_folds(rows, count)
    assert len(folds) == (count or min(6, possible))
    assert sorted(source for fold in folds for source in fold) == sorted(sources)
    for fold in folds:
        labels_in = {each.label for each in rows if each.source in fold}
        labels_out = {each.label for each in rows if each.source not in fold}
        assert labels_in == labels_out == {"damaged", "not-damaged"}
    shuffled = data.draw(st.randoms(use_true_random=False)).sample(rows, len(rows))
    assert deal_folds(shuffled, count) == folds
