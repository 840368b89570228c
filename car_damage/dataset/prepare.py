"""Step 1 from end to end: photos in folders become one whole data set."""

import platform
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from car_damage.dataset.arrays import ABOUT, RejectedRow, Row, write_about, write_split, write_table
from car_damage.dataset.close_ups import cut_close_ups
from car_damage.dataset.copies import group_copies
from car_damage.dataset.find import Found
from car_damage.dataset.scan import Rejected, Scanned, scan
from car_damage.dataset.split import SPLITS, Group, split_groups
from car_damage.errors import UserError
from car_damage.files import staged_folder
from car_damage.parallel import map_in_order
from car_damage.paths import stored
from car_damage.photos import Fit, Photo

IMAGES = "images"  # raw bytes of every image in the order found, until each knows its split


@dataclass(frozen=True)
class Settings:
    """What decides, together with the photos, what a data set holds."""

    size: int  # pixels: the image's side
    fit: Fit
    close_ups: int  # crops cut out of each undamaged photo
    shares: Mapping[str, float]  # of training, validation and test; they sum to 1
    seed: int
    sample: bool = False  # the photos are the drawn sample cars


@dataclass(frozen=True)
class Member:
    """A usable photo, where its image lies in `SQUARES`, and the group it belongs to."""

    scanned: Scanned
    position: int
    group: str


def prepare(found: Sequence[Found], folder: Path, settings: Settings) -> dict[str, Any]:
    """Make the data set of the photos found and swap it in at `folder`; return `dataset.json`.

    Raises `UserError` when a class is too small to split or the disk is full; `folder` then stays
    as it was.
    """
    _check_ours(folder)
    with staged_folder(folder) as staging:
        scanned, rejected = _scan_all(found, staging, settings)
        members, contradictory = _group(scanned)
        rejected += contradictory
        splits = split_groups(_groups(members), settings.shares, settings.seed)
        rows = _write_splits(staging, members, splits, settings)
        (staging / IMAGES).unlink()
        write_table(staging / "photos.csv", rows, Row)
        write_table(staging / "rejected.csv", [_rejected_row(one) for one in rejected], RejectedRow)
        about = _about(rows, rejected, members, settings)
        write_about(staging, about)
    return about


def _check_ours(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / ABOUT).exists():
        raise UserError(f"{folder} holds files that are no data set of ours: choose another --out")


def _scan_all(
    found: Sequence[Found], staging: Path, settings: Settings
) -> tuple[list[Scanned], list[Rejected]]:
    scanned, rejected = [], []
    results = scan(found, settings.size, settings.fit)
    with (staging / IMAGES).open("wb") as file:
        for result in tqdm(results, "reading photos", len(found), unit="photo", dynamic_ncols=True):
            if isinstance(result, Rejected):
                rejected.append(result)
                continue
            photo, image = result
            scanned.append(photo)
            file.write(image.tobytes())
    if not scanned:
        raise UserError(f"none of the {len(found)} files is a usable photo: {_reasons(rejected)}")
    return scanned, rejected


def _group(scanned: Sequence[Scanned]) -> tuple[list[Member], list[Rejected]]:
    """Put copies into groups; leave out those that stand in both classes."""
    sha256s = [photo.sha256 for photo in scanned]
    ids = group_copies(np.stack([photo.phash for photo in scanned]), sha256s)
    together: defaultdict[int, list[int]] = defaultdict(list)
    for position, group in enumerate(ids):
        together[int(group)].append(position)
    members, contradictory = [], []
    for positions in together.values():
        if len({scanned[position].found.label for position in positions}) > 1:
            contradictory += [Rejected(scanned[at].found, "both_classes") for at in positions]
            continue
        name = min(sha256s[position] for position in positions)[:12]
        members += [Member(scanned[position], position, name) for position in positions]
    return sorted(members, key=lambda member: member.position), contradictory


def _groups(members: Sequence[Member]) -> list[Group]:
    sizes = Counter(member.group for member in members)
    firsts: dict[str, Found] = {}
    for member in members:
        firsts.setdefault(member.group, member.scanned.found)
    return [
        Group(name, found.label, found.data_folder, sizes[name]) for name, found in firsts.items()
    ]


def _write_splits(
    staging: Path, members: Sequence[Member], splits: Mapping[str, str], settings: Settings
) -> list[Row]:
    all_rows: list[Row] = []
    for split in SPLITS:
        photos = [member for member in members if splits[member.group] == split]
        sources = [member for member in photos if member.scanned.found.label == "not-damaged"]
        rows = _photo_rows(photos, split) + _close_up_rows(sources, split, len(photos), settings)
        images = chain(
            _read_images(staging / IMAGES, photos, settings.size),
            _close_up_images(sources, split, settings),
        )
        write_split(staging, split, images, rows)
        all_rows += rows
    return all_rows


def _photo_rows(photos: Sequence[Member], split: str) -> list[Row]:
    return [_row(member, split, row, "photo") for row, member in enumerate(photos)]


def _close_up_rows(
    sources: Sequence[Member], split: str, first: int, settings: Settings
) -> list[Row]:
    repeated = [member for member in sources for _ in range(settings.close_ups)]
    return [_row(member, split, row, "close_up") for row, member in enumerate(repeated, first)]


def _row(member: Member, split: str, row: int, kind: str) -> Row:
    photo = member.scanned
    return Row(
        split=split,
        row=row,
        label=photo.found.label,
        kind=kind,
        path=stored(photo.found.path),
        group=member.group,
        width=photo.width,
        height=photo.height,
        sha256=photo.sha256,
        phash=photo.phash.tobytes().hex(),
    )


def _read_images(path: Path, photos: Sequence[Member], size: int) -> Iterator[Photo]:
    length = size * size * 3
    with path.open("rb") as file:
        for member in photos:
            file.seek(member.position * length)
            yield np.frombuffer(file.read(length), np.uint8).reshape(size, size, 3)


def _close_up_images(sources: Sequence[Member], split: str, settings: Settings) -> Iterator[Photo]:
    if not settings.close_ups:
        return iter(())

    def cut(member: Member) -> list[Photo]:
        # Seeded by the photo itself, so that a crop does not depend on which others are there.
        rng = np.random.default_rng([settings.seed, int(member.scanned.sha256[:8], 16)])
        return cut_close_ups(member.scanned.found.path, settings.close_ups, settings.size, rng)

    progress = tqdm(
        map_in_order(cut, sources),
        f"cutting close-ups ({split})",
        len(sources),
        unit="photo",
        dynamic_ncols=True,
    )
    return chain.from_iterable(progress)


def _rejected_row(rejected: Rejected) -> RejectedRow:
    found = rejected.found
    return RejectedRow(stored(found.path), found.label, rejected.reason)


def _about(
    rows: Sequence[Row],
    rejected: Sequence[Rejected],
    members: Sequence[Member],
    settings: Settings,
) -> dict[str, Any]:
    counts = {split: _counts([row for row in rows if row.split == split]) for split in SPLITS}
    groups = Counter(member.group for member in members)
    return {
        "sample": settings.sample,
        "size": settings.size,
        "fit": settings.fit,
        "seed": settings.seed,
        "shares": dict(settings.shares),
        "close_ups": settings.close_ups,
        "counts": counts,
        "copies": {
            "groups_of_copies": sum(size > 1 for size in groups.values()),
            "photos_in_them": sum(size for size in groups.values() if size > 1),
        },
        "rejected": dict(Counter(one.reason for one in rejected)),
        "python": platform.python_version(),
        "libraries": {
            name: version(name) for name in ("numpy", "opencv-python-headless", "pillow")
        },
    }


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    photos = Counter(row.label for row in rows if row.kind == "photo")
    close_ups = sum(row.kind == "close_up" for row in rows)
    return {
        "damaged": photos["damaged"],
        "not_damaged": photos["not-damaged"],
        "close_ups": close_ups,
    }


def _reasons(rejected: Sequence[Rejected]) -> str:
    reasons = Counter(one.reason for one in rejected)
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())
