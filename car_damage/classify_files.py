"""Classify photo files into rows of CSV and draw heatmaps, on all cores and in bounded memory."""

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


def find_photos(paths: Sequence[Path]) -> list[Path]:
    """The files in `paths` and the photos in its folders, each once. Raises `UserError`."""
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"There is no photo or folder {path}. Check its name.")
        below = _photos_among(files_below(path)) if path.is_dir() else [path]
        if not below:
            skipped = not_looked_at(skipped_files([path], None))
            found_instead = f" ({skipped})" if skipped else ""
            raise UserError(f"No photos in {path}{found_instead}. Choose a folder with photos.")
        found += below
    return list(dict.fromkeys(found))


def skipped_files(paths: Sequence[Path], results: Path | None) -> Counter[str]:
    """Count the files in `paths` that are not photos, by reason; `results` is not counted.

    The keys are those of `wording.not_looked_at`.
    """
    below = {file for path in paths if path.is_dir() for file in files_below(path)}
    if results is not None:
        below = {file for file in below if file.resolve() != results.resolve()}
    return Counter(reason for file in below if (reason := why_skipped(file)))


def _photos_among(files: Iterable[Path]) -> list[Path]:
    """The files with a photo's suffix, sorted, without heatmaps that this program has drawn."""
    return sorted(path for path in files if not why_skipped(path) and not heatmap.is_drawn(path))


def heatmap_paths(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The path of each photo's heatmap. Raises `UserError` if one could replace a photo."""
    if folder.is_dir() and _photos_among(folder.iterdir()):
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


def check_csv(file: Path, paths: Sequence[Path]) -> None:
    """Raise `UserError` if `file` is a folder, or a photo that the answers would replace."""
    if file.is_dir():
        raise UserError(f"{file} is a folder. Choose a file for --csv.")
    is_read = file.exists() and file.resolve() in {path.resolve() for path in paths}
    if is_read or file.suffix.lower() in photos.SUFFIXES:
        raise UserError(f"--csv {file} is a photo. Choose another file, such as answers.csv.")


def make_folder(folder: Path) -> None:
    """Create a folder for results. Raises `UserError` if that fails."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def classify_files(
    record: Record, paths: Sequence[Path], heatmaps: Sequence[Path | None]
) -> Iterator[Row]:
    """Yield each photo's row in order, and write its heatmap to its path in `heatmaps`, if any."""
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
        # Decode again, larger: the answer must not depend on whether a heatmap is drawn.
        short, long = HEATMAP_SIDES
        png = heatmap.png(photos.shrink(photos.decode(data, short), long), answer.heatmap)
        with writing(target):
            target.write_bytes(png)
    return answer


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
