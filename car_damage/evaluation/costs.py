"""The cost of a version's answers, in money."""

from collections.abc import Sequence

import numpy as np

from car_damage.evaluation.predictions import Predictions
from car_damage.manifest import CostMetrics, Costs, Estimate


def cost_metrics(
    predictions: Predictions, chosen: np.ndarray, costs: Costs, seed: int
) -> CostMetrics:
    """The cost of 1,000 photos like the `chosen` ones, bool (n,), with its 95 % interval.

    Resampling cannot show a mistake that did not happen, although it may be the most expensive one.
    So the interval is widened by the intervals of the two error rates among the decided photos.
    """
    truth, decided = predictions.split.y == 1, ~predictions.needs_review
    mistakes = {
        "missed": decided & truth & ~predictions.damaged,
        "false_alarm": decided & ~truth & predictions.damaged,
    }
    each = np.where(decided, 0.0, costs.review)
    for name, mistake in mistakes.items():
        each[mistake] = getattr(costs, name)

    def statistics(rows: np.ndarray) -> dict[str, float]:
        of_decided = rows[decided[rows]]
        shares = {name: _mean(mistake[of_decided]) for name, mistake in mistakes.items()}
        return {"cost": float(each[rows].mean()), **shares}

    found = predictions.bootstrap(statistics, chosen, seed, dict.fromkeys(mistakes, decided))
    reach = [
        (getattr(costs, name) * float(decided[chosen].mean()), found[name]) for name in mistakes
    ]
    return CostMetrics(
        costs=costs,
        per_thousand=_per_thousand(found["cost"], reach),
        damaged=float(truth[chosen].mean()),
    )


def _per_thousand(cost: Estimate, mistakes: Sequence[tuple[float, Estimate]]) -> Estimate:
    """The cost of 1,000 photos. `mistakes`: the cost per photo at an error rate of 1, and the rate.

    There is one such pair for each kind of mistake.
    """
    value = cost.value or 0.0
    lows, highs = [cost.low or value], [cost.high or value]
    for price, share in mistakes:
        if share.value is not None and share.low is not None and share.high is not None:
            lows.append(value - price * (share.value - share.low))
            highs.append(value + price * (share.high - share.value))
    return Estimate(value=1000 * value, low=1000 * max(0.0, min(lows)), high=1000 * max(highs))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
