"""Measure how often a heatmap points at the damage, on photos in which someone marked it.

    python benchmarks/heatmaps.py PHOTO_FOLDER BOXES.csv [--models DIR] [--model VERSION]

BOXES.csv has a line for each box: file, left, top, right, bottom, as shares of the photo's width
and height. The version must not have been trained on these photos, so train it with --leave-out.
Only photos whose boxes cover at most a quarter of the photo are measured, because a random place
would often be inside a larger box.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from car_damage import model_store, paths, photos
from car_damage.errors import exit_code
from car_damage.parallel import map_in_order, per_thread
from car_damage.predictor import Predictor

MOST_AREA = 0.25  # share of the photo that the boxes may cover
GRID = 512  # points per side of the grid on which areas are measured

Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the sides


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """Read the boxes of each file."""
    boxes: dict[str, list[Box]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            left, top, right, bottom = (
                float(line[side]) for side in ("left", "top", "right", "bottom")
            )
            boxes[line["file"]].append((left, top, right, bottom))
    return boxes


def inside(boxes: Sequence[Box], across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return which points, given as shares of width and height, are in a box."""
    found = np.zeros(np.broadcast(across, down).shape, bool)
    for left, top, right, bottom in boxes:
        found |= (across >= left) & (across < right) & (down >= top) & (down < bottom)
    return found


def covered(boxes: Sequence[Box], shape: tuple[int, int] = (GRID, GRID)) -> np.ndarray:
    """Return the share of each cell that boxes cover, for a grid of this shape (h, w)."""
    height, width = shape
    fine = GRID // max(shape)
    down = (np.arange(height * fine) + 0.5) / (height * fine)
    across = (np.arange(width * fine) + 0.5) / (width * fine)
    points = inside(boxes, across[np.newaxis], down[:, np.newaxis])
    return points.reshape(height, fine, width, fine).mean(axis=(1, 3))


def measure(heatmap: np.ndarray, boxes: Sequence[Box]) -> tuple[bool, float]:
    """Return whether the strongest place is in a box, and the share of positive weight in boxes."""
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    down, across = (row + 0.5) / heatmap.shape[0], (column + 0.5) / heatmap.shape[1]
    weight = np.maximum(heatmap, 0)
    within = float((weight * covered(boxes, heatmap.shape)).sum() / max(weight.sum(), 1e-9))
    return bool(inside(boxes, np.array(across), np.array(down))), within


def line(title: str, found: Sequence[tuple[bool, float]], boxes: Sequence[Sequence[Box]]) -> str:
    """Return a line of the table."""
    hits, weights = zip(*found, strict=True)
    area = np.mean([covered(each).mean() for each in boxes])
    return (
        f"{title:24}{len(found):7}{np.mean(hits):18.1%}{area:14.1%}{np.mean(weights):18.1%}"
        f"{np.mean(weights) / area:9.2f}"
    )


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="PHOTO_FOLDER")
    parser.add_argument("boxes", type=Path, metavar="BOXES.csv")
    parser.add_argument("--model", metavar="VERSION", help="default: the current version")
    parser.add_argument("--models", type=Path, default=paths.MODELS, metavar="DIR")
    args = parser.parse_args()

    record = model_store.load_record(args.models, args.model)
    predictor = per_thread(lambda: Predictor(record))
    boxes = read_boxes(args.boxes)
    small = {name: each for name, each in boxes.items() if covered(each).mean() <= MOST_AREA}

    def measured(name: str) -> tuple[bool, float]:
        data = (args.folder / name).read_bytes()
        photo = photos.decode(data, at_least=record.manifest.size)
        return measure(predictor().predict(photo).heatmap, small[name])

    found = dict(zip(small, map_in_order(measured, list(small)), strict=True))
    half = np.array(0.5)
    off = [name for name, each in small.items() if not inside(each, half, half)]
    print(f"{'':24}{'photos':>7}{'strongest inside':>18}{'boxes: area':>14}", end="")
    print(f"{'weight inside':>18}{'ratio':>9}")
    for title, names in (("boxes of a quarter", list(small)), ("of these off-centre", off)):
        print(line(title, [found[name] for name in names], [small[name] for name in names]))


if __name__ == "__main__":
    sys.exit(exit_code(main))
