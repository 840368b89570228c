"""The progress of training: a line per epoch, and a bar in a terminal."""

from contextlib import ExitStack
from time import monotonic

import keras

from car_damage.progress import can_draw, duration, meter


class EpochLines(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
    """Print each epoch's time and metrics, and an estimate of the remaining time.

    The validation metrics are those of `fit`: with label smoothing and the averaged weights.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs
        self.bars = ExitStack()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.begun = monotonic()
        if can_draw():
            what = f"epoch {epoch + 1} of {self.epochs}"
            bar = meter(what, self.params["steps"], "batch")
            self.advance = self.bars.enter_context(bar)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if batch == 0:
            self.under_way = monotonic()  # the first batch of a run also builds the graph
        if can_draw():
            self.advance()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.bars.close()
        now, steps = monotonic(), self.params["steps"]
        seconds = now - self.begun
        each = (now - self.under_way) * steps / (steps - 1) if steps > 1 else seconds
        left = (self.epochs - epoch - 1) * each
        print(
            f"epoch {epoch + 1} of {self.epochs}: {duration(seconds)}, loss {logs['loss']:.3f}, "
            f"validation loss {logs['val_loss']:.3f}, accuracy {logs['val_accuracy']:.1%}"
            + (f"; about {duration(left)} left, then the export" if left else "")
        )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.bars.close()
