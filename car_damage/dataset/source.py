"""Choose where the photos come from: the user's folders, the Kaggle set, or drawn sample cars."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from car_damage import paths
from car_damage.dataset import kaggle
from car_damage.dataset.find import holds_files
from car_damage.dataset.sample import write_sample_photos

SAMPLE_PHOTOS = 500  # of each class
SAMPLE_NOTICE = (
    "\n*** SAMPLE RUN: data/raw has no photos and Kaggle cannot be reached, so this run uses DRAWN "
    "cars. The model will not work on real photos. ***\n"
)


@dataclass(frozen=True)
class Source:
    """Where photos come from, and the default folder of their data set."""

    raw_dirs: Callable[[], list[Path]]  # returns their folders; first downloads or draws photos
    processed: Path
    sample: bool = False
    is_here: bool = False  # nothing has to be downloaded or drawn


def choose_source(raw_dirs: list[Path], insist_on_kaggle: bool, insist_on_sample: bool) -> Source:
    """Choose the given folders, otherwise `data/raw`, the Kaggle set, or the drawn sample cars.

    `data/raw` is chosen if it contains any file. Nothing is downloaded or drawn yet.
    """
    raw, processed = paths.shown(paths.RAW), paths.shown(paths.PROCESSED)
    if raw_dirs:
        return Source(lambda: raw_dirs, processed, is_here=True)
    if insist_on_sample:
        return Source(_draw, paths.shown(paths.SAMPLE_PROCESSED), sample=True)
    if insist_on_kaggle:
        return Source(lambda: [kaggle.fetch()], processed)
    if holds_files(raw):
        return Source(lambda: [raw], processed, is_here=True)
    if kaggle.is_reachable():
        print("no photos in data/raw: using the Kaggle set anujms/car-damage-detection")
        return Source(lambda: [kaggle.fetch()], processed)
    print(SAMPLE_NOTICE, file=sys.stderr)
    return Source(_draw, paths.shown(paths.SAMPLE_PROCESSED), sample=True)


def _draw() -> list[Path]:
    raw = paths.shown(paths.SAMPLE_RAW)
    print(f"drawing {2 * SAMPLE_PHOTOS} sample cars into {raw}")
    write_sample_photos(raw, SAMPLE_PHOTOS)
    return [raw]
