"""Metrics as lines for the terminal, each with its 95 % interval."""

from collections.abc import Mapping

from car_damage.evaluation.slices import is_too_small
from car_damage.manifest import Estimate, MetricSet

TITLES = {
    "accuracy": "accuracy",
    "false_negative_rate": "damaged cars missed",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


def lines_of(estimates: Mapping[str, Estimate | None]) -> list[str]:
    """A line for each title with its estimate."""
    return [line(title, estimate) for title, estimate in estimates.items()]


def line(title: str, estimate: Estimate | None) -> str:
    """A line with an estimate and its interval."""
    if estimate is None or estimate.value is None:
        return f"  {title:32}     -"
    if estimate.low is None or estimate.high is None:
        return f"  {title:32} {estimate.value:.3f}  (no interval)"
    return f"  {title:32} {estimate.value:.3f}  ({estimate.low:.3f} to {estimate.high:.3f})"


def folder_line(title: str, folder: MetricSet) -> str:
    """A line with the accuracy on a folder's photos, or "too few"."""
    if is_too_small(folder, "accuracy"):
        return f"  {title:32} too few"
    return line(title, folder.accuracy)


def amount_line(title: str, cost: Estimate) -> str:
    """A line with an amount of money and its interval."""
    return f"  {title:32} {cost.value or 0:,.0f}  ({cost.low or 0:,.0f} to {cost.high or 0:,.0f})"
