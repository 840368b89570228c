"""Measure how many copies are found among real photos, which photos are grouped, and the time.

    python benchmarks/copies.py PHOTO_FOLDER...                      # one minute for 6,000 photos
    python benchmarks/copies.py PHOTO_FOLDER... --joined joined.png  # also draw the groups

Makes copies of 500 photos, of every kind and of every two kinds together, and groups them with
all originals. A copy is found if it is in the group of its original. A person should check the
groups among the originals alone, because real sets contain real copies. To measure the time, the
photos' hashes are multiplied to 10,000 and 100,000 by flipping a quarter of their bits, many more
than in a copy. Among them are copies with a tenth of their bits flipped, and later 5,000
identical hashes.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from car_damage.dataset.copies import group_copies
from car_damage.parallel import map_in_order
from car_damage.perceptual_hash import perceptual_hash
from car_damage.photos import SUFFIXES, decode

COPIED = 500  # photos
THUMBNAIL = (160, 120)  # pixels: width, height
MOST_IN_A_ROW = 8


def rescaled(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    scale = random.uniform(0.5, 0.8)
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def recompressed(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return as_jpeg(photo, int(random.integers(30, 61)))


def cropped(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width = photo.shape[:2]
    top, bottom = (random.uniform(0, 0.05, 2) * height).round().astype(int)
    left, right = (random.uniform(0, 0.05, 2) * width).round().astype(int)
    return photo[top : height - bottom, left : width - right]


def brightened(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    factor = 1 + random.choice([-1, 1]) * random.uniform(0.15, 0.2)
    return (photo * factor).clip(0, 255).astype(np.uint8)


def mirrored(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return photo[:, ::-1]


def cut_on_one_side(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Crop 5 % off one side, which is harder than most of `cropped`: the centre moves."""
    return np.rot90(_cut_below(np.rot90(photo, turns := int(random.integers(4)))), -turns)


def cut_at_a_corner(photo: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Crop 5 % off two sides that meet, the hardest crop."""
    turned = np.rot90(photo, turns := int(random.integers(4)))
    return np.rot90(_cut_below(np.rot90(_cut_below(turned))), -turns - 1)


def _cut_below(photo: np.ndarray) -> np.ndarray:
    return photo[: round(0.95 * photo.shape[0])]


KINDS = (rescaled, recompressed, cropped, brightened, mirrored)
HARD_KINDS = (cut_on_one_side, cut_at_a_corner)  # reported, but not part of the mean


def as_jpeg(photo: np.ndarray, quality: int = 90) -> np.ndarray:
    """Write the photo to a JPEG and read it again, also if it is too small for `decode`."""
    bgr = np.ascontiguousarray(photo[..., ::-1])
    file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]


def hash_of(path: Path) -> np.ndarray:
    return perceptual_hash(decode(path.read_bytes()))


def group(hashes: np.ndarray) -> np.ndarray:
    """Group photos by their perceptual hashes alone."""
    return group_copies(hashes, [str(number) for number in range(len(hashes))])


def measure_copies(paths: Sequence[Path], hashes: np.ndarray) -> None:
    """Print the share of copies found, for each kind and each two kinds together."""
    random = np.random.default_rng(0)
    chosen = random.choice(len(paths), min(COPIED, len(paths)), replace=False)
    kinds = [(kind,) for kind in KINDS] + list(itertools.combinations(KINDS, 2))
    print(f"copies of {len(chosen)} photos found among {len(paths):,}:")
    found = []
    for kind in kinds + [(kind,) for kind in HARD_KINDS]:
        share = found_of(kind, chosen, paths, hashes, random)
        print(f"  {' and '.join(step.__name__ for step in kind):28} {share:6.1%}")
        found.append(share)
    print(f"  {'all but the last two':28} {np.mean(found[: len(kinds)]):6.1%}")


def found_of(
    kind: Sequence[Callable],
    chosen: np.ndarray,
    paths: Sequence[Path],
    hashes: np.ndarray,
    random: np.random.Generator,
) -> float:
    """The share of the chosen photos whose copy of this kind shares their group."""
    copies = []
    for number in chosen:
        photo = decode(paths[number].read_bytes())
        for step in kind:
            photo = step(photo, random)
        copies.append(perceptual_hash(as_jpeg(photo)))
    groups = group(np.concatenate([hashes, copies]))
    return float(np.mean(groups[len(hashes) :] == groups[chosen]))


def groups_of_several(groups: np.ndarray) -> list[np.ndarray]:
    """Return the members of each group of two or more."""
    by_group = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    return [members for members in by_group if len(members) > 1]


def report_joined(groups: Sequence[np.ndarray], count: int) -> None:
    """Print how many originals were grouped."""
    pairs = sum(len(members) * (len(members) - 1) // 2 for members in groups)
    largest = max((len(members) for members in groups), default=1)
    print(f"grouped among the {count:,} originals: {pairs} of {count * (count - 1) // 2:,} pairs,")
    print(f"  in {len(groups)} groups, the largest with {largest} photos")


def draw_joined(groups: Sequence[np.ndarray], paths: Sequence[Path], file: Path) -> None:
    """Write a contact sheet in two columns, with a row of photos per group."""
    width, height = THUMBNAIL
    across = min(MOST_IN_A_ROW, max(map(len, groups), default=1))
    rows = -(-len(groups) // 2)
    sheet = np.full((max(rows, 1) * (height + 6), 2 * (across * width + 12), 3), 255, np.uint8)
    for number, members in enumerate(groups):
        column, row = divmod(number, max(rows, 1))
        top, left = row * (height + 6), column * (across * width + 12)
        for place, member in enumerate(members[:MOST_IN_A_ROW]):
            small = cv2.resize(decode(paths[member].read_bytes()), THUMBNAIL)
            x = left + place * width
            sheet[top : top + height, x : x + width] = small
    cv2.imwrite(str(file), sheet[..., ::-1])


def measure_time(hashes: np.ndarray) -> None:
    """Print how long it takes to group many hashes, and the share of planted copies found."""
    print("grouping:")
    for count in (10_000, 100_000):
        many, originals = multiplied(hashes, count)
        start = time.perf_counter()
        groups = group(many)
        seconds = time.perf_counter() - start
        found = np.mean(groups[originals] == groups[-len(originals) :])
        print(f"  {count:7,} hashes: {seconds:5.1f} s; {found:.1%} of planted copies found")
    many[:5_000] = many[0]
    start = time.perf_counter()
    group(many)
    print(f"  {count:7,} hashes, 5,000 identical: {time.perf_counter() - start:5.1f} s")


def multiplied(hashes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` hashes, the last tenth of them copies, and the index of each original."""
    random = np.random.default_rng(0)
    planted = count // 10
    others = with_flipped_bits(random.choice(hashes, count - planted), 0.25, random)
    originals = random.choice(len(others), planted, replace=False)
    copies = with_flipped_bits(others[originals], 0.1, random)
    return np.concatenate([others, copies]), originals


def with_flipped_bits(hashes: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    flips = random.random((len(hashes), hashes.shape[1] * 8), np.float32) < share
    return hashes ^ np.packbits(flips, axis=1)


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="PHOTO_FOLDER")
    parser.add_argument("--joined", type=Path, metavar="FILE.png", help="where to draw the groups")
    args = parser.parse_args()
    files = (path for folder in args.folders for path in folder.rglob("*"))
    paths = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    if not paths:
        parser.error("There are no photos in these folders.")
    hashes = np.stack(list(map_in_order(hash_of, paths)))
    joined = groups_of_several(group(hashes))
    report_joined(joined, len(paths))
    if args.joined:
        draw_joined(joined, paths, args.joined)
    measure_copies(paths, hashes)
    measure_time(hashes)


if __name__ == "__main__":
    main()
