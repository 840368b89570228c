"""Measure one pod: the service with one worker on one core, as in deploy/kubernetes/.

    python benchmarks/pod.py

For each kind of photo, prints the photos per second with clients that send without a pause, the
processor time per photo, and the memory of the pod. The processor time is also valid on a busy
machine. Then prints the memory while the pod decodes the largest photos that it accepts, and
while two workers decode one each. Memory is the proportional set size of all processes together.
Linux only, with two cores: one for the pod and one for its clients.
"""

import io
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pillow_heif
import service
from PIL import Image

from car_damage import jpeg, model_store, paths, pixel_limits

SECONDS = 20  # of load for each kind
KINDS = {"1024 x 768": (1024, 768, 6), "4000 x 3000": (4000, 3000, 4)}  # width, height, grain
LARGEST = (7000, 7100)  # pixels, just below the service's limit
HEIC = (8064, 6048)  # pixels, the largest photo of an iPhone


@contextmanager
def pod() -> Iterator[int]:
    """Run the service on the first core and all else on the other cores. Yields its PID."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    with service.gunicorn() as process:
        os.sched_setaffinity(0, cores[1:])
        service.wait_until_ready()
        yield process.pid


def largest_photos() -> Iterator[tuple[str, bytes]]:
    """Yield photos that need the most memory to decode, in small files."""
    for name, mode, options in (
        ("PNG with alpha", "RGBA", {"format": "PNG", "compress_level": 1}),
        ("PNG with 16 bits", "I;16", {"format": "PNG", "compress_level": 1}),
        ("PNG with a palette", "P", {"format": "PNG", "transparency": 0}),
        ("progressive JPEG", "RGB", {"format": "JPEG", "progressive": True}),
        ("JPEG in CMYK", "CMYK", {"format": "JPEG", "progressive": True}),
        ("WebP with alpha", "RGBA", {"format": "WEBP", "lossless": True, "method": 0}),
        ("TIFF", "RGBA", {"format": "TIFF", "compression": "tiff_deflate"}),
        ("GIF", "P", {"format": "GIF", "transparency": 0}),
        ("AVIF", "RGB", {"format": "AVIF", "speed": 10}),
    ):
        yield name, within_its_limit(mode, options)
    yield "HEIC", heic()


def within_its_limit(mode: str, options: dict[str, Any]) -> bytes:
    """Return a photo in one colour with as many pixels as its kind may have, up to `LARGEST`."""
    small = io.BytesIO()
    Image.new(mode, (64, 64)).save(small, **options)
    with Image.open(small) as opened:
        kind = pixel_limits.kind_of(opened, jpeg.scans(small.getvalue()))
    shrink = min(1, (kind.pixels / math.prod(LARGEST)) ** 0.5)
    file = io.BytesIO()
    Image.new(mode, (int(LARGEST[0] * shrink), int(LARGEST[1] * shrink))).save(file, **options)
    return file.getvalue()


def heic() -> bytes:
    """Return a HEIC in one colour, stored in tiles as an iPhone does."""
    file = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.new("RGB", HEIC))
    picture.save(file, tile_size=512, enc_params={"preset": "ultrafast"})
    return file.getvalue()


def peak_memory(pid: int, work: Callable[[], object]) -> float:
    """Return the peak memory of the process and its children while `work` runs, in MB."""
    seen, done = [service.memory(pid)], threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(service.memory(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return max(seen)


def main() -> None:
    """Measure, and print each result at once."""
    os.environ["WEB_CONCURRENCY"] = "1"
    with pod() as pid:
        print(f"model {model_store.current(paths.MODELS)}")
        seconds = service.processor_seconds(pid)
        print(f"ready: {seconds:.1f} s of processor time, {service.memory(pid):.0f} MB")
        for name, (width, height, grain) in KINDS.items():
            photos = [service.photo(seed, width, height, grain) for seed in range(8)]
            before, begun = service.processor_seconds(pid), time.monotonic()
            count = len(service.load(photos, SECONDS))
            seconds = time.monotonic() - begun
            spent = service.processor_seconds(pid) - before
            print(
                f"{name}, {np.mean([len(photo) for photo in photos]) / 1000:.0f} kB: "
                f"{count / seconds:.1f} photos/s, {spent / count * 1000:.1f} ms of processor time "
                f"per photo, {spent / seconds:.0%} of the core, {service.memory(pid):.0f} MB"
            )
        for name, photo in largest_photos():
            peak = peak_memory(pid, lambda photo=photo: service.ask(service.connect(), photo))
            print(f"{name} at its limit, {len(photo) / 1000:.0f} kB: {peak:.0f} MB")
        print(f"afterwards: {service.memory(pid):.0f} MB")
    two_at_once()


def two_at_once() -> None:
    """Print the memory of two workers that get a HEIC of 48 megapixels each, ten times."""
    os.environ["WEB_CONCURRENCY"] = "2"
    photo = heic()
    with service.gunicorn() as process, ThreadPoolExecutor(2) as clients:
        service.wait_until_ready()
        before = service.memory(process.pid)

        def ask_all() -> None:
            list(clients.map(lambda _: service.ask(service.connect(), photo), range(20)))

        peak = peak_memory(process.pid, ask_all)
    print(f"two workers, two HEICs at once: {before:.0f} MB before, {peak:.0f} MB")


if __name__ == "__main__":
    main()
