"""Pictures of the test results and of the training, as PNG files; each says what good looks like.

Drawn with matplotlib's objects and not with pyplot, whose global state no library should touch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import binomtest
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    PrecisionRecallDisplay,
    RocCurveDisplay,
    confusion_matrix,
)

from car_damage.training.evaluation import CALIBRATION_BINS, calibration_bin

# Okabe and Ito's palette: told apart with every kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"
PALE_GREY = "#D9D9D9"
SIZE = (6.0, 5.4)  # inches
DPI = 150
CLASSES = ("not\ndamaged", "damaged")


def write_plots(
    folder: Path,
    labels: np.ndarray,
    probabilities: np.ndarray,
    threshold: float,
    history: Sequence[Mapping[str, float]],
) -> None:
    """Write the plots of a version into `folder`, which exists.

    `labels` (0 or 1) and calibrated `probabilities` of damaged have shape (n,) and belong to the
    test photos. `history` has a mapping per epoch with the keys epoch, loss, val_loss, accuracy and
    val_accuracy; when it is empty there is no learning_curves.png. The curves of roc.png and
    precision_recall.png need both classes: with one class only they are left out.
    """
    _confusion(folder / "confusion_matrix.png", labels, probabilities >= threshold)
    if len(np.unique(labels)) == 2:
        _roc(folder / "roc.png", labels, probabilities, threshold)
        _precision_recall(folder / "precision_recall.png", labels, probabilities, threshold)
    _calibration(folder / "calibration.png", labels, probabilities, threshold)
    if history:
        _learning_curves(folder / "learning_curves.png", history)


def _confusion(path: Path, labels: np.ndarray, answers: np.ndarray) -> None:
    figure = _new_figure("Confusion matrix", "Good: nearly all photos on the dark diagonal")
    ax = figure.add_subplot()
    counts = confusion_matrix(labels, answers, labels=[0, 1])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(shares, display_labels=CLASSES)
    display.plot(ax=ax, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": 1})
    for text, count, share in zip(display.text_.flat, counts.flat, shares.flat, strict=True):
        text.set(text=f"{count}\n{100 * share:.1f} %", fontsize=17, linespacing=1.4)
    ax.set(xlabel="answer", ylabel="truth (each row adds up to 100 %)")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    _save(figure, path)


def _roc(path: Path, labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> None:
    figure = _new_figure(
        "Damaged cars found against false alarms", "Good: into the top left corner"
    )
    ax = figure.add_subplot()
    RocCurveDisplay.from_predictions(
        labels, probabilities, ax=ax, name="ROC curve", curve_kwargs={"color": BLUE, "lw": 2}
    )
    ax.plot([0, 1], [0, 1], "--", color=GREY, lw=1, label="guessing")
    answers = probabilities >= threshold
    alarms, found = answers[labels == 0].mean(), answers[labels == 1].mean()
    _mark_threshold(ax, alarms, found, threshold)
    _shares_on_both_axes(ax)
    ax.set(xlabel="false alarms, share of undamaged cars", ylabel="found, share of damaged cars")
    ax.legend(loc="lower right", frameon=False)
    _save(figure, path)


def _precision_recall(
    path: Path, labels: np.ndarray, probabilities: np.ndarray, threshold: float
) -> None:
    figure = _new_figure("Precision and recall", "Good: into the top right corner")
    ax = figure.add_subplot()
    PrecisionRecallDisplay.from_predictions(
        labels, probabilities, ax=ax, name="PR curve", curve_kwargs={"color": BLUE, "lw": 2}
    )
    ax.axhline(labels.mean(), ls="--", color=GREY, lw=1, label="guessing")
    answers = probabilities >= threshold
    if answers.any():
        _mark_threshold(ax, answers[labels == 1].mean(), labels[answers].mean(), threshold)
    _shares_on_both_axes(ax)
    ax.set(
        xlabel="recall: found, share of damaged cars",
        ylabel='precision: truly damaged, share of "damaged" answers',
    )
    ax.legend(loc="lower left", frameon=False)
    _save(figure, path)


def _calibration(
    path: Path, labels: np.ndarray, probabilities: np.ndarray, threshold: float
) -> None:
    figure = _new_figure("Does the probability mean what it says?", "Good: points on the diagonal")
    above, below = figure.subplots(2, height_ratios=(3, 1.1), sharex=True)
    _reliability(above, labels, probabilities)
    _histogram(below, labels, probabilities)
    for ax in (above, below):
        ax.axvline(threshold, ls=":", color=ORANGE, lw=1.6, label=f"threshold {threshold:.2f}")
    _legend_above(above)
    _save(figure, path)


def _reliability(ax: Axes, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Per bin the share that is damaged at the mean probability, with Wilson's 95 % interval."""
    bins = calibration_bin(probabilities)
    ax.plot([0, 1], [0, 1], "--", color=GREY, lw=1, label="perfect")
    for number in np.unique(bins):
        inside = bins == number
        share = labels[inside].mean()
        result = binomtest(int(labels[inside].sum()), int(inside.sum()))
        interval = result.proportion_ci(method="wilson")
        reach = [[max(share - interval.low, 0)], [max(interval.high - share, 0)]]
        ax.errorbar(
            probabilities[inside].mean(), share, reach, fmt="o", color=BLUE, ms=5, capsize=2, lw=1.2
        )
    ax.errorbar([], [], [], fmt="o", color=BLUE, ms=5, capsize=2, label="measured, 95 % interval")
    ax.set(ylabel="share truly damaged", ylim=(-0.03, 1.03))
    _in_percent(ax.yaxis)
    _tidy(ax)


def _histogram(ax: Axes, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """How many photos each bin holds, written above its bar."""
    counts = np.bincount(calibration_bin(probabilities), minlength=CALIBRATION_BINS)
    middles = (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS
    bars = ax.bar(middles, counts, width=0.9 / CALIBRATION_BINS, color=PALE_GREY)
    ax.bar_label(bars, [count or "" for count in counts], fontsize=7.5, color=GREY, padding=1)
    ax.set(xlabel="calibrated probability of damaged", ylabel="photos", xlim=(-0.02, 1.02))
    ax.margins(y=0.2)
    _in_percent(ax.xaxis)
    _tidy(ax)
    ax.grid(False)


def _learning_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    figure = _new_figure(
        "Learning curves", "Good: validation keeps up with training until it levels off"
    )
    epochs = [row["epoch"] for row in history]
    best = min(history, key=lambda row: row["val_loss"])["epoch"]
    loss, accuracy = figure.subplots(2, sharex=True)
    training = "training (augmented)"
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        ax.plot(epochs, [row[name] for row in history], "o--", color=GREY, ms=3.5, label=training)
        validation = [row[f"val_{name}"] for row in history]
        ax.plot(epochs, validation, "o-", color=BLUE, ms=4, lw=2, label="validation")
        ax.axvline(best, ls=":", color=ORANGE, lw=1.6, label="lowest validation loss")
        _tidy(ax)
    loss.set_ylabel("loss (cross-entropy)")
    _legend_above(loss)
    accuracy.set(xlabel="epoch", ylabel="photos right", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    _in_percent(accuracy.yaxis)
    accuracy.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _save(figure, path)


def _new_figure(title: str, good: str) -> Figure:
    figure = Figure(figsize=SIZE, layout="constrained")
    figure.suptitle(f"{title}\n", fontsize=14, fontweight="bold")
    figure.text(0.5, 0.937, good, ha="center", va="top", fontsize=10.5, color=GREY)
    return figure


def _mark_threshold(ax: Axes, x: float, y: float, threshold: float) -> None:
    ax.plot(
        x, y, "o", ms=10, color=ORANGE, mec="white", mew=1.5, label=f"threshold {threshold:.2f}"
    )


def _legend_above(ax: Axes) -> None:
    """The legend outside the axes, where it can hide nothing."""
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=9)


def _shares_on_both_axes(ax: Axes) -> None:
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    _in_percent(ax.xaxis)
    _in_percent(ax.yaxis)
    _tidy(ax)


def _in_percent(axis: Axis) -> None:
    axis.set_major_formatter(PercentFormatter(1, symbol=" %"))


def _tidy(ax: Axes) -> None:
    ax.grid(color=PALE_GREY, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=DPI)
