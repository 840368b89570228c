"""Compare step 1 with a simple loop.

    python benchmarks/preprocessing.py                  # speed, about 2 minutes
    python benchmarks/preprocessing.py --memory         # peak memory at 2,000 and 20,000 photos

Both make arrays of the same JPEGs (drawn soft shapes with grain like a camera's). They take
turns, each in its own process, and the system has cached the files. The time does not include
imports.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

ROUNDS = 3
KINDS = {  # width, height, grain (standard deviation in grey levels), photos
    "12 megapixels": (4000, 3000, 4, 200),
    # Grain doubles the file's size and the time to decode it.
    "12 megapixels in poor light": (4000, 3000, 9, 100),
    "512 px": (512, 384, 9, 1200),
}
SIZE = 224


def naive(raw_dir: Path, out: Path) -> int:
    """Make the arrays with a simple loop."""
    from sklearn.model_selection import train_test_split

    X, y = [], []
    for label, name in enumerate(("not-damaged", "damaged")):
        for path in sorted((raw_dir / name).iterdir()):
            X.append(cv2.resize(cv2.imread(str(path)), (SIZE, SIZE)))
            y.append(label)
    X, y = np.array(X), np.array(y)
    X_train, X_rest, y_train, y_rest = train_test_split(X, y, test_size=0.3, stratify=y)
    X_val, X_test, y_val, y_test = train_test_split(X_rest, y_rest, test_size=0.5, stratify=y_rest)
    out.mkdir()
    for name in ("X_train", "X_val", "X_test", "y_train", "y_val", "y_test"):
        np.save(out / f"{name}.npy", locals()[name])
    return len(y)


def ours(raw_dir: Path, out: Path) -> int:
    """Run step 1 like `data_preprocessing.py`, but without close-ups."""
    from car_damage.dataset.find import find_photos
    from car_damage.dataset.prepare import Settings, prepare

    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    found = find_photos([raw_dir])
    prepare(found, out, Settings(SIZE, SIZE, close_ups=0, shares=shares, seed=0))
    return len(found)


def work(name: str, raw_dir: Path, out: Path) -> None:
    """Run one of the two in this process and print its speed and peak memory."""
    import resource  # Windows does not have it: the pipeline runs there, but not this measurement

    import sklearn.model_selection  # noqa: F401 - imported before the clock starts, like our own

    import car_damage.dataset.prepare  # noqa: F401

    start = time.perf_counter()
    photos = {"naive": naive, "ours": ours}[name](raw_dir, out)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"photos_per_second": photos / seconds, "peak_mb": peak}))


def run(name: str, raw_dir: Path) -> dict[str, float]:
    """Run one of the two in its own process."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--work", name, str(raw_dir), f"{out}/processed"]
        root = Path(__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        result = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def make_photos(folder: Path, width: int, height: int, grain: int, count: int) -> None:
    """Write `count` different JPEGs, half of them to each class folder."""
    noise = np.random.default_rng(0).normal(0, grain, (height, width, 3)).astype(np.float32)

    def write(number: int) -> None:
        patches = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        picture = cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC)
        picture = np.clip(picture + np.roll(noise, 37 * number, axis=1), 0, 255).astype(np.uint8)
        path = folder / ("damaged", "not-damaged")[number % 2] / f"{number}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])

    for name in ("damaged", "not-damaged"):
        (folder / name).mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(count)))


def compare_speed(folder: Path) -> None:
    """Print the photos per second of both, and the median ratio of the rounds."""
    for kind, (width, height, grain, count) in KINDS.items():
        raw_dir = folder / kind
        make_photos(raw_dir, width, height, grain, count)
        size = next(iter((raw_dir / "damaged").iterdir())).stat().st_size / 1e6
        print(f"{kind}: {count} JPEGs of {size:.2f} MB")
        rounds = [(run("naive", raw_dir), run("ours", raw_dir)) for _ in range(ROUNDS)]
        for name, results in zip(("naive", "ours"), zip(*rounds, strict=True), strict=True):
            speeds = [result["photos_per_second"] for result in results]
            print(f"  {name:6} {statistics.median(speeds):8.1f} photos/s")
        key = "photos_per_second"
        ratios = [own[key] / other[key] for other, own in rounds]
        print(f"  ratio  {statistics.median(ratios):8.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def compare_memory(folder: Path) -> None:
    """Print the peak memory of both with 2,000 and with 20,000 photos."""
    for count in (2_000, 20_000):
        raw_dir = folder / str(count)
        make_photos(raw_dir, 320, 240, 9, count)
        peaks = {name: run(name, raw_dir)["peak_mb"] for name in ("naive", "ours")}
        print(f"{count:6,} photos: naive {peaks['naive']:.0f} MB, ours {peaks['ours']:.0f} MB")


def main() -> None:
    """Parse the options, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--memory", action="store_true", help="peak memory instead of speed")
    parser.add_argument("--work", nargs=3, metavar=("WHAT", "RAW", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        name, raw_dir, out = args.work
        work(name, Path(raw_dir), Path(out))
        return
    with tempfile.TemporaryDirectory() as folder:
        (compare_memory if args.memory else compare_speed)(Path(folder))


if __name__ == "__main__":
    main()
