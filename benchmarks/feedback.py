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
import itertools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from car_damage import paths
from car_damage.dataset.arrays import Dataset, Row, load
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


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=paths.PROCESSED, metavar="DIR")
    parser.add_argument("--weights", required=True, metavar="MODEL.KERAS")
    parser.add_argument("--source", required=True)
    parser.add_argument("--without", nargs="+", default=[], metavar="SOURCE")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--epochs", type=int, default=2)
    return parser


def measured(model: Any, dataset: Dataset) -> str:
    """Return the figures for the new source's test photos and the known sources, as text."""
    from car_damage.training.classifier import predicted_logits

    test, known = dataset.test, dataset.val
    logits, at_home = (predicted_logits(model, split) for split in (test, known))
    balanced = balanced_accuracy_score(test.y, logits > 0)
    home = ((at_home > 0) == (known.y == 1))[known.of_kind("photo")].mean()
    auc = roc_auc_score(test.y, logits)
    return f"{balanced:.1%} balanced, ROC AUC {auc:.3f}, known sources {home:.1%}"


def train_and_measure(start: Any, dataset: Dataset, epochs: int) -> Iterator[tuple[float, str]]:
    """Continue training on a data set; yield the figures for each share in `KEEP`."""
    from car_damage.training import fine_tune, phases
    from car_damage.training.checkpoints import Run

    before = start.model.get_weights()
    settings = TrainingSettings(
        unfreeze=start.backbone.default_stage,
        epochs=epochs,
        learning_rate=start.backbone.learning_rate,
        batch_size=32,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), start, settings, dataset.config)
        phases.train(start, dataset, run, resume=False)
    after = start.model.get_weights()
    for keep in KEEP:
        start.model.set_weights(after)
        fine_tune.mix_in(start.model, before, keep)
        yield keep, measured(start.model, dataset)
    start.model.set_weights(before)


def main() -> None:
    """Parse the options, measure the model, then train and measure for each number of labels."""
    args = build_parser().parse_args()

    from car_damage.training import hardware
    from car_damage.training.classifier import predicted_logits
    from car_damage.training.initial_weights import starting_model

    dataset = rearranged(
        load(args.data), lambda name, row: None if row.source in args.without else name
    )
    arriving, tested = arriving_and_tested(leave_out(dataset, [args.source]).test.rows)
    if len(arriving) < max(args.labels):
        raise UserError(f"only {len(arriving)} photos of {args.source} can get a label")
    hardware.set_up(seed=0)
    start = starting_model(None, args.weights, dataset.config.sample, paths.MODELS)
    pool = with_feedback(dataset, args.source, set(), arriving).test
    doubt = np.abs(predicted_logits(start.model, pool))
    pool_paths = [row.path for row in pool.rows]
    without_labels = with_feedback(dataset, args.source, set(), tested)
    print(f"0 labels: {measured(start.model, without_labels)}", flush=True)
    for count, how in itertools.product(args.labels, (BY_CHANCE, BY_DOUBT)):
        labelled = chosen(pool_paths, doubt, count, how)
        changed = with_feedback(dataset, args.source, labelled, tested)
        for keep, found in train_and_measure(start, changed, args.epochs):
            print(f"{count} labels {how}, --keep {keep}: {found}", flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
