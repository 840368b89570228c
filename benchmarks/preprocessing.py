"""Compare step 1 with a textbook loop.

    python benchmarks/preprocessing.py                  # speed, about 8 minutes
    python benchmarks/preprocessing.py --short          # fewer photos, about a minute
    python benchmarks/preprocessing.py --memory         # peak memory at 2,000 and 20,000 photos

Both make arrays of the same JPEGs (drawn soft shapes with grain like a camera's). The loop reads,
resizes and splits the photos, and does nothing else. It resizes them to the side that step 1
stores. "As by default" means squares of 336 px and a close-up of each undamaged photo, which the
loop does not cut.

The floor is libjpeg-turbo on all cores at an eighth of the size, with nothing else. It spends
nearly all of its time on Huffman decoding, which every reader of JPEGs must do.

They take turns, each in its own process, and the system has cached the files. The time does not
include imports. On a busy machine, compare the processor time. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.headlines import Headline, print_headlines
from benchmarks.processes import children_seconds, peak_memory, photos_per_second
from car_damage.dataset.find import find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.photos import SIZE

ROUNDS, SHORT_ROUNDS = 3, 2
SHORTER = 4  # times fewer photos with --short


class Kind(NamedTuple):
    """JPEGs that are drawn: their size in pixels, their grain in grey levels, and how many."""

    width: int
    height: int
    grain: float  # standard deviation; grain doubles the file's size and the time to decode it
    count: int


class Setup(NamedTuple):
    """What step 1 makes of the photos."""

    stored: int  # pixels
    close_ups: int  # of each undamaged photo


class Speed(NamedTuple):
    """How fast photos were read."""

    photos_per_second: float
    processor_ms: float  # of all threads and processes, for each photo


Round = tuple[Speed, Speed, Speed]  # the loop, step 1 and the floor, one after the other

KINDS = {
    "12 megapixels": Kind(4000, 3000, 4, 200),
    "12 megapixels in poor light": Kind(4000, 3000, 9, 100),
    "1 megapixel": Kind(1152, 864, 6, 1000),
    "512 px": Kind(512, 384, 9, 1200),
}
GOALS = {"12 megapixels": "6", "12 megapixels in poor light": "6", "1 megapixel": "4"}
HEADING = """\
| photos | step 1 | the loop, photos/s | step 1, photos/s | ratio | share of the floor | \
processor time a photo, ms: loop, step 1, floor |
|---|---|---|---|---|---|---|"""
SETUPS = {"like the loop": Setup(SIZE, 0), "as by default": Setup(336, 1)}


def loop(raw_dir: Path, out: Path, setup: Setup) -> int:
    """Make the arrays with a textbook loop; return how many photos there are."""
    from sklearn.model_selection import train_test_split

    X, y = [], []
    for label, name in enumerate(("not-damaged", "damaged")):
        for path in sorted((raw_dir / name).iterdir()):
            X.append(cv2.resize(cv2.imread(str(path)), (setup.stored, setup.stored)))
            y.append(label)
    X, y = np.array(X), np.array(y)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.3, stratify=y)
    X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, test_size=0.5, stratify=y_rest)
    out.mkdir()
    for name in ("X_train", "X_val", "X_test", "y_train", "y_val", "y_test"):
        np.save(out / f"{name}.npy", locals()[name])
    return len(y)


def step_1(raw_dir: Path, out: Path, setup: Setup) -> int:
    """Run step 1 like `data_preprocessing.py`; return how many photos there are."""
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    found = find_photos([raw_dir])
    size = min(SIZE, setup.stored)
    prepare(found, out, Settings(size, setup.stored, setup.close_ups, shares, seed=0))
    return len(found)


def floor(raw_dir: Path) -> Speed:
    """Decode the photos at an eighth of their size in a process per core, and nothing else."""

    def decode(path: Path) -> None:
        simplejpeg.decode_jpeg(path.read_bytes(), min_height=1, min_width=1, min_factor=8)

    photos = sorted(raw_dir.rglob("*.jpg"))
    before = children_seconds()
    rate = photos_per_second(lambda: decode, photos)
    return Speed(rate, 1000 * (children_seconds() - before) / len(photos))


def work(name: str, raw_dir: Path, out: Path, setup: Setup) -> None:
    """Run the loop or step 1 in this process and print its speed and peak memory."""
    import sklearn.model_selection  # noqa: F401 - imported before the clock starts, like our own

    start, processor = time.perf_counter(), time.process_time()
    photos = {"loop": loop, "step 1": step_1}[name](raw_dir, out, setup)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    speed = Speed(photos / seconds, 1000 * processor / photos)
    print(json.dumps({"speed": speed, "peak_mb": peak_memory()}))


def run(name: str, raw_dir: Path, setup: Setup) -> tuple[Speed, float]:
    """Run the loop or step 1 in its own process; return its speed and its peak memory in MB."""
    with tempfile.TemporaryDirectory() as out:
        options = ["--work", name, str(raw_dir), f"{out}/processed", *map(str, setup)]
        command = [sys.executable, __file__, *options]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    measured = json.loads(result.stdout.splitlines()[-1])
    return Speed(*measured["speed"]), measured["peak_mb"]


def make_photos(folder: Path, kind: Kind) -> None:
    """Write different JPEGs, half of them to each class folder."""
    shape = (kind.height, kind.width, 3)
    noise = np.random.default_rng(0).normal(0, kind.grain, shape).astype(np.float32)

    def write(number: int) -> None:
        patches = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        picture = cv2.resize(patches, (kind.width, kind.height), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture + np.roll(noise, 37 * number, axis=1), 0, 255).astype(np.uint8)
        path = folder / ("damaged", "not-damaged")[number % 2] / f"{number}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])

    for name in ("damaged", "not-damaged"):
        (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(kind.count)))


def compare_speed(folder: Path, short: bool) -> None:
    """Print the speed of the loop, of step 1 and of the floor, with their ratios."""
    headlines = []
    print(HEADING)
    for name, kind in KINDS.items():
        raw_dir = folder / name
        make_photos(raw_dir, kind._replace(count=kind.count // SHORTER) if short else kind)
        size = next(iter((raw_dir / "damaged").iterdir())).stat().st_size / 1e6
        for setup_name, setup in SETUPS.items():
            rounds = [one_round(raw_dir, setup) for _ in range(SHORT_ROUNDS if short else ROUNDS)]
            print(f"| {name}, {size:.2f} MB | {setup_name} | {cells(rounds)} |", flush=True)
            headlines.append(headline(f"{name}, {setup_name}", rounds, GOALS.get(name, "")))
    print_headlines(headlines)


def one_round(raw_dir: Path, setup: Setup) -> Round:
    """Measure the loop, step 1 and the floor once."""
    return run("loop", raw_dir, setup)[0], run("step 1", raw_dir, setup)[0], floor(raw_dir)


def cells(rounds: list[Round]) -> str:
    """Return the medians of the rounds as cells of the table."""
    speeds = np.array(rounds)  # (round, program, field of Speed)
    (textbook, loop_ms), (ours, our_ms), (_, floor_ms) = np.median(speeds, axis=0)
    ratios = speeds[:, 1, 0] / speeds[:, 0, 0]
    share = np.median(speeds[:, 1, 0] / speeds[:, 2, 0])
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    return (
        f"{textbook:.1f} | {ours:.1f} | {np.median(ratios):.1f} ({spread}) | {share:.0%} | "
        f"{loop_ms:.1f}, {our_ms:.1f}, {floor_ms:.1f}"
    )


def headline(photos: str, rounds: list[Round], goal: str) -> Headline:
    """Return the median ratio of step 1 to the loop."""
    rates = np.array(rounds)[:, :, 0]  # (round, program)
    textbook, ours, _ = np.median(rates, axis=0)
    ratio = float(np.median(rates[:, 1] / rates[:, 0]))
    other = f"textbook loop {textbook:.1f}"
    return Headline(f"step 1, {photos}", f"{ours:.1f} photos/s", other, ratio, goal)


def compare_memory(folder: Path) -> None:
    """Print the peak memory of both with 2,000 and with 20,000 photos."""
    print("| photos | the loop | step 1 |\n|---|---|---|")
    for count in (2_000, 20_000):
        raw_dir = folder / str(count)
        make_photos(raw_dir, Kind(320, 240, 9, count))
        textbook, ours = (
            run(name, raw_dir, SETUPS["like the loop"])[1] for name in ("loop", "step 1")
        )
        print(f"| {count:,} | {textbook:,.0f} MB | {ours:,.0f} MB |", flush=True)


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="fewer photos, about a minute")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of speed")
    parser.add_argument("--work", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        name, raw_dir, out, stored, close_ups = args.work
        work(name, Path(raw_dir), Path(out), Setup(int(stored), int(close_ups)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.memory:
            compare_memory(Path(folder))
        else:
            compare_speed(Path(folder), args.short)


if __name__ == "__main__":
    main()
