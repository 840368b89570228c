"""The metrics that training prints."""

import pytest

from car_damage.manifest import (
    CrossSourceMetrics,
    Decided,
    DecidedEstimate,
    Estimate,
    LogitScale,
    Manifest,
    Metrics,
    MetricSet,
    ReviewMetrics,
    WorstSource,
)
from car_damage.release.version import table
from tests.tiny_model import DECISION, VERSION


def about(value):
    return Estimate(value=value, low=value - 0.1, high=value + 0.1)


DECIDED = DecidedEstimate(decided=about(0.7), accuracy=about(0.875))
REVIEW = ReviewMetrics(target=0.99, val=Decided(decided=0.5, accuracy=1.0), test=DECIDED)
PHOTOS = MetricSet(count=200, accuracy=about(0.75))
ABROAD = CrossSourceMetrics(
    count=400,
    folds=(("uk",), ("kr",)),
    balanced_accuracy=about(0.625),
    recall=about(0.6),
    specificity=about(0.65),
    ece=about(0.25),
    review_target=0.975,
    review=DECIDED,
    sources={},
    worst_source=WorstSource(source="uk", label="not_damaged", count=391, accuracy=about(0.5)),
    roc_auc_by_fold=(),
    logit_scale=LogitScale(factor=1.0, offset=0.0),
    threshold=0.5,
    home_threshold=0.5,
)


def lines(**metrics):
    """The table of a version with these metrics, with single spaces."""
    entries = {"photos": PHOTOS, "review": REVIEW, **metrics}
    manifest = Manifest(version=VERSION, size=32, decision=DECISION, metrics=Metrics(**entries))
    return [" ".join(line.split()) for line in table(manifest).splitlines()]


def test_training_prints_cross_source_validation_after_the_test_photos():
    shown = lines(abroad=ABROAD)
    at = next(at for at, line in enumerate(shown) if "cross-source validation" in line)
    assert "400 photos" in shown[at]
    assert shown[:at] == lines()
    assert shown[at + 1] == "balanced accuracy 0.625 (0.525 to 0.725)"
    assert shown[-1] == "worst: uk, not damaged (391) 0.500 (0.400 to 0.600)"


@pytest.mark.parametrize(
    ("count", "said"), [(9, "too few"), (10, "0.750 (0.650 to 0.850)")], ids=["nine", "ten"]
)
def test_a_folder_of_fewer_than_ten_photos_gets_no_percentage(count, said):
    folders = {"garage": MetricSet(count=count, accuracy=about(0.75))}
    assert f"correct in garage ({count}) {said}" in lines(data_folders=folders)


def test_a_missing_interval_is_marked():
    perfect = Estimate(value=1.0, low=None, high=None)
    found = lines(photos=MetricSet(count=200, accuracy=about(0.75), roc_auc=perfect))
    assert "accuracy 0.750 (0.650 to 0.850)" in found
    assert "ROC AUC 1.000 (no interval)" in found
    assert "F1 -" in found
