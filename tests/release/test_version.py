"""What training prints of a version's metrics."""

import pytest

from car_damage.decision import Decision
from car_damage.manifest import (
    Decided,
    DecidedEstimate,
    Estimate,
    Manifest,
    Metrics,
    MetricSet,
    ReviewMetrics,
)
from car_damage.release.version import table

SURE = Estimate(value=0.9, low=0.85, high=0.95)


def lines(**metrics):
    """The table of a version with these metrics."""
    review = ReviewMetrics(
        target=0.99,
        val=Decided(decided=0.8, accuracy=0.99),
        test=DecidedEstimate(decided=SURE, accuracy=SURE),
    )
    entries = {"photos": MetricSet(count=200, accuracy=SURE), "review": review, **metrics}
    manifest = Manifest(
        version="20260311-1402-0a1b",
        size=64,
        decision=Decision(temperature=1.0, threshold=0.5),
        metrics=Metrics(**entries),
    )
    return [" ".join(line.split()) for line in table(manifest).splitlines()]


@pytest.mark.parametrize(
    ("count", "said"), [(9, "too few"), (10, "0.900 (0.850 to 0.950)")], ids=["nine", "ten"]
)
def test_a_folder_of_fewer_than_ten_photos_gets_no_percentage(count, said):
    folders = {"garage": MetricSet(count=count, accuracy=SURE)}
    assert f"right in garage ({count}) {said}" in lines(data_folders=folders)


def test_a_figure_without_an_interval_says_so():
    perfect = Estimate(value=1.0, low=None, high=None)
    found = lines(photos=MetricSet(count=200, accuracy=SURE, roc_auc=perfect))
    assert "accuracy 0.900 (0.850 to 0.950)" in found
    assert "ROC AUC 1.000 (no interval)" in found
    assert "F1 -" in found
