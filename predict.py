"""Classify photos on disk.

    python predict.py car.jpg                                   # one line on the screen
    python predict.py ~/cars --csv answers.csv                  # all photos below a folder
    python predict.py ~/cars --csv answers.csv --heatmaps seen  # show where the damage might be
    python predict.py car.jpg --model 20261122-1630-1f3a        # use another version

The output is CSV: path,prediction,probability,review,warnings,error. `probability` is the
probability of damage. `review` is yes if the model is unsure and a person should look at the photo.
`warnings` lists what makes an answer doubtful, separated by spaces: blurred, dark, overexposed,
low_resolution or unfamiliar (no car, or unlike the photos that the model was trained on). If a
photo cannot be used, `error` gives the reason. The other photos are still classified.
"""

import argparse
import io
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib import DummyTqdmFile

from car_damage import model_store
from car_damage.classify_files import (
    Row,
    check_csv,
    classify_files,
    find_photos,
    heatmap_paths,
    make_folder,
    skipped_files,
    write_rows,
    writing,
)
from car_damage.errors import exit_code
from car_damage.files import staged_file
from car_damage.options import add_model
from car_damage.progress import can_draw
from car_damage.wording import not_looked_at, printable

MANY = 20  # photos: with more, a progress bar is shown


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    what = "photo, or folder with photos at any depth"
    add("paths", type=Path, nargs="+", metavar="PHOTO_OR_FOLDER", help=what)
    add("--csv", type=Path, metavar="FILE", help="file for the answers (default: the screen)")
    add(
        "--heatmaps",
        type=Path,
        metavar="DIR",
        help="folder for heatmaps, which show where the damage might be: <name of the photo>.png, "
        "or <name>-2.png and so on if names repeat, in the order of the answers",
    )
    add_model(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse and check the options, then classify the photos."""
    args = build_parser().parse_args(argv)
    found = find_photos(args.paths)
    record = model_store.load_record(args.models, args.model)
    heatmaps = heatmap_paths(found, args.heatmaps) if args.heatmaps else [None] * len(found)
    if args.csv:
        check_csv(args.csv, found)
        make_folder(args.csv.parent)
    if args.heatmaps:
        make_folder(args.heatmaps)
    if record.manifest.sample:
        print(f"{record.version} is a sample model, trained on drawn cars only", file=sys.stderr)

    answers = classify_files(record, found, heatmaps)
    disable = len(found) <= MANY or not can_draw()
    rows = tqdm(answers, total=len(found), unit="photo", disable=disable)
    unusable = save(rows, args.csv) if args.csv else show(rows)
    if unusable:
        print(
            f"{unusable} of {len(found)} photos could not be used; see the column error",
            file=sys.stderr,
        )
    if passed_over := not_looked_at(skipped_files(args.paths, args.csv)):
        print(passed_over, file=sys.stderr)


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
