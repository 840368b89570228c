"""Parts of a split that are measured separately, because they may differ from the average."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np

from car_damage.dataset.arrays import Row, Split
from car_damage.dataset.find import folder_label
from car_damage.manifest import MetricSet
from car_damage.paths import located
from car_damage.photos import Photo

# The darkest and the brightest twentieth of 1,500 real photos, by the image's mean luma (BT.601).
DARK = 70  # of 255; darker photos show night, garages, or black cars that fill the photo
BRIGHT = 170  # of 255; photos this bright show snow, white cars, or cars on a white background
# Web thumbnails of damaged cars are mostly up to 194 px high, and some dealers' photos 196 px.
# Larger photos have enough pixels for most networks, whose images are 192 to 224 px.
SMALL = 200  # pixels; photos with a shorter side below this are small

FEWEST_SHOWN = 10  # photos; with fewer, the interval of a percentage is over 33 points wide


def slices(split: Split) -> dict[str, np.ndarray]:
    """The rows of each slice by its title, bool (n,), without empty slices.

    Slices contain photos, except for the crops of undamaged cars. Each raw folder is a slice if
    there are several.
    """
    return slices_by_luma(split, np.array([mean_luma(image) for image in split.X]))


def mean_luma(image: Photo) -> float:
    """The mean brightness of an image, 0 to 255."""
    return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean())


def slices_by_luma(split: Split, luma: np.ndarray) -> dict[str, np.ndarray]:
    """The same as `slices`, with the mean luma of each image given: float (n,)."""
    photos = split.of_kind("photo")
    shorter = np.array([min(row.width, row.height) for row in split.rows])
    found = {
        **{title: photos & rows for title, rows in raw_folders(split.rows).items()},
        "crops of undamaged cars": split.of_kind("close_up"),
        "dark": photos & (luma < DARK),
        "bright": photos & (luma >= BRIGHT),
        "small": photos & (shorter < SMALL),
    }
    return {title: rows for title, rows in found.items() if rows.any()}


def is_too_small(part: MetricSet, name: str) -> bool:
    """Whether the share `name` of a slice, folder or source has too few photos to be shown.

    The false negative rate is a share of the damaged photos, the specificity of the others.
    """
    whole = part.count
    if part.damaged is not None and name == "false_negative_rate":
        whole = part.damaged
    elif part.damaged is not None and name == "specificity":
        whole = part.count - part.damaged
    return 0 < whole < FEWEST_SHOWN


def raw_folders(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The rows of each raw folder, bool (n,); empty if there is only one raw folder."""
    found = _by_name([_raw_folder(folder) for folder in _from_where_they_part(rows, rows)])
    return found if len(found) > 1 else {}


def data_folders(rows: Sequence[Row], among: Sequence[Row]) -> dict[str, np.ndarray]:
    """The rows of each data folder, bool (n,).

    Folder names are relative to the innermost folder that contains all of `among`, which includes
    `rows`.
    """
    return _by_name([folder.as_posix() for folder in _from_where_they_part(rows, among)])


def _from_where_they_part(rows: Sequence[Row], among: Sequence[Row]) -> list[Path]:
    """Each row's folder, relative to the innermost folder that contains all of `among`."""
    folders = {_folder(row) for row in among}
    levels = zip(*folders, strict=False)
    together = len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
    if len(folders) == 1:
        together -= 1  # its own name is more helpful than "."
    return [Path(*_folder(row)[together:]) for row in rows]


def _folder(row: Row) -> tuple[str, ...]:
    return located(row.path).parent.parts


def _raw_folder(folder: Path) -> str:
    """The path to the outermost class folder; "." if there is none."""
    parts = folder.parts
    depth = next((depth for depth, part in enumerate(parts) if folder_label(part)), 0)
    return Path(*parts[:depth]).as_posix()


def _by_name(names: Sequence[str]) -> dict[str, np.ndarray]:
    return {name: np.array(names) == name for name in sorted(set(names))}
