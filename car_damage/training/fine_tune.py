"""Phase 2 of LP-FT: fine-tune the top stages at a low learning rate."""

import math

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset
from car_damage.errors import UserError
from car_damage.training.batches import AugmentedBatches, PlainBatches
from car_damage.training.checkpoints import Run
from car_damage.training.epoch_lines import EpochLines

WEIGHT_DECAY = 1e-4
WARM_UP = 0.1  # of all steps: AdamW's second moments are noise at first
LABEL_SMOOTHING = 0.02  # some labels are wrong, so the model should not be too sure of any
GRADIENT_NORM = 1.0
AVERAGED = 0.1  # of all steps: how far back the average of the weights reaches


def fine_tune(
    model: keras.Model, dataset: Dataset, run: Run, resume: bool, made_up: bool = True
) -> None:
    """Train the trainable layers of `model` in place, and give it the averaged weights.

    `made_up` is whether some images are made up from others (`AugmentedBatches`).

    The number of epochs is fixed. The best epoch on photos of known sources is not the best one for
    other sources. Instead of early stopping, the weights are averaged during the run (Izmailov et
    al. 2018, https://arxiv.org/abs/1803.05407, here exponentially). Raises `UserError` if training
    diverges.
    """
    settings = run.settings
    train = AugmentedBatches(dataset.train, settings.batch_size, settings.seed, made_up)
    val = PlainBatches(dataset.val, settings.batch_size)
    _compile(model, settings.learning_rate, steps=len(train) * settings.epochs)
    done = run.restore(model) if resume else 0

    def save(epoch: int, logs: dict[str, float]) -> None:
        if not math.isfinite(logs["loss"]):
            raise UserError("Training diverged. Choose a lower --learning-rate.")
        run.save(model, {"epoch": epoch + 1, **logs})

    train.skip_to(done)
    model.fit(
        train,
        validation_data=val,
        initial_epoch=done,
        epochs=settings.epochs,
        shuffle=False,  # the batches are already shuffled
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, _: train.skip_to(epoch), on_epoch_end=save
            ),
            keras.callbacks.SwapEMAWeights(),  # validate the averaged weights
            keras.callbacks.TensorBoard(run.folder / "tensorboard", write_graph=False),
            EpochLines(settings.epochs),
        ],
    )
    model.optimizer.finalize_variable_values(model.trainable_variables)


def mix_in(model: keras.Model, before: list[np.ndarray], share: float) -> None:
    """Average each weight with its value `before`, which has the weight `share`.

    A mix of a good model and its fine-tuned version is better on photos unlike those of the
    fine-tuning (WiSE-FT, Wortsman et al. 2022, https://arxiv.org/abs/2109.01903).
    """
    pairs = zip(before, model.get_weights(), strict=True)
    model.set_weights([share * old + (1 - share) * new for old, new in pairs])


def _compile(model: keras.Model, learning_rate: float, steps: int) -> None:
    warm_up = max(1, round(WARM_UP * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warm_up),
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=WEIGHT_DECAY,
        global_clipnorm=GRADIENT_NORM,
        use_ema=True,
        ema_momentum=1 - 1 / max(1.0, AVERAGED * steps),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy])
