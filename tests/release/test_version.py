"""The lines that step 2 prints of a new version."""

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
AT_HOME = Metrics(
    photos=MetricSet(count=8, accuracy=about(0.75)),
    review=ReviewMetrics(target=0.99, val=Decided(decided=0.5, accuracy=1.0), test=DECIDED),
)
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


def lines(metrics):
    return table(Manifest(version=VERSION, size=32, decision=DECISION, metrics=metrics)).split("\n")


def test_the_screen_shows_what_to_expect_on_other_sources_after_the_test_photos():
    shown = lines(AT_HOME.model_copy(update={"abroad": ABROAD}))
    at = next(at for at, line in enumerate(shown) if "sources that training did not use" in line)
    assert "400 photos" in shown[at]
    assert shown[:at] == lines(AT_HOME)
    found = [" ".join(line.split()) for line in shown[at + 1 :]]
    assert found[0] == "mean of found and cleared 0.625 (0.525 to 0.725)"
    assert found[-1] == "worst: uk, not damaged (391) 0.500 (0.400 to 0.600)"
