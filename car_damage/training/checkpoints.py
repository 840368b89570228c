"""Checkpoints: a training run on disk, so that it can resume after its last epoch."""

import csv
import hashlib
import json
import shutil
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import keras

from car_damage.errors import UserError
from car_damage.files import write_text
from car_damage.manifest import DatasetConfig, TrainingSettings
from car_damage.training.initial_weights import Start

HISTORY = "history.csv"


class Run:
    """The folder of a run in progress. Only epochs in its `history.csv` count as finished."""

    def __init__(
        self, models: Path, start: Start, settings: TrainingSettings, dataset: DatasetConfig
    ):
        start_from = {"backbone": start.backbone.name, "weights": start.weights.model_dump()}
        what = {**start_from, "settings": settings.model_dump(), "data": dataset.fingerprint}
        self.settings = settings
        self._description = json.dumps(what, sort_keys=True, indent=2)
        name = hashlib.sha256(self._description.encode()).hexdigest()[:8]
        self.folder = models / f"training-{name}"

    def part(self, name: str) -> "Run":
        """Return a run in a folder below this one, for another model of the same settings."""
        part = copy(self)
        part.folder = self.folder / name
        part.folder.mkdir(exist_ok=True)
        return part

    def start(self) -> None:
        """Start again, and delete the checkpoints of a killed run with the same settings."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_text(self.folder / "settings.json", self._description)

    def history(self) -> list[dict[str, float]]:
        """Read a row of metrics for each finished epoch."""
        path = self.folder / HISTORY
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            return [{key: float(value) for key, value in row.items()} for row in rows]

    def save(self, model: keras.Model, row: dict[str, float]) -> None:
        """Save a finished epoch: first the weights, then the history."""
        history = [*self.history(), row]
        model.save_weights(self._state(len(history)))
        lines = [",".join(map(str, past.values())) for past in history]
        write_text(self.folder / HISTORY, "\n".join([",".join(row), *lines, ""]))
        self._state(len(history) - 1).unlink(missing_ok=True)

    def restore(self, model: keras.Model) -> int:
        """Load weights and optimiser of the last finished epoch; return its number."""
        epochs = len(self.history())
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._state(epochs))
        return epochs

    def finish(self) -> None:
        """Delete the folder after everything important was copied to the version."""
        shutil.rmtree(self.folder)

    def _state(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.weights.h5"


def check_can_resume(runs: Sequence[Run]) -> None:
    """Raise `UserError` if none of the runs was interrupted after an epoch."""
    if not any(run.history() for run in runs):
        raise UserError(
            f"There is no interrupted run with these options and data in {runs[0].folder.parent}. "
            "Repeat the options of the interrupted run, or remove --resume."
        )
