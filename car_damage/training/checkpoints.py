"""A training run on disk, so that a killed one goes on from its last epoch."""

import csv
import hashlib
import json
import math
import shutil
from pathlib import Path

import keras

from car_damage.errors import UserError
from car_damage.files import write_text
from car_damage.manifest import TrainingSettings
from car_damage.training.initial_weights import Start

BEST = "best.weights.h5"
HISTORY = "history.csv"


class Run:
    """The folder of a run in progress; an epoch that its `history.csv` lacks did not happen."""

    def __init__(self, models: Path, start: Start, settings: TrainingSettings, fingerprint: str):
        start_from = {"backbone": start.backbone.name, "weights": start.weights.model_dump()}
        what = {**start_from, "settings": settings.model_dump(), "data": fingerprint}
        self._settings = json.dumps(what, sort_keys=True, indent=2)
        name = hashlib.sha256(self._settings.encode()).hexdigest()[:8]
        self.folder = models / f"training-{name}"

    def start(self) -> None:
        """Begin anew; what a killed run with the same settings left is dropped."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_text(self.folder / "settings.json", self._settings)

    def check_can_resume(self) -> None:
        """Raise `UserError` when no run with these settings was interrupted after an epoch."""
        if not self.history():
            raise UserError(
                f"no interrupted run with these settings and data in {self.folder.parent}: "
                "repeat its options, or leave --resume out"
            )

    def history(self) -> list[dict[str, float]]:
        """A row for each finished epoch."""
        path = self.folder / HISTORY
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            return [{key: float(value) for key, value in row.items()} for row in rows]

    def save(self, model: keras.Model, row: dict[str, float]) -> None:
        """Record a finished epoch: the weights first, then the history that names them."""
        history = [*self.history(), row]
        model.save_weights(self._state(len(history)))
        if _best(history) == len(history):
            model.save_weights(self.folder / BEST)
        lines = [",".join(map(str, past.values())) for past in history]
        write_text(self.folder / HISTORY, "\n".join([",".join(row), *lines, ""]))
        self._state(len(history) - 1).unlink(missing_ok=True)

    def restore(self, model: keras.Model) -> int:
        """Put weights and optimiser where the last finished epoch left them; return its number."""
        epochs = len(self.history())
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self._state(epochs))
        return epochs

    def is_over(self, patience: int, small_epochs: int = 0) -> bool:
        """Whether the last `patience` epochs all failed to lower the validation loss.

        The first `small_epochs` do not count: what follows them must have its chance.
        """
        history = self.history()
        return len(history) - max(_best(history), small_epochs) >= patience

    def load_best(self, model: keras.Model) -> None:
        """Give the model the weights of the best epoch.

        Validation images always have full size, so an epoch of small images must be best at that.
        """
        model.load_weights(self.folder / BEST)

    def finish(self) -> None:
        """Drop the folder: the version has all that matters of it."""
        shutil.rmtree(self.folder)

    def _state(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.weights.h5"


def _best(history: list[dict[str, float]]) -> int:
    """The number of the epoch with the lowest validation loss, counted from 1; 0 without epochs."""
    losses = [math.inf if math.isnan(row["val_loss"]) else row["val_loss"] for row in history]
    return losses.index(min(losses)) + 1 if losses else 0
