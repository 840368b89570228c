"""Measure what labelled photos of a new source bring, chosen at random or by the model's doubt.

    python model_training.py --backbone mobilenetv2 --weights FILE --leave-out auction-us
    python benchmarks/feedback.py --weights models/<that version>/model.keras --source auction-us

The model has never seen the source. A third of its photos, in whole runs of neighbours, is the
test. The others arrive in service: some of them get a label, and training continues with them from
the model, as `retrain.py` does it. Those with the most doubt have a probability nearest to 0.5.
Prints, for each number of labels, the share of both classes of the new source that is classified
correctly at a logit of 0 (balanced), its ROC AUC, and the accuracy on validation photos of the
sources that the model knew, which should not fall by more than a point. Sources after `--without`,
which the model has never seen either, are not used at all.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from car_damage import paths
from car_damage.dataset.arrays import Dataset, Row, Split, load
from car_damage.dataset.views import rearranged
from car_damage.errors import UserError, exit_code
from car_damage.evaluation.held_out_sources import leave_out
from car_damage.manifest import TrainingSettings

FEEDBACK = "feedback"  # the source of labelled photos
KEEP = (0.0, 0.5)  # shares of the earlier model's weights that are mixed in
BY_CHANCE, BY_DOUBT = "at random", "by doubt"


def arriving_and_tested(rows: list[Row]) -> tuple[set[str], set[str]]:
    """Divide photos by their groups: paths of the photos that arrive, and of the test."""
    groups = sorted({row.group for row in rows})
    np.random.default_rng(0).shuffle(groups)
    tested = set(groups[::3])
    first = {row.path for row in rows if row.group not in tested}
    return first, {row.path for row in rows if row.group in tested}


def with_feedback(dataset: Dataset, source: str, labelled: set[str], tested: set[str]) -> Dataset:
    """Return the data set with the labelled photos in training and the tested ones as its test."""

    def split_of(name: str, row: Row) -> str | None:
        if row.path in tested:
            return "test"
        if row.path in labelled:
            return "train"
        return None if row.source == source or name == "test" else name

    return _renamed(rearranged(dataset, split_of), labelled)


def _renamed(dataset: Dataset, labelled: set[str]) -> Dataset:
    rows = [
        replace(row, source=FEEDBACK) if row.path in labelled else row for row in dataset.train.rows
    ]
    return replace(dataset, train=replace(dataset.train, rows=rows))


def chosen(paths_: list[str], doubt: np.ndarray, count: int, how: str) -> set[str]:
    """Return the paths that get a label."""
    order = np.random.default_rng(1).permutation(len(paths_))
    if how == BY_DOUBT:
        order = np.argsort(doubt)
    return {paths_[place] for place in order[:count]}


def main() -> None:
    """Parse the options, measure the model, then train and measure for each number of labels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=paths.PROCESSED, metavar="DIR")
    parser.add_argument("--weights", required=True, metavar="MODEL.KERAS")
    parser.add_argument("--source", required=True)
    parser.add_argument("--without", nargs="+", default=[], metavar="SOURCE")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()

    from car_damage.training import fine_tune, hardware, phases
    from car_damage.training.checkpoints import Run
    from car_damage.training.classifier import predicted_logits
    from car_damage.training.initial_weights import starting_model

    dataset = rearranged(
        load(args.data), lambda name, row: None if row.source in args.without else name
    )
    rows = leave_out(dataset, [args.source]).test.rows
    arriving, tested = arriving_and_tested(rows)
    if len(arriving) < max(args.labels):
        raise UserError(f"only {len(arriving)} photos of {args.source} can get a label")
    hardware.set_up(seed=0)
    start = starting_model(None, args.weights, dataset.config.sample, paths.MODELS)
    before = start.model.get_weights()
    settings = TrainingSettings(
        unfreeze=start.backbone.default_stage,
        epochs=args.epochs,
        learning_rate=start.backbone.learning_rate,
        batch_size=32,
        seed=0,
    )

    def measured(split: Split, known: Split) -> str:
        logits, at_home = (predicted_logits(start.model, part) for part in (split, known))
        balanced = balanced_accuracy_score(split.y, logits > 0)
        home = ((at_home > 0) == (known.y == 1))[known.of_kind("photo")].mean()
        auc = roc_auc_score(split.y, logits)
        return f"{balanced:.1%} balanced, ROC AUC {auc:.3f}, known sources {home:.1%}"

    plain = with_feedback(dataset, args.source, set(), tested)
    pool = with_feedback(dataset, args.source, set(), arriving).test
    doubt = np.abs(predicted_logits(start.model, pool))
    pool_paths = [row.path for row in pool.rows]
    print(f"0 labels: {measured(plain.test, plain.val)}", flush=True)
    for count in args.labels:
        for how in (BY_CHANCE, BY_DOUBT):
            labelled = chosen(pool_paths, doubt, count, how)
            changed = with_feedback(dataset, args.source, labelled, tested)
            start.model.set_weights(before)
            with tempfile.TemporaryDirectory() as folder:
                run = Run(Path(folder), start, settings, dataset.config)
                phases.train(start, changed, run, resume=False)
            after = start.model.get_weights()
            for keep in KEEP:
                start.model.set_weights(after)
                fine_tune.mix_in(start.model, before, keep)
                found = measured(changed.test, changed.val)
                print(f"{count} labels {how}, --keep {keep}: {found}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
