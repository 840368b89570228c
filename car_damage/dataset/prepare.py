"""Step 1 from end to end: make a data set from the photos found."""

import platform
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np

from car_damage.dataset import arrays
from car_damage.dataset.arrays import RejectedRow, Row
from car_damage.dataset.close_ups import cut_close_ups
from car_damage.dataset.copies import group_copies, of_the_whole
from car_damage.dataset.find import LABELS
from car_damage.dataset.scan import scan
from car_damage.dataset.sources import run_of
from car_damage.dataset.split import SPLITS, split_class
from car_damage.errors import UserError
from car_damage.files import staged_folder
from car_damage.manifest import CopyCounts, DatasetConfig, SplitCounts
from car_damage.parallel import map_in_order
from car_damage.paths import located
from car_damage.photos import Photo
from car_damage.progress import progress

IMAGES = "images"  # a temporary file: the raw bytes of all images, until their splits are known


@dataclass(frozen=True)
class Settings:
    """The settings that determine a data set, together with the photos."""

    size: int  # pixels: the side of the model's image
    stored: int  # pixels: the side of the squares that crops are cut from, at least `size`
    close_ups: int  # crops cut from each undamaged photo
    shares: Mapping[str, float]  # of training, validation and test; they sum to 1
    seed: int
    sample: bool = False  # whether the photos are the drawn sample cars


def prepare(found: Sequence[Row], folder: Path, settings: Settings) -> DatasetConfig:
    """Make a data set of the photos found and move it to `folder`; return its `dataset.json`.

    Raises `UserError` and leaves `folder` unchanged if it contains files that step 1 did not
    write, if no photo is usable, if a class is too small to split, or if the disk is full.
    """
    arrays.check_replaceable(folder)
    with staged_folder(folder) as staging:
        scanned, rejected = _scan_all(found, staging, settings)
        groups, in_both_classes = groups_of_copies(scanned)
        rejected += in_both_classes
        photos = _split(groups, settings)
        rows = _write_splits(staging, photos, settings)
        (staging / IMAGES).unlink()
        arrays.write_table(staging / "photos.csv", rows, Row)
        arrays.write_table(staging / "rejected.csv", rejected, RejectedRow)
        config = _config(rows, rejected, settings, arrays.fingerprint(staging))
        arrays.write_config(staging, config)
    return config


def _scan_all(
    found: Sequence[Row], staging: Path, settings: Settings
) -> tuple[list[Row], list[RejectedRow]]:
    scanned: list[Row] = []
    rejected: list[RejectedRow] = []
    results = map_in_order(lambda photo: scan(photo, settings.stored), found)
    with (staging / IMAGES).open("wb") as file:
        for result in progress(results, "reading photos", len(found)):
            if isinstance(result, RejectedRow):
                rejected.append(result)
                continue
            photo, image = result
            scanned.append(replace(photo, row=len(scanned)))
            file.write(image.tobytes())
    if not scanned:
        reasons = Counter(one.reason for one in rejected).items()
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons)
        raise UserError(
            f"None of the {len(found)} files is a usable photo ({counts}). Add other photos."
        )
    return scanned, rejected


def groups_of_copies(scanned: Sequence[Row]) -> tuple[list[list[Row]], list[RejectedRow]]:
    """Put copies into groups; reject copies that are in both classes."""
    hashes = np.frombuffer(bytes.fromhex("".join(photo.phash for photo in scanned)), np.uint8)
    sha256s = [photo.sha256 for photo in scanned]
    numbers = group_copies(hashes.reshape(len(scanned), -1), sha256s)
    together: defaultdict[int, list[Row]] = defaultdict(list)
    for photo, number in zip(scanned, numbers, strict=True):
        together[number].append(photo)
    groups, rejected = [], []
    for group in together.values():
        if len({photo.label for photo in group}) == 1:
            groups.append(group)
        else:
            rejected += [RejectedRow(photo.path, photo.label, "both_classes") for photo in group]
    return groups, rejected


def _split(groups: Sequence[Sequence[Row]], settings: Settings) -> list[Row]:
    """Give each photo the name and the split of its group; return them in their original order.

    The hashes are cut to the part that `photos.csv` keeps.
    """
    photos: list[Row] = []
    for label in LABELS:
        members = [group for group in groups if group[0].label == label]
        names = [
            [(photo.sha256, run_of(photo.source, photo.path)) for photo in group]
            for group in members
        ]
        splits = split_class(label, names, settings.shares, settings.seed)
        for group, split in zip(members, splits, strict=True):
            name = min(photo.sha256 for photo in group)[:12]
            photos += [
                replace(photo, group=name, split=split, phash=of_the_whole(photo.phash))
                for photo in group
            ]
    return sorted(photos, key=lambda photo: photo.row)


def _write_splits(staging: Path, photos: Sequence[Row], settings: Settings) -> list[Row]:
    rows: list[Row] = []
    for split in SPLITS:
        chosen = [photo for photo in photos if photo.split == split]
        whole = [photo for photo in chosen if photo.label == "not-damaged" and settings.close_ups]
        crops = [
            replace(photo, kind="close_up") for photo in whole for _ in range(settings.close_ups)
        ]
        in_order = [replace(photo, row=row) for row, photo in enumerate(chosen + crops)]
        images = (_read_image(staging / IMAGES, photo.row, settings.stored) for photo in chosen)
        close_ups = _close_up_images(whole, split, settings)
        arrays.write_split(staging, split, chain(images, close_ups), in_order)
        rows += in_order
    return rows


def _read_image(path: Path, number: int, size: int) -> Photo:
    length = size * size * 3
    return np.fromfile(path, np.uint8, length, offset=number * length).reshape(size, size, 3)


def _close_up_images(sources: Sequence[Row], split: str, settings: Settings) -> Iterator[Photo]:
    def cut(photo: Row) -> list[Photo]:
        # Seeded by the photo itself, so that a crop does not depend on other photos.
        rng = np.random.default_rng([settings.seed, int(photo.sha256[:8], 16)])
        return cut_close_ups(located(photo.path), settings.close_ups, settings.stored, rng)

    crops = map_in_order(cut, sources)
    return chain.from_iterable(progress(crops, f"cutting close-ups ({split})", len(sources)))


def _config(
    rows: Sequence[Row], rejected: Sequence[RejectedRow], settings: Settings, fingerprint: str
) -> DatasetConfig:
    groups = Counter(row.group for row in rows if row.kind == "photo")
    sizes = [size for size in groups.values() if size > 1]
    return DatasetConfig(
        **asdict(settings),
        counts={split: _counts([row for row in rows if row.split == split]) for split in SPLITS},
        copies=CopyCounts(groups_of_copies=len(sizes), photos_in_them=sum(sizes)),
        rejected=Counter(one.reason for one in rejected),
        python=platform.python_version(),
        libraries={name: version(name) for name in ("numpy", "opencv-python-headless", "pillow")},
        fingerprint=fingerprint,
    )


def _counts(rows: Sequence[Row]) -> SplitCounts:
    count = Counter((row.kind, row.label) for row in rows)
    return SplitCounts(
        damaged=count["photo", "damaged"],
        not_damaged=count["photo", "not-damaged"],
        close_ups=count["close_up", "not-damaged"],
    )
