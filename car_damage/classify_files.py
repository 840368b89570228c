"""Classify photo files into rows of CSV and draw heatmaps, on all cores and in bounded memory."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import TextIO

from car_damage import heatmap, photos
from car_damage.batch.answers import answer, read_photo
from car_damage.errors import UserError
from car_damage.folders import why_skipped
from car_damage.model_store import Record
from car_damage.parallel import map_in_order, per_thread
from car_damage.predictor import Prediction, Predictor

HEATMAP_SIDES = (640, 1280)  # pixels: minimum of the short side, maximum of the long side


@dataclass(frozen=True)
class Row:
    """A line of the CSV file."""

    path: str
    prediction: str = ""
    probability: str = ""
    review: str = ""  # yes or no
    warnings: str = ""
    error: str = ""


def heatmap_paths(paths: Iterable[Path], folder: Path) -> list[Path]:
    """The path of each photo's heatmap. Raises `UserError` if one could replace a photo."""
    if folder.is_dir() and any(
        not why_skipped(path) and not heatmap.is_drawn(path) for path in folder.iterdir()
    ):
        raise UserError(f"{folder} contains photos. Choose another folder for --heatmaps.")
    taken: set[str] = set()
    return [folder / f"{_unused_name(path.stem, taken)}.png" for path in paths]


def _unused_name(stem: str, taken: set[str]) -> str:
    """Take the first unused of `stem`, `stem`-2 and so on, without regard to case."""
    name, number = stem, 1
    while name.casefold() in taken:  # Windows and macOS ignore case
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return name


def check_csv(file: Path, names: Iterable[str]) -> None:
    """Raise `UserError` if `file` is a folder, or a photo that the answers would replace."""
    if file.is_dir():
        raise UserError(f"{file} is a folder. Choose a file for --csv.")
    is_read = file.exists() and any(Path(name).resolve() == file.resolve() for name in names)
    if is_read or file.suffix.lower() in photos.SUFFIXES:
        raise UserError(f"--csv {file} is a photo. Choose another file, such as answers.csv.")


def make_folder(folder: Path) -> None:
    """Create a folder for results. Raises `UserError` if that fails."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def classify_files(
    record: Record, names: Iterable[str], heatmaps: Iterable[Path | None]
) -> Iterator[Row]:
    """Yield each photo's row in order, and write its heatmap to its path in `heatmaps`, if any."""
    predictor = per_thread(lambda: Predictor(record))
    jobs = zip(names, heatmaps, strict=False)  # without heatmaps, there is None without end
    return map_in_order(lambda job: _row(predictor(), *job), jobs)


def _row(predictor: Predictor, name: str, target: Path | None) -> Row:
    read = cache(partial(read_photo, name))  # once, because the file may change or disappear
    found = answer(predictor, name, read)
    if found.prediction is None:
        return Row(found.path, error=found.error)
    if target is not None:
        _draw(read(), found.prediction, target)
    return Row(
        found.path,
        found.prediction.label,
        f"{found.prediction.probability:.4f}",
        "yes" if found.prediction.review else "no",
        " ".join(found.prediction.warnings),
    )


def _draw(data: bytes, prediction: Prediction, target: Path) -> None:
    # Decode again, larger: the answer must not depend on whether a heatmap is drawn.
    short, long = HEATMAP_SIDES
    png = heatmap.png(photos.shrink(photos.decode(data, short), long), prediction.heatmap)
    with writing(target):
        target.write_bytes(png)


def write_rows(rows: Iterable[Row], file: TextIO) -> int:
    """Write a heading and each row as CSV as it comes; return how many rows have an error."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow(column.name for column in fields(Row))
    unusable = 0
    for row in rows:
        table.writerow(astuple(row))
        unusable += bool(row.error)
    return unusable


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors such as a full disk or a missing permission into a `UserError` on `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot write {path} ({reason}). Choose another place.") from error
