"""Photos for benchmarks/drift.py: what a version answers to them, unchanged and changed."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from car_damage import paths, photos
from car_damage.dataset.arrays import Row
from car_damage.dataset.close_ups import MIDDLE, SIDE
from car_damage.dataset.find import find_photos
from car_damage.manifest import Manifest
from car_damage.parallel import map_in_order, per_thread
from car_damage.photo_warnings import WarningLimits, find_warnings, measure_quality
from car_damage.predictor import Graph

LARGEST = 4096  # pixels; no photo is shrunk when it is decoded, so that changes apply to all of it
DARKER = 0.6  # of each pixel: 40 % darker
BLUR = 0.01  # sigma of the Gaussian blur, as a share of the shorter side
GOOD, POOR = 90, 20  # JPEG quality of a changed photo, and of recompressed ones

Change = Callable[[photos.Photo], bytes]


def _darkened(photo: photos.Photo) -> bytes:
    return photos.encode_jpeg((photo * DARKER).astype(np.uint8), GOOD)


def _blurred(photo: photos.Photo) -> bytes:
    sigma = BLUR * min(photo.shape[:2])
    return photos.encode_jpeg(cv2.GaussianBlur(photo, (0, 0), sigma), GOOD)


def _recompressed(photo: photos.Photo) -> bytes:
    return photos.encode_jpeg(photo, POOR)


def _cropped(photo: photos.Photo) -> bytes:
    """A close-up of the same size and shape, so that only what it shows can give it away."""
    # Seeded by the pixels, so that each photo gets its own crop and every run the same one.
    rng = np.random.default_rng(int(photo[::16].sum()))
    height, width = photo.shape[:2]
    down, across = (round(side * rng.uniform(*SIDE)) for side in (height, width))
    top = round(np.clip(rng.uniform(*MIDDLE) * height - down / 2, 0, height - down))
    left = round(np.clip(rng.uniform(*MIDDLE) * width - across / 2, 0, width - across))
    part = photo[top : top + down, left : left + across]
    return photos.encode_jpeg(cv2.resize(part, (width, height)), GOOD)


CHANGES: dict[str, Change] = {
    "darkened": _darkened,
    "blurred": _blurred,
    "recompressed": _recompressed,
    "cropped": _cropped,
}
UNCHANGED = "unchanged"


class Answers(NamedTuple):
    """What a version says about n photos, in the order of their files' names in each source."""

    sources: np.ndarray  # str (n,)
    numbers: np.ndarray  # float64 (n, len(NUMBERS))
    embeddings: np.ndarray  # float16 (n, d)


NUMBERS = ("logit", "brightness", "sharpness", "width", "height", "bytes", "unfamiliar")


def answers_to(
    rows: Sequence[Row], graph: Path, manifest: Manifest, kind: str, cache: Path | None
) -> Answers:
    """Answer all photos after a change, or read what an earlier run stored in `cache`."""
    file = None if cache is None else cache / f"{kind}.npz"
    if file is not None and file.exists():
        with np.load(file) as stored:
            return Answers(*(stored[name] for name in Answers._fields))
    found = _answered(rows, graph, manifest, CHANGES.get(kind))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **found._asdict())
    return found


def rows_of(folders: Sequence[Path], most: int) -> list[Row]:
    """The first `most` photos of each source, in the order of their names."""
    kept: dict[str, list[Row]] = {}
    for folder in folders:
        for row in find_photos([folder]):
            kept.setdefault(row.source, []).append(row)
    # Both classes of a source come, because its photos are sorted by class.
    spaced = (_spread(rows, most) for rows in kept.values())
    return [row for rows in spaced for row in rows]


def _spread(rows: list[Row], most: int) -> list[Row]:
    """At most `most` photos: whole runs of neighbours, from all parts of the source."""
    run = 25
    runs = [rows[at : at + run] for at in range(0, len(rows), run)]
    step = max(1.0, len(runs) * run / most)
    chosen = sorted({int(at * step) for at in range(len(runs)) if int(at * step) < len(runs)})
    return [row for number in chosen for row in runs[number]]


def _answered(
    rows: Iterable[Row], graph: Path, manifest: Manifest, change: Change | None
) -> Answers:
    graph_of = per_thread(lambda: Graph(graph))
    limits = manifest.warning_limits or WarningLimits()

    def answer(row: Row) -> tuple[str, tuple[float, ...], np.ndarray]:
        data = paths.located(row.path).read_bytes()
        if change is not None:
            data = change(photos.decode(data, at_least=LARGEST))
        header = photos.read_header(data)
        photo = photos.decode(data, at_least=manifest.size)
        image = photos.fit(photo, manifest.size)
        output = graph_of().run(image)
        quality = measure_quality(image, short_side=min(photo.shape[:2]))
        warned = find_warnings(quality, output.embedding, limits)
        numbers = (
            *(output.logit, quality.brightness, quality.sharpness, header.width, header.height),
            *(len(data), "unfamiliar" in warned),
        )
        return row.source, numbers, output.embedding.astype(np.float16)

    found = list(map_in_order(answer, rows))
    sources, numbers, embeddings = zip(*found, strict=True)
    return Answers(np.array(sources), np.array(numbers, float), np.stack(embeddings))
