"""Photo files for tests: pictures of random texture, all different."""

import io
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image


def texture(seed: int, width: int = 160, height: int = 120) -> np.ndarray:
    """A picture of soft coloured patches with some grain, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    patches = cv2.resize(
        rng.integers(0, 256, (9, 12, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    grain = rng.normal(0, 6, patches.shape)
    return (patches + grain).clip(0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int = 90, **options) -> bytes:
    """The picture as a JPEG file's bytes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, **options)
    return file.getvalue()


def heic(picture: np.ndarray | Image.Image, **options) -> bytes:
    """The picture as a HEIC file's bytes."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, **options)
    return file.getvalue()


def avif(picture: np.ndarray, **options) -> bytes:
    """The picture as an AVIF file's bytes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "AVIF", **options)
    return file.getvalue()


def write_photos(folder: Path, count: int, first_seed: int) -> list[Path]:
    """Write `count` different JPEGs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}.jpg" for seed in range(first_seed, first_seed + count)]
    for seed, path in enumerate(paths, first_seed):
        path.write_bytes(jpeg(texture(seed)))
    return paths


def write_raw_dir(raw_dir: Path, per_class: int = 20) -> Path:
    """Write a raw folder with both classes, `per_class` photos each."""
    write_photos(raw_dir / "damaged", per_class, first_seed=1_000)
    write_photos(raw_dir / "not-damaged", per_class, first_seed=2_000)
    return raw_dir
