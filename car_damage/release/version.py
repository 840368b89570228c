"""From a trained model to a version in `models/`: exported, calibrated, measured, recorded."""

import json
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

import keras

from car_damage import model_store
from car_damage.dataset.arrays import Dataset
from car_damage.evaluation import ood
from car_damage.evaluation.evaluate import evaluate
from car_damage.evaluation.held_out_sources import left_out_figures
from car_damage.evaluation.inference import graph_outputs
from car_damage.evaluation.label_issues import LABEL_ISSUES
from car_damage.evaluation.predictions import PREDICTIONS, predictions_from, write_predictions
from car_damage.release import saving
from car_damage.release.export import Exported, export_checked
from car_damage.training.checkpoints import HISTORY, Run

LABELS = ["not_damaged", "damaged"]
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
    "missed": "damaged cars missed",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "ece": "expected calibration error",
}


def release(
    model: keras.Model,
    dataset: Dataset,
    models: Path,
    facts: dict[str, Any],
    precision: str,
    run: Run,
) -> tuple[dict[str, Any], Exported]:
    """Add a version to `models`; return its `model.json` and how it answers the test photos.

    `facts` are the entries that are known before anything is measured: backbone, weights,
    settings. The weights of `model` are rounded (`saving.round_weights`).
    """
    now = datetime.now(UTC)
    name = model_store.new_version_name(now)
    seed = facts["settings"]["seed"]
    saving.round_weights(model)
    with model_store.add(models, name) as folder:
        saving.save(model, folder / "model.keras")
        graph = folder / "model.tflite"
        exported = export_checked(model, dataset, precision, graph, seed)
        print("measuring on the test photos")
        train = graph_outputs(graph, dataset.train.X)
        doubts = ood.fit(dataset, train.embeddings, exported.val.embeddings)
        warned = ood.shares_warned(doubts, dataset, exported.test.embeddings)
        record = {
            "version": name,
            "created": now.isoformat(timespec="seconds"),
            **facts,
            "size": dataset.about["size"],
            "fit": dataset.about["fit"],
            "labels": LABELS,
            "temperature": exported.calibration.temperature,
            "threshold": exported.calibration.threshold,
            "review_band": list(exported.review_band),
            "precision": exported.precision,
            "sample": dataset.about["sample"],
            "data": dataset.about,
            "figures": evaluate(
                dataset,
                graph,
                exported.val,
                exported.test,
                exported.calibration,
                exported.review_band,
                seed,
            )
            | {"export": exported.comparison}
            | {"warnings": {"unseen_cars": warned}}
            | left_out_figures(models, facts, dataset),
            "doubt": doubts,
            "libraries": {"python": platform.python_version()}
            | {library: library_version(library) for library in LIBRARIES if _has(library)},
        }
        (folder / "model.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        write_predictions(
            folder / PREDICTIONS,
            [
                predictions_from(dataset.val, exported.val.logits, exported.calibration),
                predictions_from(dataset.test, exported.test.logits, exported.calibration),
            ],
        )
        _keep_progress(run, folder)
    return record, exported


def table(record: dict[str, Any]) -> str:
    """The figures of the test photos as lines for the screen, each with its 95 % interval."""
    figures = record["figures"]
    lines = [f"\n{record['version']}: {figures['photos']['count']} test photos"]
    for name, title in TITLES.items():
        lines.append(_line(title, figures["photos"][name]))
    if figures["close_ups"]:
        lines.append(_line("close-ups cleared", figures["close_ups"]["accuracy"]))
    lines += [
        _line(f"right in {name} ({folder['count']})", folder["accuracy"])
        for name, folder in figures["data_folders"].items()
    ]
    lines += [
        _line("decided without a person", figures["review"]["test"]["decided"]),
        _line("right among those", figures["review"]["test"]["accuracy"]),
    ]
    return "\n".join(lines)


def _line(title: str, figure: dict[str, float]) -> str:
    if figure["value"] is None:
        return f"  {title:32}     -"
    return f"  {title:32} {figure['value']:.3f}  ({figure['low']:.3f} to {figure['high']:.3f})"


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
