"""Train the version in use further, with the photos that people have labelled.

    python retrain.py                     # reads DATABASE_URL and KEEP_PHOTOS, like the service
    python retrain.py --min-photos 300    # wait until there are 300 new labels
    python retrain.py --raw-dir ~/cars    # the photos that the version learnt are not in data/raw
    python retrain.py --epochs 3          # other options go to run_pipeline.sh

Puts the labelled photos into data/raw/<class>/feedback, without those whose label looks wrong, and
runs both steps of run_pipeline.sh from the version in use. The new version replaces it only if it
is as good on the test photos, and on the labelled photos that were held out.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from car_damage import model_store, paths
from car_damage.dataset.split import SPLITS
from car_damage.errors import UserError, exit_code
from car_damage.files import only_one
from car_damage.model_store import Record
from car_damage.options import COSTS, whole_number
from car_damage.retraining import labels, photo_files
from car_damage.retraining.past import (
    FEEDBACK_LIST,
    FeedbackRow,
    check_training_photos,
    new_labels,
    write_list,
)
from car_damage.service import settings
from car_damage.wording import counted
from scripts import pipeline

ENOUGH = 100  # new labels: about 15 of them become test photos
BUSY = "Another retraining is running. Wait until it ends."
WAITING = "waiting"  # labelled photos that were not checked yet


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="retrain.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fewest = (
        "train only if at least N labels are new since the last retraining (default: %(default)s)"
    )
    parser.add_argument(
        "--min-photos", type=whole_number(1, 10**9), default=ENOUGH, metavar="N", help=fewest
    )
    folders = "folder with the photos that the version learnt; repeat the option for more folders "
    folders += "(default: data/raw in the project, which is always used)"
    parser.add_argument(
        "--raw-dir", type=Path, action="append", default=[], metavar="DIR", help=folders
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse the options, then retrain unless another retraining is running."""
    args, for_steps = build_parser().parse_known_args(argv)
    check_options(for_steps)
    database, kept = addresses()
    paths.RETRAINING.mkdir(parents=True, exist_ok=True)
    with only_one(paths.RETRAINING, BUSY):
        retrain(args, for_steps, database, kept)


def check_options(for_steps: Sequence[str]) -> None:
    """Raise `UserError` if the two steps do not know an option, or if it is `--models`."""
    models = pipeline.options_of_both(for_steps)[1].models
    if models:
        raise UserError(
            f"retrain.py trains the version in use in {paths.shown(paths.MODELS)} and cannot use "
            f"--models {models}. Remove the option."
        )


def addresses() -> tuple[str, str]:
    """Read DATABASE_URL and KEEP_PHOTOS. Raises `UserError` if one is missing."""
    chosen = settings.read(os.environ)
    if chosen.database_url is None or chosen.keep_photos is None:
        raise UserError(
            "Retraining needs labels and kept photos. Set DATABASE_URL and KEEP_PHOTOS as for the "
            "service."
        )
    return chosen.database_url, chosen.keep_photos


def retrain(args: argparse.Namespace, for_steps: Sequence[str], database: str, kept: str) -> None:
    """Add the labelled photos to data/raw and train a new version, unless few labels are new."""
    from car_damage.retraining.adding import add_labelled, lines_about  # loads scikit-learn

    models, raw = paths.shown(paths.MODELS), paths.shown(paths.RAW)
    labelled = labels.read(database)
    # First of all, because what follows may end the run.
    shutil.rmtree(paths.RETRAINING / WAITING, ignore_errors=True)  # of a killed run
    if gone := photo_files.delete_others(raw, labelled):
        print(f"deleted {counted(gone, 'photo')} in {raw} that somebody deleted or relabelled")
    record, raw_dirs = model_store.load_record(models), [raw, *args.raw_dir]
    check_training_photos(record, raw_dirs)
    new = new_labels(models, paths.RETRAINING, labelled)
    print(f"{counted(len(new), 'new label')} since the last retraining, {len(labelled):,} in all")
    if len(new) < args.min_photos:
        print(f"Nothing was trained: it takes {counted(args.min_photos, 'new label')}.")
        return
    rows = add_labelled(record, raw_dirs, labelled, kept, paths.RETRAINING / WAITING)
    print("\n".join(lines_about(rows)))
    train(record, [*options_from(record, raw_dirs), *for_steps], rows)


def options_from(record: Record, raw_dirs: Sequence[Path]) -> list[str]:
    """The options that go on from a version: its weights, splits, close-ups and costs.

    With the same splits, its test photos stay test photos.
    """
    manifest = record.manifest
    words = ["--weights", str(record.folder / model_store.KERAS_MODEL)]
    for folder in raw_dirs:
        words += ["--raw-dir", str(folder)]
    if data := manifest.dataset:
        percentages = [str(round(100 * data.shares[split])) for split in SPLITS]
        words += ["--split", *percentages, "--seed", str(data.seed)]
        words += ["--close-ups", str(data.close_ups)]
    if cost := manifest.metrics.cost:
        for name in COSTS:
            words += ["--cost-" + name.replace("_", "-"), str(getattr(cost.costs, name))]
    return words


def train(record: Record, words: Sequence[str], rows: Sequence[FeedbackRow]) -> None:
    """Run both steps, list the labelled photos, and print how to go back.

    The list is in the new version's folder, and also in data/retraining, in case the version is
    deleted because it was not better.
    """
    models = paths.shown(paths.MODELS)
    before = set(model_store.versions(models))
    try:
        pipeline.run(words)
    finally:  # a version may be complete although its report failed
        for version in set(model_store.versions(models)) - before:
            write_list(models / version, rows)
            write_list(paths.RETRAINING, rows)
    print(f"{paths.shown(paths.RETRAINING / FEEDBACK_LIST)} lists all labelled photos")
    if model_store.current(models) != record.version:
        print(f"\nTo return to {record.version}: {model_store.command(models, 'back')}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
