"""Release a trained model as a version in `models/`: export, calibrate, evaluate and record it."""

import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from pathlib import Path

import numpy as np

from car_damage import model_store
from car_damage.dataset.arrays import Dataset
from car_damage.decision import Decision
from car_damage.drift.reference import Reference
from car_damage.evaluation import ood
from car_damage.evaluation.calibration import ABROAD_TARGET, REVIEW_TARGET
from car_damage.evaluation.cross_source_metrics import cross_source_metrics
from car_damage.evaluation.cross_sources import (
    CROSS_SOURCES,
    FoldAnswer,
    common_scale,
    fit_decision_abroad,
    write_answers,
)
from car_damage.evaluation.evaluate import evaluate
from car_damage.evaluation.features import effective_dimension
from car_damage.evaluation.inference import graph_outputs
from car_damage.evaluation.label_issues import LABEL_ISSUES
from car_damage.evaluation.predictions import PREDICTIONS, predictions_from, write_predictions
from car_damage.evaluation.summary import TITLES, amount_line, folder_line, line, lines_of
from car_damage.manifest import (
    Costs,
    CrossSourceMetrics,
    Manifest,
    Metrics,
    TrainingSettings,
)
from car_damage.photo_warnings import WarningLimits
from car_damage.release import saving
from car_damage.release.export import Exported, export_checked
from car_damage.training.checkpoints import HISTORY
from car_damage.training.classifier import feature_extractor, predicted_logits, rescale_head
from car_damage.training.initial_weights import Start

LEARNING = ("tensorflow", "keras", "ai-edge-litert", "scikit-learn")
LIBRARIES = (*LEARNING, "numpy", "scipy", "opencv-python-headless", "pillow")
DIMENSION_PHOTOS = 300  # far more than the effective dimension of fine-tuned features


@dataclass(frozen=True)
class Trained:
    """A trained model before evaluation, and what is known about it."""

    start: Start  # its model is now trained
    settings: TrainingSettings
    moved_to_training: dict[str, int]  # number of val and test photos an ancestor was trained on
    progress: Path  # the folder of its training run
    answers: list[FoldAnswer]  # from cross-source validation; empty without it
    costs: Costs | None = None  # if given, they choose the threshold and review band


def release(
    trained: Trained, dataset: Dataset, models: Path, precision: str
) -> tuple[Manifest, Exported]:
    """Add a version to `models`; return its manifest and the exported graph with its outputs.

    The model's weights are rounded (`saving.round_weights`). If there are folds, its head is
    rescaled to the folds' logits.
    """
    start, settings, now = trained.start, trained.settings, datetime.now(UTC)
    decision, abroad = _abroad(trained, dataset)
    name = model_store.new_version_name(now)
    saving.round_weights(start.model)
    with model_store.add(models, name) as folder:
        saving.save(start.model, folder / model_store.KERAS_MODEL)
        graph = folder / model_store.GRAPH
        exported = export_checked(
            *(start.model, dataset, precision, graph, settings.seed, decision, trained.costs)
        )
        embedded = graph_outputs(graph, dataset.train.X).embeddings
        metrics, limits = _measured(trained, dataset, exported, graph, embedded)
        manifest = Manifest(
            version=name,
            created=now.isoformat(timespec="seconds"),
            backbone=start.backbone.name,
            weights=start.weights,
            settings=settings,
            size=dataset.config.size,
            decision=exported.decision,
            precision=exported.comparison.precision,
            sample=dataset.config.sample,
            dataset=dataset.config,
            moved_to_training=trained.moved_to_training or None,
            metrics=metrics.model_copy(update={"abroad": abroad}),
            warning_limits=limits,
            libraries=_libraries(),
        )
        (folder / model_store.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        _write_trained_on(folder, dataset, start.learnt)
        _write_predictions(folder, dataset, exported)
        _write_reference(folder, dataset, embedded, exported, settings.seed)
        if trained.answers:
            write_answers(folder / CROSS_SOURCES, trained.answers)
        _keep_progress(trained.progress, folder)
    return manifest, exported


def table(manifest: Manifest) -> str:
    """The metrics on the test photos as lines for the terminal, with 95 % intervals."""
    metrics = manifest.metrics
    photos, review = metrics.photos, metrics.review
    if photos is None or review is None:
        return f"\n{manifest.version} has no test results"
    lines = [f"\n{manifest.version} on {photos.count} test photos"]
    lines += [line(title, getattr(photos, name)) for name, title in TITLES.items()]
    if metrics.close_ups:
        lines.append(line("correct on close-ups", metrics.close_ups.accuracy))
    for name, folder in (metrics.data_folders or {}).items():
        lines.append(folder_line(f"correct in {name} ({folder.count})", folder))
    lines.append(line("decided without a person", review.test.decided))
    lines.append(line("correct among those", review.test.accuracy))
    if metrics.cost:
        left_out = manifest.settings and manifest.settings.leave_out
        sources = "other sources" if left_out else "known sources"
        lines.append(amount_line(f"cost of 1,000, {sources}", metrics.cost.per_thousand))
    return "\n".join([*lines, *_lines_abroad(metrics.abroad)])


def _abroad(
    trained: Trained, dataset: Dataset
) -> tuple[Decision | None, CrossSourceMetrics | None]:
    """The decision fitted on held-out sources and its metrics; None without cross-validation.

    It also rescales the model's head to the folds' logits.
    """
    if not trained.answers:
        return None, None
    model, val = trained.start.model, dataset.val
    logits = predicted_logits(model, val)
    home = {
        row.path: float(logit)
        for row, logit in zip(val.rows, logits, strict=True)
        if row.kind == "photo"
    }
    abroad = cross_source_metrics(trained.answers, home, trained.settings.seed, trained.costs)
    rescale_head(model, abroad.logit_scale.factor, abroad.logit_scale.offset)
    return fit_decision_abroad(common_scale(trained.answers), trained.costs), abroad


def _measured(
    trained: Trained, dataset: Dataset, exported: Exported, graph: Path, embedded: np.ndarray
) -> tuple[Metrics, WarningLimits]:
    """Measure; `embedded` are the graph's embeddings of the training images, float32 (n, d)."""
    print("measuring on the test photos")
    limits = ood.fit_limits(dataset, embedded, exported.val.embeddings)
    target = ABROAD_TARGET if trained.answers else REVIEW_TARGET
    outputs, seed = (exported.val, exported.test), trained.settings.seed
    metrics = evaluate(dataset, graph, *outputs, exported.decision, target, seed, trained.costs)
    of_photos = np.flatnonzero(dataset.val.of_kind("photo"))[:DIMENSION_PHOTOS]
    features = feature_extractor(trained.start.model).predict(dataset.val.X[of_photos], verbose=0)
    more = {
        "effective_dimension": effective_dimension(features),
        "export": exported.comparison,
        "warnings": {"unseen_cars": ood.shares_warned(limits, dataset, exported.test.embeddings)},
    }
    return metrics.model_copy(update=more), limits


def _write_trained_on(folder: Path, dataset: Dataset, before: frozenset[str] | None) -> None:
    """List the training photos of the model and its ancestors; no file if they are unknown."""
    if before is not None:
        learnt = sorted(before | {row.sha256 for row in dataset.train.rows})
        (folder / model_store.TRAINED_ON).write_text("\n".join(learnt) + "\n", encoding="ascii")


def _write_predictions(folder: Path, dataset: Dataset, exported: Exported) -> None:
    parts = ((dataset.val, exported.val), (dataset.test, exported.test))
    write_predictions(
        folder / PREDICTIONS,
        [predictions_from(split, outputs.logits, exported.decision) for split, outputs in parts],
    )


def _write_reference(
    folder: Path, dataset: Dataset, embedded: np.ndarray, exported: Exported, seed: int
) -> None:
    unseen = exported.val.embeddings[dataset.val.of_kind("photo")]
    content = Reference.of(embedded, unseen, seed).to_bytes()
    (folder / model_store.REFERENCE).write_bytes(content)


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # TensorFlow's CPU build has another name
            found[name] = library_version(name)
    return found


def _lines_abroad(abroad: CrossSourceMetrics | None) -> list[str]:
    if abroad is None:
        return []
    lines = {
        "balanced accuracy": abroad.balanced_accuracy,
        "damaged cars recognised": abroad.recall,
        "undamaged cars recognised": abroad.specificity,
        "expected calibration error": abroad.ece,
        "decided without a person": abroad.review.decided,
        "correct among those": abroad.review.accuracy,
    }
    if worst := abroad.worst_source:
        label = worst.label.replace("_", " ")
        lines[f"worst: {worst.source}, {label} ({worst.count})"] = worst.accuracy
    head = f"cross-source validation: {abroad.count} photos from {len(abroad.sources)} sources"
    return [f"{head}, each of which counts the same", *lines_of(lines)]


def _keep_progress(progress: Path, folder: Path) -> None:
    for name in (HISTORY, LABEL_ISSUES):
        if (progress / name).exists():
            shutil.copy(progress / name, folder / name)
    if (progress / "tensorboard").exists():
        shutil.copytree(progress / "tensorboard", folder / "tensorboard")
