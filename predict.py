"""Classify photos on disk.

    python predict.py car.jpg                                   # one line on the screen
    python predict.py ~/cars --csv answers.csv                  # all photos below a folder
    python predict.py ~/cars --csv answers.csv --heatmaps seen  # show where the damage might be
    python predict.py car.jpg --model 20261122-1630-1f3a        # use another version
    python predict.py --list photos.txt --csv answers.csv       # the photos that a file lists
    python predict.py s3://photos/2026/ --out s3://answers/2026 # an archive, in blocks

The output is CSV: path,prediction,probability,review,warnings,error. `probability` is the
probability of damage. `review` is yes if the model is unsure and a person should look at the photo.
`warnings` lists what makes an answer doubtful, separated by spaces: blurred, dark, overexposed,
low_resolution or unfamiliar (no car, or unlike the photos that the model was trained on). If a
photo cannot be used, `error` gives the reason. The other photos are still classified.

For archives, --out writes a Parquet file for each 500 photos. A run that was stopped goes on if you
start it again. --cluster uses many machines. docs/batch.md says more.
"""

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice, repeat
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

from car_damage import model_store
from car_damage.batch import run
from car_damage.batch.photo_list import PhotoList, listed
from car_damage.batch.sources import photo_names
from car_damage.classify_files import (
    Row,
    check_csv,
    classify_files,
    heatmap_paths,
    make_folder,
    write_rows,
    writing,
)
from car_damage.errors import UserError, exit_code
from car_damage.files import staged_file
from car_damage.options import add_model
from car_damage.progress import can_draw
from car_damage.wording import not_looked_at, printable

MANY = 20  # photos: with more, a progress bar is shown
SLOW = 2  # seconds of listing photos: then it is shown


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    what = "photo, folder with photos at any depth, or URL such as s3://photos/2026/"
    add("places", nargs="*", metavar="PHOTO_OR_FOLDER", help=what)
    what = "text file with a path or URL on each line; - is the standard input"
    add("--list", metavar="FILE", dest="lists", action="append", default=[], help=what)
    add("--csv", type=Path, metavar="FILE", help="file for the answers (default: the screen)")
    add(
        "--heatmaps",
        type=Path,
        metavar="DIR",
        help="folder for heatmaps, which show where the damage might be: <name of the photo>.png, "
        "or <name>-2.png and so on if names repeat, in the order of the answers",
    )
    add_model(parser)
    add_archive(parser)
    return parser


def add_archive(parser: argparse.ArgumentParser) -> None:
    """Add the options for many photos."""
    add = parser.add_argument_group("archives of many photos").add_argument
    what = "folder or URL for Parquet files, each with the answers for 500 photos"
    add("--out", metavar="FOLDER_OR_URL", help=what)
    add("--embeddings", action="store_true", help="also write the model's features of each photo")
    what = (
        "use a Ray cluster: `local` starts one on this machine, `auto` joins the one that this "
        "machine belongs to"
    )
    add("--cluster", metavar="local|auto|ADDRESS", help=what)


def main(argv: list[str] | None = None) -> None:
    """Parse and check the options, then classify the photos."""
    args = build_parser().parse_args(argv)
    check_options(args)
    skipped: Counter[str] = Counter()
    names = checked(photo_names(args.places, args.lists, skipped, args.csv))
    record = model_store.load_record(args.models, args.model)
    if record.manifest.sample:
        print(f"{record.version} is a sample model, trained on drawn cars only", file=sys.stderr)
    if args.out:
        worker = run.prepare_worker(args.out, record, args.embeddings, args.cluster)
        with shown_list(names) as photos:
            count, unusable = run.classify_missing(photos, worker, args.cluster)
    else:
        with shown_list(names) as photos:
            count, unusable = photos.count, classify_to_csv(args, photos, record)
    if unusable:
        text = f"{unusable} of {count} photos could not be used; see the column error"
        print(text, file=sys.stderr)
    if passed_over := not_looked_at(skipped):
        print(passed_over, file=sys.stderr)


def check_options(args: argparse.Namespace) -> None:
    """Raise `UserError` if options are missing or contradict each other."""
    if not args.places and not args.lists:
        raise UserError("No photos are named. Name a photo, a folder, a URL or --list FILE.")
    if args.out and (args.csv or args.heatmaps):
        raise UserError("--out writes Parquet files. Leave out --csv and --heatmaps.")
    if not args.out and (args.cluster or args.embeddings):
        raise UserError("--cluster and --embeddings need --out FOLDER_OR_URL.")


def checked(names: Iterator[str]) -> Iterator[str]:
    """Find the first photo now, so that a wrong place is refused before anything is written."""
    return chain(list(islice(names, 1)), names)


@contextmanager
def shown_list(names: Iterator[str]) -> Iterator[PhotoList]:
    """List all photos, and show the progress if that takes long."""
    disable = not can_draw()
    with listed(tqdm(names, "listing", unit="photo", delay=SLOW, disable=disable)) as photos:
        yield photos


def classify_to_csv(args: argparse.Namespace, photos: PhotoList, record: model_store.Record) -> int:
    """Write the rows to the file or the screen, and return how many have an error."""
    heatmaps: Iterable[Path | None] = repeat(None)
    if args.heatmaps:
        heatmaps = heatmap_paths(map(Path, photos), args.heatmaps)
    if args.csv:
        check_csv(args.csv, photos)
        make_folder(args.csv.parent)
    if args.heatmaps:
        make_folder(args.heatmaps)
    disable = photos.count <= MANY or not can_draw()
    answers = classify_files(record, photos, heatmaps)
    rows = tqdm(answers, total=photos.count, unit="photo", disable=disable)
    return save(rows, args.csv) if args.csv else show(rows)


def save(rows: Iterable[Row], file: Path) -> int:
    """Write the rows and replace `file` once all are written. Return how many failed."""
    with writing(file), staged_file(file) as partial_file:
        return write_rows(rows, partial_file)


def show(rows: Iterable[Row]) -> int:
    """Print the rows as they come, with control characters escaped; return how many failed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # Windows' default for pipes lacks many letters
    rows = (replace(row, path=printable(row.path)) for row in rows)
    return write_rows(rows, DummyTqdmFile(sys.stdout))  # keeps the progress bar whole


if __name__ == "__main__":
    sys.exit(exit_code(main))
