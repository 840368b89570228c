import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib import pyplot
from scipy.special import expit

from car_damage.decision import Decision
from car_damage.manifest import DecidedEstimate, Estimate
from car_damage.report import plots

HISTORY = [
    {"epoch": 1, "loss": 0.6, "val_loss": 0.5, "accuracy": 0.7, "val_accuracy": 0.75},
    {"epoch": 2, "loss": 0.4, "val_loss": 0.3, "accuracy": 0.8, "val_accuracy": 0.85},
]
COVERAGE = {"test photos": (np.array([0.5, 1.0]), np.array([1.0, 0.75]))}
DECIDED, ACCURACY, UNKNOWN = (
    Estimate(value=value, low=value, high=value) for value in (0.9, 0.8, None)
)
CHOSEN = DecidedEstimate(decided=DECIDED, accuracy=ACCURACY)
NOBODY = DecidedEstimate(decided=DECIDED, accuracy=UNKNOWN)
SVG = "{http://www.w3.org/2000/svg}"


def at(threshold):
    return Decision(temperature=1.0, threshold=threshold)


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    calibrated = expit(rng.normal(0, 3, 60))
    return (rng.random(60) < calibrated).astype(np.uint8), calibrated


@pytest.fixture
def drawn(photos):
    """All plots."""
    return [
        plots.roc(*photos, at(0.46)),
        plots.precision_recall(*photos, at(0.46)),
        plots.calibration(*photos, at(0.46)),
        plots.learning_curves(HISTORY),
        plots.coverage(COVERAGE, CHOSEN),
    ]


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.filterwarnings("error")
def test_every_plot_is_one_svg_element_with_a_label(drawn):
    for svg in drawn:
        root = ET.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert len(root.get("aria-label")) > 15
        assert len(texts(svg)) > 8  # axis labels and numbers, as text


def test_plots_take_all_colours_from_the_page(drawn):
    for svg in drawn:
        assert "var(--series)" in svg
        assert not set(re.findall(r"#[0-9a-f]{6}\b", svg)) - {"#000000"}  # the default, unseen


def test_plots_on_one_page_have_distinct_ids_and_no_style_sheets(drawn):
    ids = [name for svg in drawn for name in set(re.findall(r' id="([^"]+)"', svg))]
    assert len(ids) == len(set(ids))
    assert not any("<style" in svg for svg in drawn)


def test_plots_name_the_threshold_in_use(photos):
    for draw in (plots.roc, plots.precision_recall, plots.calibration):
        assert "threshold 0.46" in texts(draw(*photos, at(0.46)))


@pytest.mark.filterwarnings("error")
def test_one_epoch_is_enough_for_learning_curves():
    assert "epoch" in texts(plots.learning_curves(HISTORY[:1]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [0, 1])
def test_calibration_can_be_plotted_for_one_class(label):
    svg = plots.calibration(np.full(3, label), np.array([0.2, 0.4, 0.9]), at(0.5))
    assert "share of damaged photos" in texts(svg)


@pytest.mark.filterwarnings("error")
def test_a_threshold_that_no_photo_reaches_is_not_marked(photos):
    labels, calibrated = photos
    assert "threshold 0.90" not in texts(plots.precision_recall(labels, calibrated / 2, at(0.9)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("chosen", "marked"), [(CHOSEN, True), (NOBODY, False), (None, False)])
def test_the_coverage_plot_marks_the_review_band_if_it_decides_any_photo(chosen, marked):
    assert ("with the review band" in texts(plots.coverage(COVERAGE, chosen))) == marked


def test_plotting_does_not_change_matplotlibs_state(photos):
    before = dict(pyplot.rcParams)
    plots.roc(*photos, at(0.5))
    assert dict(pyplot.rcParams) == before
    assert pyplot.get_fignums() == []  # pyplot keeps no figure in memory
