"""Step 1: turn two folders of photos into arrays for training.

    python data_preprocessing.py                    # photos in data/raw/damaged and not-damaged
    python data_preprocessing.py --raw-dir ~/cars   # photos elsewhere; repeat for more folders
    python data_preprocessing.py --sample           # drawn cars; needs no photos and no network

Writes data/processed/: X_train.npy, y_train.npy and so on, photos.csv, rejected.csv, dataset.json.
This step makes every photo upright, RGB and the same size. The first layer of the model scales the
pixels as its backbone needs them.
"""

import argparse
import math
import sys
from pathlib import Path

from car_damage import paths
from car_damage.dataset.arrays import Row, check_replaceable
from car_damage.dataset.find import find_photos, skipped_files
from car_damage.dataset.prepare import Settings, prepare
from car_damage.dataset.source import Source, choose_source
from car_damage.dataset.split import SPLITS
from car_damage.decision import FEWEST_DECIDED, LABELS
from car_damage.errors import UserError, exit_code
from car_damage.evaluation.metrics import clopper_pearson
from car_damage.manifest import DatasetConfig
from car_damage.options import whole_number
from car_damage.photos import SIZE
from car_damage.training.earlier_model import manifest_beside
from car_damage.wording import counted, not_looked_at, printable

STORED = 1.5  # times the size: training crops the squares to as little as two thirds of their side
MOST_STORED = 448  # pixels: larger squares take more time than they are worth
FEW = 100  # photos of a class: with fewer, test results are very uncertain
ENOUGH = 300  # photos of a class: enough for useful test results
SAMPLE_SIZE = 96  # pixels: enough for drawn cars, which then train in a minute


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="data_preprocessing.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    folders = "folder that contains damaged/ and not-damaged/; repeat the option for more folders "
    folders += "(default: data/raw in the project)"
    where.add_argument(
        "--raw-dir", type=Path, action="append", default=[], metavar="DIR", help=folders
    )
    where.add_argument("--kaggle", action="store_true", help="always use the Kaggle set")
    where.add_argument("--sample", action="store_true", help="always use drawn sample cars")
    add = parser.add_argument
    out = "folder for the data set (default: data/processed in the project, or "
    add("--out", type=Path, metavar="DIR", help=out + "data/sample/processed for drawn cars)")
    size = f"side of the model's input image (default: {SIZE}; drawn cars: {SAMPLE_SIZE})"
    add("--size", type=whole_number(32, 1024), metavar="PIXELS", help=size)
    stored = (
        "side of the stored squares, which training crops "
        f"(default: {STORED} times --size, at most {MOST_STORED})"
    )
    add("--stored", type=whole_number(32, 2048), metavar="PIXELS", help=stored)
    crops = "close-ups to cut from each undamaged photo (default: %(default)s)"
    add("--close-ups", type=whole_number(0, 20), default=1, metavar="N", help=crops)
    add(
        "--split",
        type=whole_number(1, 98),
        nargs=3,
        default=(70, 15, 15),
        metavar=("TRAIN", "VAL", "TEST"),
        help="percentage of photos in each split (default: 70 15 15)",
    )
    seed = "random seed for splits and close-ups (default: %(default)s)"
    add("--seed", type=whole_number(0, 2**32 - 1), default=0, help=seed)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse the options, prepare the photos, and print the next command."""
    args = build_parser().parse_args(argv)
    folder = prepare_photos(args, source_of(args))
    is_default = folder.absolute() == paths.PROCESSED
    print("next: python model_training.py" + ("" if is_default else f" --data {folder}"))


def source_of(args: argparse.Namespace) -> Source:
    """Choose where the photos come from, without downloading or drawing any yet.

    Raises `UserError` for options that contradict each other.
    """
    if sum(args.split) != 100:
        raise UserError(
            f"--split {' '.join(map(str, args.split))} adds up to {sum(args.split)}. "
            "Choose three numbers that add up to 100."
        )
    return choose_source(args.raw_dir, args.kaggle, args.sample)


def photos_of(source: Source) -> list[Row]:
    """The photos of a source, or none if they must be downloaded or drawn first.

    Raises `UserError` like `find_photos`.
    """
    return find_photos(source.raw_dirs()) if source.is_here else []


def suit_weights(args: argparse.Namespace, weights: str | None) -> None:
    """Take sizes that no option sets from the earlier model that training will start from."""
    manifest = manifest_beside(weights)
    if manifest and args.size is None:
        args.size = manifest.size
        if args.stored is None and manifest.dataset:
            args.stored = manifest.dataset.stored


def prepare_photos(args: argparse.Namespace, source: Source) -> Path:
    """Make the data set that the options ask for, and return its folder."""
    size = args.size or (SAMPLE_SIZE if source.sample else SIZE)
    settings = Settings(
        size=size,
        stored=stored_side(size, args.stored),
        close_ups=args.close_ups,
        shares={split: share / 100 for split, share in zip(SPLITS, args.split, strict=True)},
        seed=args.seed,
        sample=source.sample,
    )
    folder = args.out or source.processed
    check_replaceable(folder)  # before anything is downloaded or drawn
    raw_dirs = source.raw_dirs()
    print_summary(folder, prepare(find_photos(raw_dirs), folder, settings))
    if passed_over := not_looked_at(skipped_files(raw_dirs)):
        print(passed_over)
    return folder


def stored_side(size: int, asked: int | None) -> int:
    """The side of the stored squares. Raises `UserError` if it would be smaller than the image."""
    if asked is not None and asked < size:
        raise UserError(f"--stored {asked} is smaller than --size {size}. Choose at least {size}.")
    return asked or max(size, min(MOST_STORED, round(STORED * size)))


def print_summary(folder: Path, config: DatasetConfig) -> None:
    """Print how many photos each split has, and which photos were left out."""
    name = printable(str(folder))
    print(f"\n{name}: squares of {config.stored} px for images of {config.size} px")
    print(f"{'':8}{'damaged':>10}{'not damaged':>14}{'close-ups':>12}")
    for split, counts in config.counts.items():
        print(f"{split:8}{counts.damaged:10,}{counts.not_damaged:14,}{counts.close_ups:12,}")
    copies = config.copies
    photos, groups = copies.photos_in_them, copies.groups_of_copies
    print(f"copies: {counted(photos, 'photo')} in {counted(groups, 'group')}")
    for reason, count in config.rejected.items():
        print(f"left out: {count} {reason} (see {printable(str(folder / 'rejected.csv'))})")
    for warning in (*few_of_a_class(config), too_few_to_decide(config)):
        if warning:
            print(warning)


def few_of_a_class(config: DatasetConfig) -> list[str]:
    """A warning for each class with fewer than `FEW` photos: how uncertain its test will be."""
    warnings = []
    enough_for_test = round(ENOUGH * config.shares["test"])
    for label in LABELS:
        photos = sum(getattr(counts, label) for counts in config.counts.values())
        tested = getattr(config.counts["test"], label)
        if photos < FEW:
            name = label.replace("_", " ")
            warnings.append(
                f"few photos: {photos} {name}, {tested} of them in the test set. Even if the model "
                f"classifies all {tested} correctly, it may still be wrong on up to "
                f"{_most_wrong(tested):.0%} of {name} cars. With {ENOUGH} photos, this limit falls "
                f"to {_most_wrong(enough_for_test):.0%}."
            )
    return warnings


def _most_wrong(tested: int) -> float:
    """The highest error rate that is still likely (95 %) after no mistake on `tested` photos."""
    return clopper_pearson(0.0, tested)[1]


def too_few_to_decide(config: DatasetConfig) -> str | None:
    """A warning if there are too few validation photos to choose a review band, or None."""
    photos = config.counts["val"].damaged + config.counts["val"].not_damaged
    if photos >= FEWEST_DECIDED:
        return None
    needed = math.ceil(FEWEST_DECIDED / config.shares["val"] / 10) * 10
    return (
        f"too few photos: there are {photos} for validation, and a review band needs "
        f"{FEWEST_DECIDED}. So the model will send every photo to a person. Collect about "
        f"{needed:,} photos in all."
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
