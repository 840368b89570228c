"""Phase 2, the fine-tuning of LP-FT: the top stages learn, at a rate that keeps what they know."""

from collections.abc import Callable
from functools import partial
from itertools import groupby

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset
from car_damage.manifest import TrainingSettings
from car_damage.training.batches import AugmentedBatches, PlainBatches
from car_damage.training.checkpoints import Run

WEIGHT_DECAY = 0.01
WARM_UP = 0.1  # of all steps: AdamW's second moments are noise at first
LABEL_SMOOTHING = 0.05  # some labels are doubtful: such a photo should not get a loud answer
GRADIENT_NORM = 1.0
SMALL = 5 / 7  # of the side, and half of the work: at 224 px, images of 160 px
SMALL_EPOCHS = 2 / 3  # of all: the last ones see the photos as the finished model will
SMALLEST = 128  # pixels: below it too little of a dent is left
STRIDE = 32  # pixels: the backbones halve their input five times
PATIENCE = 4  # epochs at least, and a third of them: the cosine's end gains most


def fine_tune(
    model: keras.Model, dataset: Dataset, settings: TrainingSettings, run: Run, resume: bool
) -> None:
    """Train the trainable layers of `model` in place and leave it with its best epoch's weights.

    Training ends early once the validation loss stops falling, but not before the epochs at full
    size had their chance. The best epoch is the one of the lowest validation loss.
    """
    sides, size, seed = settings.sides, settings.batch_size, settings.seed
    train = AugmentedBatches(dataset.train, size, seed, sides, outliers=True)
    val = PlainBatches(dataset.val, size)
    _compile(model, settings.learning_rate, steps=len(train) * settings.epochs)
    done = run.restore(model) if resume else 0
    patience = max(PATIENCE, settings.epochs // 3)
    is_over = partial(run.is_over, patience, small_epochs=sides.index(sides[-1]))
    end = 0
    for _, epochs in groupby(sides):
        end += len(list(epochs))
        if done < end and not is_over():
            _fit(model, train, val, range(done, end), run, is_over)
            done = end
    run.load_best(model)


def mix_in(model: keras.Model, before: list[np.ndarray], share: float) -> None:
    """Make each weight `share` of what it was `before` and the rest of what it is now.

    Between a good model and what fine-tuning made of it lie models that hold better on photos
    unlike those of the fine-tuning (WiSE-FT, Wortsman et al. 2022,
    https://arxiv.org/abs/2109.01903).
    """
    pairs = zip(before, model.get_weights(), strict=True)
    model.set_weights([share * old + (1 - share) * new for old, new in pairs])


def growing_sides(size: int, epochs: int) -> tuple[int, ...]:
    """The side in pixels of each epoch's images: small at first, at the end `size`.

    Small images cost a fraction of the time and teach most of what is to be learnt (progressive
    learning, Tan and Le 2021, https://arxiv.org/abs/2104.00298). Images that would become smaller
    than `SMALLEST` stay as they are.
    """
    small = round(SMALL * size / STRIDE) * STRIDE
    if small < SMALLEST:
        return (size,) * epochs
    small_epochs = int(SMALL_EPOCHS * epochs)
    return (small,) * small_epochs + (size,) * (epochs - small_epochs)


def _fit(
    model: keras.Model,
    train: AugmentedBatches,
    val: PlainBatches,
    epochs: range,
    run: Run,
    is_over: Callable[[], bool],
) -> None:
    """Train for these epochs, counted from 0, all with images of one side.

    Keras takes the shape of the first batches for that of all, so each side needs its own `fit`.
    """

    def save(epoch: int, logs: dict[str, float]) -> None:
        run.save(model, {"epoch": epoch + 1, **logs})
        model.stop_training = is_over()

    train.skip_to(epochs.start)
    model.fit(
        train,
        validation_data=val,
        initial_epoch=epochs.start,
        epochs=epochs.stop,
        shuffle=False,  # the batches bring their own order
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, _: train.skip_to(epoch), on_epoch_end=save
            ),
            keras.callbacks.TensorBoard(run.folder / "tensorboard", write_graph=False),
        ],
    )


def _compile(model: keras.Model, learning_rate: float, steps: int) -> None:
    warm_up = max(1, round(WARM_UP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warm_up),
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=WEIGHT_DECAY, global_clipnorm=GRADIENT_NORM
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy])
