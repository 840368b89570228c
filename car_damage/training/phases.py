"""Run both phases of LP-FT: fit the head, then fine-tune.

LP-FT is linear probing, then fine-tuning: Kumar et al. 2022, https://arxiv.org/abs/2202.10054.
"""

import keras
import numpy as np

from car_damage.dataset.arrays import Dataset, Split
from car_damage.evaluation.label_issues import find_label_issues, write_label_issues
from car_damage.training import linear_probe
from car_damage.training.checkpoints import Run
from car_damage.training.classifier import predicted_logits, trainable_from
from car_damage.training.fine_tune import fine_tune, mix_in
from car_damage.training.initial_weights import Start
from car_damage.training.sampling import sample_weights

FITTED = "fitted.npz"  # in a run's folder: the weights after phase 1


def train(start: Start, dataset: Dataset, run: Run, resume: bool) -> None:
    """Train the model of `start` in place; with `resume`, continue after `run`'s last epoch."""
    settings = run.settings
    before = start.model.get_weights()
    from_random = start.weights.source == "none"
    trainable_from(start.model, settings.unfreeze, from_random)
    resume = resume and bool(run.history())
    head_alone = None
    if not resume:
        run.start()
        if not (from_random and settings.epochs):  # a head on random features is of no use
            head_alone = _fit_head(start, dataset, run)
    if settings.epochs:
        print(f"phase 2: fine-tuning, starting at stage {settings.unfreeze}")
        if settings.soup:
            _fine_tune_soup(start.model, dataset, run, resume)
        else:
            fine_tune(start.model, dataset, run, resume)
        mix_in(start.model, before, settings.keep)
        after = log_loss(start.model, dataset.val)
        was = "" if head_alone is None else f" (before fine-tuning: {head_alone:.3f})"
        print(f"log loss on the validation photos: {after:.3f}{was}")


def _fine_tune_soup(model: keras.Model, dataset: Dataset, run: Run, resume: bool) -> None:
    """Fine-tune two models, the second one without made-up images, and average their weights.

    Both start from the same fitted head, so the average works, and is better on new sources than
    either ("model soups", Wortsman et al. 2022, https://arxiv.org/abs/2203.05482).
    """
    fitted = run.folder / FITTED
    if not resume:
        np.savez(fitted, *model.get_weights())
    fine_tune(model, dataset, run, resume)
    with_made_up = model.get_weights()
    with np.load(fitted) as weights:
        model.set_weights([weights[name] for name in weights.files])
    print("the second model of the soup, without made-up images")
    plain = run.part("plain")
    fine_tune(model, dataset, plain, resume and bool(plain.history()), made_up=False)
    mix_in(model, with_made_up, 0.5)


def log_loss(model: keras.Model, split: Split) -> float:
    """The log loss on the images of a split, in nats, weighted as in training."""
    towards_label = np.where(split.y == 1, 1.0, -1.0) * predicted_logits(model, split)
    return float(np.average(np.logaddexp(0.0, -towards_label), weights=sample_weights(split)))


def _fit_head(start: Start, dataset: Dataset, run: Run) -> float:
    """Run phase 1 and return the log loss on the validation photos.

    If the features are not random, they are also used to find labels that look wrong.
    """
    settings = run.settings
    print("phase 1: fitting the head on features of the frozen backbone")
    fitted = linear_probe.fit_head(start.model, dataset, settings.batch_size)
    print(f"log loss on the validation photos, with the head alone: {fitted.loss:.3f}")
    if start.weights.source != "none" and not settings.leave_out:
        issues = find_label_issues(dataset, fitted.features, fitted.probe, settings.seed)
        write_label_issues(run.folder, issues)
        print(f"labels that look wrong: {len(issues)} (the version will list them)")
    return fitted.loss
