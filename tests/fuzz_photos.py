"""Fuzz the decoding of photos, guided by code coverage (Linux).

    python tests/fuzz_photos.py                        # for a minute, as in CI
    python tests/fuzz_photos.py -max_total_time=3600   # any option of libFuzzer

Each file must become a photo or be refused with a reason; another exception, a crash or a hang ends
the run with exit code other than 0, and leaves the file as crash-… in the current folder.
"""

import io
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["PIL", "pillow_heif", "car_damage.photos"]):
    from PIL import Image

    from car_damage import photos
    from tests.photo_files import heic

    Image.init()  # imports the reader of each format now, while what is imported is watched


def decode_or_refuse(data: bytes) -> None:
    """What must hold for any bytes."""
    try:
        photo = photos.decode(data)
    except photos.UnusablePhoto:
        return
    assert photo.dtype == np.uint8
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert min(photo.shape[:2]) >= photos.MIN_SIDE // 2  # half, if a narrow one is very long


def write_seeds(folder: Path) -> None:
    """A small photo of each format to start from: a fuzzer would not find their headers soon."""
    grain = np.random.default_rng(0).integers(0, 256, (64, 72, 3), np.uint8)
    picture = Image.fromarray(grain)
    exif = Image.Exif()
    exif[0x0112] = 6
    for file_format in photos.FORMATS:
        file = io.BytesIO()
        picture.save(file, file_format, exif=exif)
        (folder / file_format).write_bytes(file.getvalue())
    (folder / "HEIC").write_bytes(heic(picture, exif=exif.tobytes()))


def main() -> None:
    """Fuzz until the time is over."""
    with tempfile.TemporaryDirectory() as seeds:
        write_seeds(Path(seeds))
        options = ["-max_total_time=60", "-timeout=20", "-print_final_stats=1", *sys.argv[1:]]
        atheris.Setup([sys.argv[0], *options, seeds], decode_or_refuse)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
