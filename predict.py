"""Classify photos on disk with the current model, on all cores and without TensorFlow.

    python predict.py car.jpg                                   # one line on the screen
    python predict.py ~/cars --csv answers.csv                  # all photos below a folder
    python predict.py ~/cars --csv answers.csv --heatmaps seen  # where the model looks, as pictures
    python predict.py car.jpg --model 20261122-1630-1f3a        # another version than the current

Answers are CSV, on the screen too: path,prediction,probability,review,warnings,error. The
probability is that of damage; `review` is yes where it is too unsure to go without a person. What
makes an answer doubtful stands in `warnings`, separated by spaces: blurred, dark, overexposed,
low_resolution, or unfamiliar, which is no car or unlike those that the model learnt from. A photo
that cannot be used has the reason in `error`, and stops nothing.
"""

import argparse
import csv
import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import cv2
from tqdm import tqdm

from car_damage import heatmap, model_store, paths, photos
from car_damage.errors import UserError, exit_code
from car_damage.files import write_text
from car_damage.parallel import map_in_order
from car_damage.predictor import Answer, Predictor

MANY = 20  # photos: beyond it a progress bar is shown
UNREADABLE = "unreadable"  # the error of a file that the system does not let us read
OVERLAY_SIDE = 640  # pixels: the short side that a drawn heatmap has at least, if the photo has


@dataclass(frozen=True)
class Row:
    """A line of the CSV file."""

    path: str
    prediction: str = ""
    probability: str = ""
    review: str = ""  # yes or no
    warnings: str = ""
    error: str = ""


COLUMNS = [column.name for column in fields(Row)]


def build_parser() -> argparse.ArgumentParser:
    """The options of `predict.py`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("paths", type=Path, nargs="+", metavar="PHOTO_OR_FOLDER")
    add("--csv", type=Path, metavar="FILE", help="where the answers go (default: the screen)")
    add(
        "--heatmaps",
        type=Path,
        metavar="DIR",
        help="draw what speaks for damage over each photo, as DIR/<name of the photo>.png "
        "(<name>-2.png and so on where names repeat, in the order of the answers)",
    )
    add("--model", metavar="VERSION", help="default: the current version")
    models = paths.shown(paths.MODELS)
    add("--models", type=Path, default=models, metavar="DIR", help="default: %(default)s")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Parse, check, then work."""
    args = build_parser().parse_args(argv)
    found = find_photos(args.paths)
    targets = overlay_paths(found, args.heatmaps) if args.heatmaps else [None] * len(found)
    record = model_store.load_record(args.models, args.model)
    if record.about.get("sample"):
        print(f"{record.version} is a sample model: it only knows drawn cars", file=sys.stderr)
    make_room(args.csv, args.heatmaps)

    jobs = zip(found, targets, strict=True)
    answers = map_in_order(row_maker(record), jobs)
    disable = None if len(found) > MANY else True  # None: shown only where stderr is a terminal
    rows = tqdm(answers, total=len(found), unit="photo", disable=disable)
    unusable = print_rows(rows) if args.csv is None else save_rows(rows, args.csv)
    if unusable:
        print(
            f"{unusable} of {len(found)} photos could not be used: see the column error",
            file=sys.stderr,
        )


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and all photos below the folders, sorted; each only once."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no photo or folder {path}")
        below = photos_below(path) if path.is_dir() else [path]
        if not below:
            raise UserError(f"there is no photo in {path}")
        found += below
    return list(dict.fromkeys(found))


def photos_below(folder: Path) -> list[Path]:
    """Files that end like photos, at any depth, whatever the case."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in photos.SUFFIXES)
    return sorted(path for path in files if path.is_file())


def overlay_paths(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Where each photo's heatmap goes, no two to one place.

    Raises `UserError` when photos lie in that folder: a heatmap could replace one of them.
    """
    if any(parent.resolve() == folder.resolve() for parent in {path.parent for path in paths}):
        raise UserError(f"photos lie in {folder}: give --heatmaps another folder")
    taken: set[str] = set()
    return [folder / f"{unused_name(path.stem, taken)}.png" for path in paths]


def unused_name(stem: str, taken: set[str]) -> str:
    """`stem`, or the first of `stem`-2, `stem`-3 … that is not taken; takes it.

    Case does not tell names apart: it does not on Windows and macOS.
    """
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return name


def make_room(csv_file: Path | None, heatmaps: Path | None) -> None:
    """Make the folders that results go to, so that what cannot be written is told at once."""
    if csv_file is not None:
        if csv_file.is_dir():
            raise UserError(f"{csv_file} is a folder: give --csv a file")
        with writing(csv_file):
            csv_file.parent.mkdir(parents=True, exist_ok=True)
    if heatmaps is not None:
        with writing(heatmaps):
            heatmaps.mkdir(parents=True, exist_ok=True)


def row_maker(record: model_store.Record) -> Callable[[tuple[Path, Path | None]], Row]:
    """What turns a photo's path, and that of its heatmap or None, into a row; for many threads."""
    of_this_thread = threading.local()  # an interpreter serves one thread at a time

    def make_row(job: tuple[Path, Path | None]) -> Row:
        if not hasattr(of_this_thread, "predictor"):
            of_this_thread.predictor = Predictor(record)
        path, target = job
        try:
            answer = classify(of_this_thread.predictor, path, target)
        except photos.UnusablePhoto as error:
            return Row(as_text(path), error=error.reason)
        except OSError:
            return Row(as_text(path), error=UNREADABLE)
        return Row(
            as_text(path),
            answer.prediction,
            f"{answer.probability:.4f}",
            "yes" if answer.review else "no",
            " ".join(answer.warnings),
        )

    return make_row


def as_text(path: Path) -> str:
    """The path as valid Unicode, also where a file name is not."""
    return os.fsencode(path).decode("utf-8", "replace")


def classify(predictor: Predictor, path: Path, target: Path | None) -> Answer:
    """Answer one photo, and draw its heatmap to `target` unless that is None.

    Raises `OSError` when the photo cannot be read, `UnusablePhoto` when it cannot be used.
    """
    data = path.read_bytes()
    size, how = predictor.record.about["size"], predictor.record.about["fit"]
    answer = predictor.predict(photos.decode(data, at_least=size))
    if target is not None:
        # Decoded anew: the answer must not depend on whether a picture is drawn.
        larger = photos.decode(data, at_least=OVERLAY_SIDE)
        write_png(target, heatmap.overlay(larger, answer.heatmap, size, how))
    return answer


def write_png(target: Path, photo: photos.Photo) -> None:
    """Write a photo as PNG. Not by `cv2.imwrite`, which on Windows fails on paths beyond ASCII."""
    png = cv2.imencode(".png", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))[1]
    with writing(target):
        target.write_bytes(png.tobytes())


def print_rows(rows: Iterable[Row]) -> int:
    """Print a CSV line for each row as it comes; return how many hold an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # a pipe on Windows lacks letters of many names
    tqdm.write(",".join(COLUMNS))  # unlike `print`, it steps round a progress bar
    unusable = 0
    for row in rows:
        tqdm.write(csv_lines([row]).rstrip("\n"))
        unusable += bool(row.error)
    return unusable


def save_rows(rows: Iterable[Row], target: Path) -> int:
    """Write `target` once all rows are there; return how many hold an error."""
    kept = list(rows)
    with writing(target):
        write_text(target, ",".join(COLUMNS) + "\n" + csv_lines(kept))
    return sum(bool(row.error) for row in kept)


def csv_lines(rows: Iterable[Row]) -> str:
    """The rows as lines of CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(astuple(row) for row in rows)
    return text.getvalue()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a forbidden folder and the like into a `UserError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error


if __name__ == "__main__":
    sys.exit(exit_code(main))
