"""The report on a version's results on the user's own photos, as a page and as terminal output."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from car_damage import model_store, paths
from car_damage.decision import Decision
from car_damage.evaluation.claims import Claim
from car_damage.evaluation.own_photos import OwnPhotos, left_out
from car_damage.evaluation.predictions import Predictions, prediction_rows
from car_damage.evaluation.summary import TITLES, amount_line, folder_line, line
from car_damage.files import write_text
from car_damage.manifest import CostMetrics, Metrics
from car_damage.model_store import Record
from car_damage.predictor import Predictor
from car_damage.report import analysis
from car_damage.report.page import render
from car_damage.report.results import Results
from car_damage.report.sections import sections
from car_damage.report.verdict import Step, training_photos_to_add, verdict
from car_damage.report.words import CLAIMED
from car_damage.wording import counted, not_looked_at

MISTAKES_SHOWN = 5  # in the terminal


def write_own_report(
    models: Path,
    record: Record,
    folder: Path,
    own: OwnPhotos,
    predictions: Predictions,
    metrics: Metrics,
    claims: Mapping[str, Claim],
) -> Path:
    """Write `models/evaluation-<version>-<folder>.html` in one step and return its path."""
    decision = predictions.decision
    manifest = record.manifest.model_copy(
        update={"metrics": metrics, "decision": decision, "dataset": None}
    )
    results = Results(
        replace(record, manifest=manifest),
        history=[],
        predictions=prediction_rows(predictions),
        label_issues=None,
        against_current=None,
    )
    found = sections(results, None, Predictor(results.record))
    page = render(
        "own_photos.html",
        results=results,
        manifest=manifest,
        photos=metrics.photos,
        verdict=verdict(metrics),
        in_use=model_store.current(models),
        folder=folder,
        left_out=[*left_out(own, record.version), not_looked_at(own.skipped)],
        sections={
            **{name: data for name, data in found.items() if name == "metrics"},
            "claims": claims,
            **{name: data for name, data in found.items() if name != "metrics"},
            "next": next_steps(record, folder, metrics, claims, _mistakes(predictions)),
        },
    )
    name = re.sub(r"[^\w-]+", "-", folder.resolve().name)
    path = models / f"evaluation-{record.version}-{name}.html"
    write_text(path, page)
    return path


def next_steps(
    record: Record,
    folder: Path,
    metrics: Metrics,
    claims: Mapping[str, Claim],
    mistakes: int,
) -> list[Step]:
    """The next steps with these photos, the most useful first."""
    steps = []
    if mistakes:
        photos = counted(mistakes, "photo")
        steps.append(
            Step(f"Check the {photos} that it got wrong. Some may be in the wrong folder.")
        )
    steps += training_photos_to_add(metrics)
    if (record.folder / model_store.KERAS_MODEL).exists():
        weights = paths.shown(record.folder.resolve() / model_store.KERAS_MODEL)
        words = ["bash", "run_pipeline.sh", "--raw-dir", str(folder), "--weights", str(weights)]
        steps.append(Step("Continue training this version on these photos:", shlex.join(words)))
    accuracy = claims.get("accuracy")
    if accuracy and accuracy.needed:
        more = counted(accuracy.needed, "more photo")
        steps.append(
            Step(f"Test it on {more} to show an accuracy of at least {accuracy.higher:.1%}.")
        )
    return steps


def table(
    record: Record, predictions: Predictions, metrics: Metrics, claims: Mapping[str, Claim]
) -> str:
    """The verdict, the metrics and the worst mistakes, as lines for the terminal."""
    photos, review = metrics.photos, metrics.review
    assert photos is not None
    assert review is not None
    lines = [f"\n{record.version} on your {counted(photos.count, 'photo')}"]
    lines += [verdict(metrics) or ""]
    lines += [line(title, getattr(photos, name)) for name, title in TITLES.items()]
    for name, part in (metrics.data_folders or {}).items():
        lines.append(folder_line(f"correct in {name} ({part.count})", part))
    lines.append(line("decided without a person", review.test.decided))
    lines.append(line("correct among those", review.test.accuracy))
    lines += ["", *map(_claim_line, claims.items())]
    rows = prediction_rows(predictions)
    if wrong := analysis.most_wrong(rows, predictions.decision, MISTAKES_SHOWN):
        lines += ["", "worst mistakes, by probability of damage"]
        lines += [
            f"  {row.probability:.4f} but {row.label}: {paths.shown(paths.located(row.path))}"
            for row in wrong
        ]
    return "\n".join(lines)


def cost_lines(before: CostMetrics, after: CostMetrics, decision: Decision) -> list[str]:
    """The cost of 1,000 photos with the version's own decision and with the cheapest one."""
    low, high = decision.review_band or (decision.threshold, decision.threshold)
    return [
        f"\nat these costs, the threshold is {decision.threshold:.4f}, and a person checks photos "
        f"from {low:.4f} to below {high:.4f}",
        f"cost of 1,000 photos, {after.damaged:.0%} of them damaged",
        amount_line("with this threshold and band", after.per_thousand),
        amount_line("with those of the version", before.per_thousand),
        f"  {'if a person checks every photo':32} {1000 * after.costs.review:,.0f}",
    ]


def _claim_line(named: tuple[str, Claim]) -> str:
    name, claim = named
    shown = "nothing yet" if claim.shown is None else f"at least {claim.shown:.1%}"
    text = f"  {CLAIMED[name][0]:32} these {counted(claim.photos, 'photo')} show {shown}"
    if claim.needed is None or claim.higher is None:
        return text
    return f"{text}; about {claim.needed:,} more would show at least {claim.higher:.1%}"


def _mistakes(predictions: Predictions) -> int:
    return int((predictions.damaged != (predictions.split.y == 1)).sum())
