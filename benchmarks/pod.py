"""What one pod gives: the service with one worker on one core, as deploy/kubernetes/ runs it.

    python benchmarks/pod.py

For each kind of photo: photos a second of clients that ask without a pause, processor time a photo
of the whole pod, which holds on a busy machine too, and its memory. Then the memory while it
decodes the largest photos that it takes, and while two workers get one each at once. Memory is the
proportional set size of all processes together. Linux only, with two cores: one for the pod, one
for its clients.
"""

import io
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import service
from PIL import Image

from car_damage import jpeg, model_store, paths, pixel_limits

SECONDS = 20  # of load, for each kind
KINDS = {"1024 x 768": (1024, 768, 6), "4000 x 3000": (4000, 3000, 4)}  # and the camera's grain
LARGEST = (7000, 7100)  # pixels: just below what the service takes
HEIC = (8064, 6048)  # pixels: an iPhone's largest photo


@contextmanager
def pod() -> Iterator[int]:
    """The service on the first core and everything else on the others; gives its process id."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    with service.gunicorn() as process:
        os.sched_setaffinity(0, cores[1:])
        service.wait_until_ready()
        yield process.pid


def processor_seconds(pid: int) -> float:
    """User and system time of the process and its children so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for process in [str(pid), *children]:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def largest_photos() -> Iterator[tuple[str, bytes]]:
    """Photos that need the most memory to decode, in small files."""
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
    """A photo in one colour with as many pixels as its kind may have, up to `LARGEST`."""
    small = io.BytesIO()
    Image.new(mode, (64, 64)).save(small, **options)
    with Image.open(small) as opened:
        kind = pixel_limits.kind_of(opened, jpeg.scans(small.getvalue()))
    shrink = min(1, (kind.pixels / math.prod(LARGEST)) ** 0.5)
    file = io.BytesIO()
    Image.new(mode, (int(LARGEST[0] * shrink), int(LARGEST[1] * shrink))).save(file, **options)
    return file.getvalue()


def heic() -> bytes:
    """A HEIC in one colour and in tiles, as an iPhone writes it."""
    file = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.new("RGB", HEIC))
    picture.save(file, tile_size=512, enc_params={"preset": "ultrafast"})
    return file.getvalue()


def peak_memory(pid: int, work: Callable[[], object]) -> float:
    """The most megabytes that the process and its children held while `work` ran."""
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
    """Measure, and print each figure when it is there."""
    os.environ["WEB_CONCURRENCY"] = "1"
    with pod() as pid:
        print(f"model {model_store.current(paths.MODELS)}")
        print(
            f"ready: {processor_seconds(pid):.1f} s of processor time, {service.memory(pid):.0f} MB"
        )
        for name, (width, height, grain) in KINDS.items():
            photos = [service.photo(seed, width, height, grain) for seed in range(8)]
            before, begun = processor_seconds(pid), time.monotonic()
            count = len(service.load(photos, SECONDS))
            seconds = time.monotonic() - begun
            spent = processor_seconds(pid) - before
            print(
                f"{name}, {np.mean([len(photo) for photo in photos]) / 1000:.0f} kB: "
                f"{count / seconds:.1f} photos/s, {spent / count * 1000:.1f} ms of processor time "
                f"a photo, {spent / seconds:.0%} of the core, {service.memory(pid):.0f} MB"
            )
        for name, photo in largest_photos():
            peak = peak_memory(pid, lambda photo=photo: service.ask(service.connect(), photo))
            print(f"{name} at its limit, {len(photo) / 1000:.0f} kB: {peak:.0f} MB")
        print(f"afterwards: {service.memory(pid):.0f} MB")
    two_at_once()


def two_at_once() -> None:
    """Print what two workers need that get a HEIC of 48 megapixels each, ten times."""
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
