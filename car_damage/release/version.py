"""From a trained model to a version in `models/`: exported, calibrated, measured, recorded."""

import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path

import keras

from car_damage import model_store
from car_damage.dataset.arrays import Dataset
from car_damage.evaluation import ood
from car_damage.evaluation.evaluate import evaluate
from car_damage.evaluation.held_out_sources import held_out_metrics
from car_damage.evaluation.inference import graph_outputs
from car_damage.evaluation.label_issues import LABEL_ISSUES
from car_damage.evaluation.predictions import PREDICTIONS, predictions_from, write_predictions
from car_damage.manifest import Estimate, Manifest, Metrics, TrainingSettings, WeightsOrigin
from car_damage.release import saving
from car_damage.release.export import Exported, export_checked
from car_damage.training.checkpoints import HISTORY, Run

LIBRARIES = (
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",
    "scipy",
)
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


@dataclass(frozen=True)
class Trained:
    """A trained model, and what is known of it before anything is measured."""

    model: keras.Model
    backbone: str
    weights: WeightsOrigin
    settings: TrainingSettings
    learnt_before: frozenset[str] | None  # SHA-256s that its ancestors learnt; None: unknown
    moved_to_training: dict[str, int]  # how many photos of val and test were among them


def release(
    trained: Trained, dataset: Dataset, models: Path, precision: str, run: Run
) -> tuple[Manifest, Exported]:
    """Add a version to `models`; return its manifest and what it gives for the test photos.

    The weights of the model are rounded (`saving.round_weights`).
    """
    now = datetime.now(UTC)
    name = model_store.new_version_name(now)
    saving.round_weights(trained.model)
    with model_store.add(models, name) as folder:
        saving.save(trained.model, folder / model_store.KERAS_MODEL)
        graph = folder / model_store.GRAPH
        exported = export_checked(trained.model, dataset, precision, graph, trained.settings.seed)
        print("measuring on the test photos")
        embedded = graph_outputs(graph, dataset.train.X).embeddings
        limits = ood.fit_limits(dataset, embedded, exported.val.embeddings)
        manifest = Manifest(
            version=name,
            created=now.isoformat(timespec="seconds"),
            backbone=trained.backbone,
            weights=trained.weights,
            settings=trained.settings,
            size=dataset.config.size,
            decision=exported.decision,
            precision=exported.comparison.precision,
            sample=dataset.config.sample,
            dataset=dataset.config,
            moved_to_training=trained.moved_to_training or None,
            metrics=_metrics(trained, dataset, models, exported, graph).model_copy(
                update={
                    "warnings": {
                        "unseen_cars": ood.shares_warned(limits, dataset, exported.test.embeddings)
                    }
                }
            ),
            warning_limits=limits,
            libraries=_libraries(),
        )
        (folder / model_store.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        _write_trained_on(folder, dataset, trained.learnt_before)
        write_predictions(
            folder / PREDICTIONS,
            [
                predictions_from(dataset.val, exported.val.logits, exported.decision),
                predictions_from(dataset.test, exported.test.logits, exported.decision),
            ],
        )
        _keep_progress(run, folder)
    return manifest, exported


def table(manifest: Manifest) -> str:
    """The metrics of the test photos as lines for the screen, each with its 95 % interval."""
    metrics = manifest.metrics
    photos, review = metrics.photos, metrics.review
    if photos is None or review is None:
        return f"\n{manifest.version}: nothing was measured"
    lines = [f"\n{manifest.version}: {photos.count} test photos"]
    lines += [_line(title, getattr(photos, name)) for name, title in TITLES.items()]
    if metrics.close_ups:
        lines.append(_line("close-ups cleared", metrics.close_ups.accuracy))
    lines += [
        _line(f"right in {name} ({folder.count})", folder.accuracy)
        for name, folder in (metrics.data_folders or {}).items()
    ]
    lines += [
        _line("decided without a person", review.test.decided),
        _line("right among those", review.test.accuracy),
    ]
    return "\n".join(lines)


def _metrics(
    trained: Trained, dataset: Dataset, models: Path, exported: Exported, graph: Path
) -> Metrics:
    measured = evaluate(
        dataset, graph, exported.val, exported.test, exported.decision, trained.settings.seed
    )
    held_out = held_out_metrics(models, trained.backbone, dataset.config.fingerprint)
    return measured.model_copy(update={"export": exported.comparison, "held_out_sources": held_out})


def _write_trained_on(folder: Path, dataset: Dataset, before: frozenset[str] | None) -> None:
    """A line for each photo that the model or an ancestor learnt; none of it where unknown."""
    if before is not None:
        learnt = sorted(before | {row.sha256 for row in dataset.train.rows})
        (folder / model_store.TRAINED_ON).write_text("\n".join(learnt) + "\n", encoding="ascii")


def _libraries() -> dict[str, str]:
    installed = {name: library_version(name) for name in LIBRARIES if _has(name)}
    return {"python": platform.python_version(), **installed}


def _line(title: str, estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return f"  {title:32}     -"
    return f"  {title:32} {estimate.value:.3f}  ({estimate.low:.3f} to {estimate.high:.3f})"


def _has(library: str) -> bool:
    """TensorFlow goes by another name in its CPU build."""
    try:
        library_version(library)
    except ModuleNotFoundError:
        return False
    return True


def _keep_progress(run: Run, folder: Path) -> None:
    for name in (HISTORY, LABEL_ISSUES):
        if (run.folder / name).exists():
            shutil.copy(run.folder / name, folder / name)
    if (run.folder / "tensorboard").exists():
        shutil.copytree(run.folder / "tensorboard", folder / "tensorboard")
