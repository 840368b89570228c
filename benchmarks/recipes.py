"""Test a training recipe quickly on sources that were left out of training.

    python benchmarks/recipes.py --data data/processed --weights FILE --folds 1 4 --epochs 3
    python benchmarks/recipes.py ... --set batches.PATCH_CHANCE=0 fine_tune.LABEL_SMOOTHING=0.05

Trains a model for each of these folds of --cross-sources. Prints its ROC AUC on the fold's
photos, its accuracy for each source and class at a logit of 0, and its accuracy at home, on
validation photos of the sources it was trained on. `--set` changes constants of modules in
car_damage/training. Three epochs on three folds can distinguish recipes whose AUC differs by a
point or more. Smaller differences are chance.
"""

import argparse
import ast
import importlib
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from car_damage import paths
from car_damage.dataset.arrays import Split, load
from car_damage.dataset.split import SPLITS
from car_damage.errors import UserError, exit_code
from car_damage.evaluation.folds import deal_folds
from car_damage.evaluation.held_out_sources import leave_out
from car_damage.manifest import TrainingSettings


def change_constants(changes: list[str]) -> None:
    """Apply changes such as `batches.PATCH_CHANCE=0` to modules of car_damage.training."""
    for change in changes:
        name, _, value = change.partition("=")
        module_name, _, constant = name.partition(".")
        module = importlib.import_module(f"car_damage.training.{module_name}")
        if not hasattr(module, constant):
            raise UserError(f"car_damage/training/{module_name}.py has no constant {constant!r}")
        setattr(module, constant, ast.literal_eval(value))


def cells(split: Split, logits: np.ndarray) -> str:
    """Return the accuracy for each source and class at a logit of 0, as text."""
    sources = np.array([row.source for row in split.rows])
    found = []
    for source in np.unique(sources):
        for label, word in enumerate(("undamaged", "damaged")):
            chosen = (sources == source) & (split.y == label)
            if chosen.any():
                right = ((logits[chosen] > 0) == bool(label)).mean()
                found.append(f"{source} {word} {right:.1%}")
    return ", ".join(found)


def main() -> None:
    """Parse the options, then train and measure fold by fold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=paths.PROCESSED, metavar="DIR")
    parser.add_argument("--backbone", default="mobilenetv2")
    parser.add_argument("--weights", default="imagenet", metavar="SOURCE")
    parser.add_argument("--unfreeze", metavar="STAGE")
    parser.add_argument("--learning-rate", type=float, metavar="RATE")
    parser.add_argument("--epochs", type=int, default=3, metavar="N")
    parser.add_argument("--folds", type=int, nargs="+", default=[1], metavar="FOLD")
    parser.add_argument("--set", nargs="*", default=[], metavar="CONSTANT=VALUE")
    args = parser.parse_args()

    from car_damage.training import hardware, phases
    from car_damage.training.checkpoints import Run
    from car_damage.training.classifier import predicted_logits
    from car_damage.training.initial_weights import starting_model

    change_constants(args.set)
    dataset = load(args.data)
    folds = deal_folds([row for name in SPLITS for row in getattr(dataset, name).rows], None)
    hardware.set_up(seed=0)
    start = starting_model(args.backbone, args.weights, dataset.config.sample, paths.MODELS)
    initial = start.model.get_weights()
    settings = TrainingSettings(
        unfreeze=args.unfreeze or start.backbone.default_stage,
        epochs=args.epochs,
        learning_rate=args.learning_rate or start.backbone.learning_rate,
        batch_size=32,
        seed=0,
    )
    for number in args.folds:
        fold = leave_out(dataset, folds[number - 1])
        start.model.set_weights(initial)
        with tempfile.TemporaryDirectory() as folder:
            phases.train(start, fold, Run(Path(folder), start, settings, dataset.config), False)
        logits, home = (predicted_logits(start.model, split) for split in (fold.test, fold.val))
        photos = fold.val.of_kind("photo")
        at_home = ((home > 0) == (fold.val.y == 1))[photos].mean()
        auc = roc_auc_score(fold.test.y, logits)
        print(f"fold {number}: ROC AUC {auc:.4f}; {cells(fold.test, logits)}; home {at_home:.1%}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
