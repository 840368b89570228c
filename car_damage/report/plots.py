"""Curves as inline SVG, drawn by matplotlib and coloured by the page's style sheet.

They use matplotlib's objects, because pyplot has global state that a library should not touch.
`_svg` replaces the colours with CSS variables, so that the curves follow the page into dark mode.
Text stays text and uses the page's font.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import RcKeyType
from scipy.stats import binomtest
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

from car_damage.decision import Decision
from car_damage.evaluation.metrics import CALIBRATION_BINS, calibration_bin
from car_damage.manifest import DecidedEstimate

Look = dict[str, Any]  # keyword arguments of matplotlib

# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, ORANGE = "#0072b2", "#d55e00"
INK, GREY, PALE_GREY, PAPER = "#111111", "#6b6b6b", "#d9d9d9", "#fefefe"
CSS = {
    BLUE: "var(--series)",
    ORANGE: "var(--mark)",
    INK: "currentColor",
    GREY: "var(--muted)",
    PALE_GREY: "var(--line)",
    PAPER: "var(--paper)",
}
# In inches of 72 units; on a phone's screen a unit is about a pixel.
PAGE: Look = {"figsize": (4.7, 4.3), "layout": "constrained"}
CURVE: Look = {"curve_kwargs": {"color": BLUE, "lw": 2}}
REFERENCE: Look = {"ls": "--", "color": GREY, "lw": 1}
POINT: Look = {"fmt": "o", "color": BLUE, "ms": 5, "capsize": 2}
BOUNDARY: Look = {"ls": ":", "color": ORANGE, "lw": 1.6}
NOT_FOR_A_PAGE = (
    r"<style.*?</style>",  # it would style the whole page
    r' id="[A-Za-z0-9.]+_\d+"',  # ids of parts, the same in every figure; nothing refers to them
    r"font-family: [^;\"]*;? ?",  # so that the page's font is inherited
)
STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "font.size": 11,
    "legend.fontsize": 10,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    ),
}


@rc_context(STYLE)
def roc(labels: np.ndarray, probabilities: np.ndarray, decision: Decision) -> Markup:
    """Damaged cars found against false alarms; needs both classes."""
    figure = Figure(**PAGE)
    ax = figure.add_subplot()
    RocCurveDisplay.from_predictions(labels, probabilities, ax=ax, name="ROC curve", **CURVE)
    ax.plot([0, 1], [0, 1], **REFERENCE, label="random guessing")
    predicted = decision.is_damaged(probabilities)
    _mark(ax, predicted[labels == 0].mean(), predicted[labels == 1].mean(), _named(decision))
    ax.set(xlabel="false alarms (share of undamaged cars)", ylabel="recall (damaged cars found)")
    _shares_on_both_axes(ax)
    ax.legend(loc="lower right", frameon=False)
    return _svg(figure, "roc", "ROC curve: damaged cars found against false alarms")


@rc_context(STYLE)
def precision_recall(labels: np.ndarray, probabilities: np.ndarray, decision: Decision) -> Markup:
    """Precision against recall; needs both classes."""
    figure = Figure(**PAGE)
    ax = figure.add_subplot()
    PrecisionRecallDisplay.from_predictions(labels, probabilities, ax=ax, name="PR curve", **CURVE)
    ax.axhline(labels.mean(), **REFERENCE, label="random guessing")
    predicted = decision.is_damaged(probabilities)
    if predicted.any():
        _mark(ax, predicted[labels == 1].mean(), labels[predicted].mean(), _named(decision))
    ax.set_xlabel("recall (damaged cars found)")
    ax.set_ylabel('precision (correct among "damaged")')
    _shares_on_both_axes(ax)
    ax.legend(loc="lower left", frameon=False)
    return _svg(figure, "pr", "Precision against recall")


@rc_context(STYLE)
def calibration(labels: np.ndarray, probabilities: np.ndarray, decision: Decision) -> Markup:
    """Share of damaged photos against the probability, above a histogram of probabilities."""
    figure = Figure(**PAGE)
    above, below = figure.subplots(2, height_ratios=(3, 1.1), sharex=True)
    _reliability(above, labels, probabilities)
    _histogram(below, probabilities)
    for ax in (above, below):
        ax.axvline(decision.threshold, **BOUNDARY, label=_named(decision))
    _legend_above(above)
    return _svg(figure, "calibration", "Share of damaged photos against the probability of damage")


@rc_context(STYLE)
def learning_curves(history: Sequence[Mapping[str, float]]) -> Markup:
    """Loss and accuracy after each epoch.

    `history` has at least one mapping, with the keys epoch, loss, val_loss, accuracy and
    val_accuracy.
    """
    figure = Figure(**PAGE)
    epochs = [row["epoch"] for row in history]
    loss, accuracy = figure.subplots(2, sharex=True)
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        training, validation = ([row[key] for row in history] for key in (name, f"val_{name}"))
        ax.plot(epochs, training, "o--", color=GREY, ms=3.5, label="training (augmented)")
        ax.plot(epochs, validation, "o-", color=BLUE, ms=4, lw=2, label="validation")
        _tidy(ax)
    loss.set_ylabel("loss (cross-entropy)")
    _legend_above(loss)
    accuracy.set(xlabel="epoch", ylabel="accuracy", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    _in_percent(accuracy.yaxis)
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return _svg(figure, "learning", "Loss and accuracy after each epoch")


@rc_context(STYLE)
def coverage(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], chosen: DecidedEstimate | None
) -> Markup:
    """Accuracy against the share of photos decided without a person.

    `curves` has at most two entries: the name of the photos, and a pair of arrays, share decided
    and accuracy. `chosen` is the point that the review band gives, if there is one.
    """
    figure = Figure(**PAGE)
    ax = figure.add_subplot()
    lines: list[Look] = [{"color": BLUE, "lw": 2}, {"color": GREY, "lw": 1.5, "ls": "--"}]
    for (name, (decided, accuracy)), line in zip(curves.items(), lines, strict=False):
        ax.plot(decided, accuracy, label=name, **line)
    if chosen and chosen.decided.value is not None and chosen.accuracy.value is not None:
        _mark(ax, chosen.decided.value, chosen.accuracy.value, "with the review band")
    ax.set(xlabel="photos decided without a person", ylabel="accuracy on these photos")
    lowest = min(ax.get_ylim()[0], 0.99)
    ax.set(xlim=(-0.02, 1.02), ylim=(lowest, 1 + 0.02 * (1 - lowest)))
    _in_percent(ax.xaxis, ax.yaxis)
    _tidy(ax)
    ax.legend(loc="lower left", frameon=False)
    return _svg(figure, "coverage", "Accuracy against the share of photos decided")


def _reliability(ax: Axes, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Plot each bin's share of damaged photos, with Wilson's 95 % interval."""
    bins = calibration_bin(probabilities)
    ax.plot([0, 1], [0, 1], **REFERENCE, label="perfect")
    for number in np.unique(bins):
        inside = bins == number
        share = labels[inside].mean()
        result = binomtest(int(labels[inside].sum()), int(inside.sum()))
        interval = result.proportion_ci(method="wilson")
        reach = [[max(share - interval.low, 0)], [max(interval.high - share, 0)]]
        ax.errorbar(probabilities[inside].mean(), share, reach, **POINT, lw=1.2)
    ax.errorbar([], [], [], **POINT, label="measured, 95 % interval")
    ax.set(ylabel="share of damaged photos", ylim=(-0.03, 1.03))
    _in_percent(ax.yaxis)
    _tidy(ax)


def _histogram(ax: Axes, probabilities: np.ndarray) -> None:
    """Plot the number of photos in each bin, with the number above the bar."""
    counts = np.bincount(calibration_bin(probabilities), minlength=CALIBRATION_BINS)
    middles = (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS
    bars = ax.bar(middles, counts, width=0.9 / CALIBRATION_BINS, color=PALE_GREY)
    ax.bar_label(bars, [count or "" for count in counts], fontsize=8, color=GREY, padding=1)
    ax.set(xlabel="calibrated probability of damage", ylabel="photos", xlim=(-0.02, 1.02))
    ax.margins(y=0.2)
    _in_percent(ax.xaxis)
    _tidy(ax)
    ax.grid(False)


def _named(decision: Decision) -> str:
    return f"threshold {decision.threshold:.2f}"


def _mark(ax: Axes, x: float, y: float, label: str) -> None:
    ax.plot(x, y, "o", ms=9, color=ORANGE, mec=PAPER, mew=1.5, ls="", label=label)


def _legend_above(ax: Axes) -> None:
    """Put the legend outside the axes, where it hides nothing."""
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)


def _shares_on_both_axes(ax: Axes) -> None:
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    _in_percent(ax.xaxis, ax.yaxis)
    _tidy(ax)


def _in_percent(*axes: Axis) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def _tidy(ax: Axes) -> None:
    ax.grid(color=PALE_GREY, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _svg(figure: Figure, name: str, alt: str) -> Markup:
    """The figure as an <svg> element; `name` keeps its ids distinct from those of other plots."""
    text = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata=no_metadata)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{alt}"', 1)
    for pattern in NOT_FOR_A_PAGE:
        svg = re.sub(pattern, "", svg)
    for colour, variable in CSS.items():
        svg = svg.replace(colour, variable)
    return Markup(svg)
