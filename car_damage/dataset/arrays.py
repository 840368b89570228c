"""The data set on disk, `data/processed/`: step 1 writes it, step 2 reads it."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from car_damage.dataset.split import SPLITS
from car_damage.errors import UserError
from car_damage.files import LITTER, sha256_of
from car_damage.manifest import DatasetConfig, validated
from car_damage.photos import Photo, fit

CONFIG = "dataset.json"
FILES = ("photos.csv", "rejected.csv", *(f"{one}_{split}.npy" for split in SPLITS for one in "Xy"))
Line = TypeVar("Line")
AGAIN = "Run python data_preprocessing.py again."


@dataclass(frozen=True)
class Row:
    """A line of `photos.csv`: the photo behind an image. Step 1 fills in the fields one by one."""

    split: str = ""
    row: int = -1  # in the split's arrays; before the splits are known, among all usable photos
    label: str = ""
    kind: str = "photo"  # or `close_up`: a crop of the photo in the other columns
    path: str = ""
    source: str = ""  # where the photo comes from
    group: str = ""
    width: int = 0  # pixels, in the upright photo
    height: int = 0
    sha256: str = ""
    phash: str = ""  # `photos.csv` has only the 48 digits of the whole photo


@dataclass(frozen=True)
class RejectedRow:
    """A line of `rejected.csv`: a photo that was left out, and a stable word for the reason."""

    path: str
    label: str
    reason: str


class Images:
    """Images that are computed on access: `uint8` (n, side, side, 3)."""

    dtype = np.dtype(np.uint8)

    def __init__(self, read: Callable[[int], Photo], count: int, side: int):
        self._read, self._rows = read, np.arange(count)
        self.shape = (count, side, side, 3)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = self._rows[key]
        if rows.ndim == 0:
            return self._read(int(rows))
        images = [self._read(row) for row in rows.tolist()]
        return np.array(images, np.uint8).reshape(len(images), *self.shape[1:])


@dataclass(frozen=True)
class Split:
    """One split with n images.

    `stored`: squares, `uint8` (n, stored, stored, 3), RGB, read from disk on access. `y`: `uint8`
    (n,), 1 for damaged. `size`: the side of the model's image in pixels, at most the square's.
    """

    stored: Any
    y: np.ndarray
    rows: list[Row]
    size: int

    @cached_property
    def X(self) -> Any:  # noqa: N802 - the field's name for it
        """The model's images, `uint8` (n, size, size, 3), shrunk from the squares on access."""
        if self.stored.shape[1] == self.size:
            return self.stored
        return Images(lambda row: fit(self.stored[row], self.size), len(self.y), self.size)

    def of_kind(self, kind: str) -> np.ndarray:
        """Which rows have this kind: bool (n,)."""
        return np.array([row.kind == kind for row in self.rows], dtype=bool)


@dataclass(frozen=True)
class Dataset:
    """A complete, checked data set; `config` is `dataset.json`."""

    train: Split
    val: Split
    test: Split
    config: DatasetConfig


def check_replaceable(folder: Path) -> None:
    """Raise `UserError` if a data set in `folder` would replace anything but an older data set."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file. Choose a folder for --out.")
    names = {path.name for path in folder.glob("*") if path.name.lower() not in LITTER}
    if others := names - {CONFIG, *FILES} if CONFIG in names else names:
        raise UserError(
            f"{folder} contains other files, such as {min(others)}, which would be deleted. "
            "Move them, or choose another folder for --out."
        )


def write_split(folder: Path, split: str, images: Iterable[Photo], rows: Sequence[Row]) -> None:
    """Write both arrays, one image at a time. A memory map would count as process memory."""
    labels = np.array([row.label == "damaged" for row in rows], dtype=np.uint8)
    np.save(folder / f"y_{split}.npy", labels)
    with (folder / f"X_{split}.npy").open("wb") as file:
        for number, image in enumerate(images):
            if number == 0:
                shape = (len(rows), *image.shape)
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(image.tobytes())


def write_table(path: Path, rows: Sequence[Any], kind: type) -> None:
    """Write a CSV file with a column for each field of `kind`, the dataclass of the rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(kind)])
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


def read_table(path: Path, kind: type[Line]) -> list[Line]:
    """Read a file from `write_table`. Raises `UserError` if it has changed."""
    columns = fields(kind)  # type: ignore[arg-type]  # a dataclass
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                kind(**{column.name: column.type(line[column.name]) for column in columns})  # type: ignore[operator]
                for line in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} has changed since it was written. Create it again.") from error


def write_config(folder: Path, config: DatasetConfig) -> None:
    """Write `dataset.json`."""
    (folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Dataset:
    """Open a data set; its images stay on disk. Raises `UserError` if it is missing or changed."""
    config = _read_config(folder)
    if config.fingerprint != fingerprint(folder):
        raise UserError(f"{folder} has changed since step 1 wrote it. {AGAIN}")
    rows = read_table(folder / "photos.csv", Row)
    splits = {
        split: Split(
            stored=np.load(folder / f"X_{split}.npy", mmap_mode="r"),
            y=np.load(folder / f"y_{split}.npy"),
            rows=[row for row in rows if row.split == split],
            size=config.size,
        )
        for split in SPLITS
    }
    return Dataset(**splits, config=config)


def _read_config(folder: Path) -> DatasetConfig:
    try:
        return validated(DatasetConfig, json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        hint = "Run python data_preprocessing.py first."
        raise UserError(f"There is no data set in {folder}. {hint}") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG} cannot be used ({error}). {AGAIN}") from error


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names and SHA-256s of the arrays and tables."""
    files = [folder / name for name in sorted(FILES) if (folder / name).exists()]
    lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
