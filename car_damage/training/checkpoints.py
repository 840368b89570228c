"""A training run on disk, so that a killed one goes on from its last epoch."""

import csv
import hashlib
import json
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
        what = {
            "backbone": start.backbone.name,
            "weights": start.weights.model_dump(),
            "settings": settings.model_dump(),
            "data": fingerprint,
        }
        text = json.dumps(what, sort_keys=True, indent=2)
        self.folder = models / f"training-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        self._settings = text

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
            return [
                {key: float(value) for key, value in row.items()} for row in csv.DictReader(file)
            ]

    def save(self, model: keras.Model, row: dict[str, float]) -> None:
        """Record a finished epoch: the weights first, then the history that names them."""
        history = self.history()
        model.save_weights(self._state(len(history) + 1))
        if not history or row["val_loss"] < min(past["val_loss"] for past in history):
            model.save_weights(self.folder / BEST)
        write_text(self.folder / HISTORY, _as_csv([*history, row]))
        self._state(len(history)).unlink(missing_ok=True)

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
        losses = [row["val_loss"] for row in self.history()]
        best = losses.index(min(losses)) + 1 if losses else 0
        return len(losses) - max(best, small_epochs) >= patience

    def load_best(self, model: keras.Model) -> None:
        """Give the model the weights of the epoch with the lowest validation loss.

        Validation images always have full size, the size at which the model is served, so that an
        epoch of small images counts as best only if it is best at full size.
        """
        model.load_weights(self.folder / BEST)

    def finish(self) -> None:
        """Drop the folder: the version has all that matters of it."""
        shutil.rmtree(self.folder)

    def _state(self, epoch: int) -> Path:
        return self.folder / f"epoch-{epoch}.weights.h5"


def _as_csv(rows: list[dict[str, float]]) -> str:
    lines = [",".join(map(str, row.values())) for row in rows]
    return "\n".join([",".join(rows[0]), *lines, ""])
