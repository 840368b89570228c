"""The verdict of a report, and its next steps."""

import pytest

from car_damage import model_store
from car_damage.manifest import (
    CostMetrics,
    Costs,
    Decided,
    DecidedEstimate,
    Metrics,
    MetricSet,
    ReviewMetrics,
)
from car_damage.report.page import write_report
from car_damage.report.verdict import verdict, weakest
from tests.report.test_report import DATASET, EARLIER, METRICS, VERSION, add, fig, outline


def metrics_of(accuracy, decided=(0.7, 0.6, 0.8), right=(0.99, 0.97, 1.0), **more):
    review = DecidedEstimate(decided=fig(*decided), accuracy=fig(*right))
    return Metrics(
        photos=MetricSet(count=900, accuracy=fig(*accuracy)),
        review=ReviewMetrics(target=0.99, test=review),
        **more,
    )


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (
            metrics_of((0.95, 0.93, 0.97)),
            "Good enough to decide 70 % of the photos on its own, if a person checks the rest.",
        ),
        (
            metrics_of((0.95, 0.93, 0.97), right=(0.97, 0.94, 0.99)),
            "Good enough to sort photos, but not to decide on its own.",
        ),
        (
            metrics_of((0.95, 0.93, 0.97), decided=(0.4, 0.3, 0.5)),
            "Good enough to sort photos, but not to decide on its own.",
        ),
        (
            metrics_of((0.9, 0.7, 0.98), decided=(0, 0, 0)),
            "There are too few test photos to say whether it is good enough.",
        ),
        (metrics_of((0.6, 0.5, 0.7), right=(0.7, 0.6, 0.8)), "Not good enough: it is wrong on"),
    ],
)
def test_the_verdict_says_what_the_model_is_good_for(metrics, said):
    assert verdict(metrics).replace("\N{NO-BREAK SPACE}", " ").startswith(said)


def test_the_verdict_depends_on_new_sources_if_they_were_tested():
    at_home = metrics_of((0.99, 0.98, 1.0))
    both = at_home.model_copy(update={"abroad": METRICS.abroad})
    assert verdict(both).startswith("Good enough to decide 72")
    worse = METRICS.abroad.model_copy(update={"balanced_accuracy": fig(0.6, 0.5, 0.7)})
    worse = worse.model_copy(update={"review": DecidedEstimate(decided=NONE, accuracy=NONE)})
    both = at_home.model_copy(update={"abroad": worse})
    assert verdict(both).startswith("Not good enough")


@pytest.mark.parametrize(
    ("per_thousand", "said"),
    [
        ((3000, 2000, 4000), "1,000 photos cost 3,000 instead of 5,000."),
        ((7000, 6000, 9000), "At these costs, a person who checks every photo is cheaper."),
        ((3000, 2000, 9000), "too few test photos to say whether it saves money at these costs"),
    ],
)
def test_the_verdict_is_about_cost_if_costs_chose_the_threshold(per_thousand, said):
    costs = Costs(missed=2000, false_alarm=60, review=5)
    cost = CostMetrics(costs=costs, per_thousand=fig(*per_thousand), damaged=0.4)
    assert said in verdict(metrics_of((0.4, 0.3, 0.5), cost=cost))


NONE = fig(None, None, None)


def test_there_is_no_verdict_without_test_results():
    assert verdict(Metrics()) is None


def test_only_photos_that_it_is_surely_worse_on_are_called_weakest():
    slices = {
        "dark": MetricSet(count=50, accuracy=fig(0.8, 0.7, 0.97)),
        "small": MetricSet(count=50, accuracy=fig(0.85, 0.8, 0.9)),
        "bright": MetricSet(count=9, accuracy=fig(0.1, 0.0, 0.3)),  # too few
    }
    found = weakest(metrics_of((0.95, 0.93, 0.97), slices=slices))
    assert found.photos == "small photos"
    assert weakest(metrics_of((0.7, 0.6, 0.8), slices=slices)) is None


def test_the_report_starts_with_the_verdict_and_names_the_version_in_use(tmp_path):
    add(tmp_path, EARLIER)
    add(tmp_path)
    model_store.use(tmp_path, EARLIER)
    text = outline(write_report(tmp_path, VERSION, with_photos=False)).text
    heading = "How far can this model be trusted?"
    assert f"· version in use: {EARLIER} {heading} Good enough to decide 72 %" in text
    assert f"model_store --models {tmp_path} use {VERSION}" in text
    model_store.use(tmp_path, VERSION)
    text = outline(write_report(tmp_path, VERSION, with_photos=False)).text
    assert f"· in use {heading}" in text
    assert "To use this version" not in text


def test_the_most_useful_next_step_comes_first(tmp_path):
    val = Decided(photos=30, decided=0.0, accuracy=None)
    review = METRICS.review.model_copy(update={"val": val})
    metrics = METRICS.model_copy(update={"review": review, "abroad": None})
    version = add(tmp_path, metrics=metrics, dataset=DATASET)
    text = outline(write_report(tmp_path, version, with_photos=False)).text
    steps = [
        "Check the 25 photos in label_issues.csv",
        "Add training photos of the kind that it does worst on: dark photos.",
        "A review band takes about 440 in all.",
        "python model_training.py --cross-sources",
        f"python evaluate.py FOLDER --model {VERSION}",
    ]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
