"""Step 1: photos in two folders become arrays that a model can be trained on.

    python data_preprocessing.py                    # photos in data/raw/damaged and not-damaged
    python data_preprocessing.py --raw-dir ~/cars   # photos elsewhere; may be given several times
    python data_preprocessing.py --sample           # drawn cars: needs no photos and no network

Writes data/processed/: X_train.npy, y_train.npy and so on, photos.csv, rejected.csv, dataset.json.
Normalising is split in two: photos are made upright, RGB and of one size here; the scaling that a
backbone wants is the first layer of the model.
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

STORED = 1.5  # times the size: training crops the squares, down to about two thirds of their side
MOST_STORED = 448  # pixels: larger ones cost more time than they bring
FEW = 100  # photos of a class: with fewer, a test says little
ENOUGH = 300  # photos of a class, for a test that says something
SAMPLE_SIZE = 96  # pixels: a drawn car says as much at this size, and trains in a minute


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="data_preprocessing.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group()
    folders = "folder with damaged/ and not-damaged/ below it; may be repeated (default: "
    folders += "data/raw in the project)"
    where.add_argument(
        "--raw-dir", type=Path, action="append", default=[], metavar="DIR", help=folders
    )
    where.add_argument("--kaggle", action="store_true", help="insist on the Kaggle set")
    where.add_argument("--sample", action="store_true", help="insist on drawn sample cars")
    add = parser.add_argument
    out = "folder for the data set (default: data/processed in the project, or "
    add("--out", type=Path, metavar="DIR", help=out + "data/sample/processed for drawn cars)")
    size = f"side of the model's image (default: {SIZE}; drawn cars: {SAMPLE_SIZE})"
    add("--size", type=whole_number(32, 1024), metavar="PIXELS", help=size)
    stored = (
        f"side of the squares to crop from (default: {STORED} times --size, at most {MOST_STORED})"
    )
    add("--stored", type=whole_number(32, 2048), metavar="PIXELS", help=stored)
    crops = "crops cut out of each undamaged photo (default: %(default)s)"
    add("--close-ups", type=whole_number(0, 20), default=1, metavar="N", help=crops)
    add(
        "--split",
        type=whole_number(1, 98),
        nargs=3,
        default=(70, 15, 15),
        metavar=("TRAIN", "VAL", "TEST"),
        help="shares in per cent (default: 70 15 15)",
    )
    seed = "of splits and crops (default: %(default)s)"
    add("--seed", type=whole_number(0, 2**32 - 1), default=0, help=seed)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse, work, and say what comes next."""
    args = build_parser().parse_args(argv)
    folder = prepare_photos(args, source_of(args))
    is_default = folder.absolute() == paths.PROCESSED
    print("next: python model_training.py" + ("" if is_default else f" --data {folder}"))


def source_of(args: argparse.Namespace) -> Source:
    """Where the photos come from; nothing is fetched or drawn yet.

    Raises `UserError` for an option that step 1 cannot follow.
    """
    if sum(args.split) != 100:
        raise UserError(f"--split {' '.join(map(str, args.split))} must sum to 100")
    return choose_source(args.raw_dir, args.kaggle, args.sample)


def photos_of(source: Source) -> list[Row]:
    """The photos of a source; none if they must be fetched or drawn first.

    Raises `UserError` as `find_photos` does.
    """
    return find_photos(source.raw_dirs()) if source.is_here else []


def suit_weights(args: argparse.Namespace, weights: str | None) -> None:
    """Let an earlier model that training will start from give the sizes that no option gives."""
    manifest = manifest_beside(weights)
    if manifest and args.size is None:
        args.size = manifest.size
        if args.stored is None and manifest.dataset:
            args.stored = manifest.dataset.stored


def prepare_photos(args: argparse.Namespace, source: Source) -> Path:
    """Do what the options ask for; return the folder of the data set."""
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
    check_replaceable(folder)  # before anything is fetched or drawn
    raw_dirs = source.raw_dirs()
    print_summary(folder, prepare(find_photos(raw_dirs), folder, settings))
    if passed_over := not_looked_at(skipped_files(raw_dirs)):
        print(passed_over)
    return folder


def stored_side(size: int, asked: int | None) -> int:
    """The side of the stored squares. Raises `UserError` if it would be smaller than the image."""
    if asked is not None and asked < size:
        raise UserError(
            f"--stored {asked} is smaller than the image: choose at least --size, {size}"
        )
    return asked or max(size, min(MOST_STORED, round(STORED * size)))


def print_summary(folder: Path, config: DatasetConfig) -> None:
    """A table of what went where, and what was left out."""
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
    """A warning for each class with fewer than `FEW` photos: what so few cannot show."""
    warnings = []
    enough_for_test = round(ENOUGH * config.shares["test"])
    for label in LABELS:
        photos = sum(getattr(counts, label) for counts in config.counts.values())
        tested = getattr(config.counts["test"], label)
        if photos < FEW:
            name = label.replace("_", " ")
            warnings.append(
                f"few photos: {photos} {name}, {tested} of them for the test. Even if the model "
                f"gets all {tested} right, it may be wrong on up to {_most_wrong(tested):.0%} of "
                f"{name} cars. With {ENOUGH} photos, the test could rule out more than "
                f"{_most_wrong(enough_for_test):.0%}"
            )
    return warnings


def _most_wrong(tested: int) -> float:
    """The share of mistakes that so many test photos without a mistake cannot rule out (95 %)."""
    return clopper_pearson(0.0, tested)[1]


def too_few_to_decide(config: DatasetConfig) -> str | None:
    """A sentence if the validation photos are too few to find answers that need no person."""
    photos = config.counts["val"].damaged + config.counts["val"].not_damaged
    if photos >= FEWEST_DECIDED:
        return None
    needed = math.ceil(FEWEST_DECIDED / config.shares["val"] / 10) * 10
    return (
        f"too few photos: there are {photos} for validation and {FEWEST_DECIDED} are needed, so "
        f"the model will send every answer to a person; collect about {needed:,} photos in all"
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
