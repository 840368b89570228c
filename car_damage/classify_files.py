"""Photo files to rows of CSV: find, classify and draw them on all cores, in bounded memory."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TextIO

from car_damage import heatmap, photos
from car_damage.errors import UserError
from car_damage.folders import files_below, why_skipped
from car_damage.model_store import Record
from car_damage.parallel import map_in_order, per_thread
from car_damage.predictor import Prediction, Predictor
from car_damage.wording import not_looked_at

HEATMAP_SIDES = (640, 1280)  # pixels: the short side at least, and the long side at most


@dataclass(frozen=True)
class Row:
    """A line of the CSV file."""

    path: str
    prediction: str = ""
    probability: str = ""
    review: str = ""  # yes or no
    warnings: str = ""
    error: str = ""


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """The files in `paths` and the photos below its folders, each once. Raises `UserError`."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"there is no photo or folder {path}")
        below = _photos_among(files_below(path)) if path.is_dir() else [path]
        if not below:
            skipped = not_looked_at(skipped_files([path], None))
            raise UserError(f"there is no photo in {path}" + (f" ({skipped})" if skipped else ""))
        found += below
    return list(dict.fromkeys(found))


def skipped_files(paths: Sequence[Path], results: Path | None) -> Counter[str]:
    """How many files below the folders in `paths` are not photos, by why; `results` is not counted.

    The keys are as `wording.not_looked_at` takes them.
    """
    below = {file for path in paths if path.is_dir() for file in files_below(path)}
    if results is not None:
        below = {file for file in below if file.resolve() != results.resolve()}
    return Counter(reason for file in below if (reason := why_skipped(file)))


def _photos_among(files: Iterable[Path]) -> list[Path]:
    """Files that end like photos in any case, sorted, except heatmaps that were drawn here."""
    return sorted(path for path in files if not why_skipped(path) and not heatmap.is_drawn(path))


def heatmap_paths(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Where each photo's heatmap goes. Raises `UserError` if one could replace a photo."""
    if folder.is_dir() and _photos_among(folder.iterdir()):
        raise UserError(f"there are photos in {folder}: give --heatmaps another folder")
    taken: set[str] = set()
    return [folder / f"{_unused_name(path.stem, taken)}.png" for path in paths]


def _unused_name(stem: str, taken: set[str]) -> str:
    """Take the first free of `stem`, `stem`-2 and so on; ignores case, as Windows and macOS do."""
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return name


def check_csv(file: Path, paths: Sequence[Path]) -> None:
    """Raise `UserError` if `file` is a folder, or a photo that the answers would replace."""
    if file.is_dir():
        raise UserError(f"{file} is a folder: give --csv a file")
    is_read = file.exists() and file.resolve() in {path.resolve() for path in paths}
    if is_read or file.suffix.lower() in photos.SUFFIXES:
        raise UserError(f"--csv {file} names a photo: name another file, such as answers.csv")


def make_folder(folder: Path) -> None:
    """Make a folder for results. Raises `UserError` if that fails."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def classify_files(
    record: Record, paths: Sequence[Path], heatmaps: Sequence[Path | None]
) -> Iterator[Row]:
    """Yield each photo's row, in order; draw its heatmap to the path in `heatmaps` unless None."""
    predictor = per_thread(lambda: Predictor(record))
    jobs = zip(paths, heatmaps, strict=True)
    return map_in_order(lambda job: _row(predictor(), *job), jobs)


def _row(predictor: Predictor, path: Path, target: Path | None) -> Row:
    name = os.fsencode(path).decode("utf-8", "replace")  # valid Unicode even if the path is not
    try:
        answer = _answer(predictor, path, target)
    except photos.UnusablePhoto as error:
        return Row(name, error=error.reason)
    except OSError:
        return Row(name, error="unreadable")
    return Row(
        name,
        answer.label,
        f"{answer.probability:.4f}",
        "yes" if answer.review else "no",
        " ".join(answer.warnings),
    )


def _answer(predictor: Predictor, path: Path, target: Path | None) -> Prediction:
    data = path.read_bytes()
    answer = predictor.predict(photos.decode(data, at_least=predictor.record.manifest.size))
    if target is not None:
        # Decoded again, so that an answer does not depend on whether a picture is drawn
        short, long = HEATMAP_SIDES
        png = heatmap.png(photos.shrink(photos.decode(data, short), long), answer.heatmap)
        with writing(target):
            target.write_bytes(png)
    return answer


def write_rows(rows: Iterable[Row], file: TextIO) -> int:
    """Write a heading and each row as a line of CSV as it comes; return how many have an error."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow(column.name for column in fields(Row))
    unusable = 0
    for row in rows:
        table.writerow(astuple(row))
        unusable += bool(row.error)
    return unusable


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a forbidden folder and the like into a `UserError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
