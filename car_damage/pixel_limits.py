"""How many pixels a photo of each kind may have: as many as can be decoded in `MOST_MEMORY`."""

import re
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from pillow_heif import HeifImage

MAX_PIXELS = 50_000_000
MOST_MEMORY = 250_000_000  # bytes for one photo: with two workers, a container has 512 MB
# The scan headers of a JPEG: their length, and how many components the scan contains
SCANS = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e]([\1-\4])")


class Kind(NamedTuple):
    """A kind of photo as the limits tell them apart: its name, and what decoding it takes."""

    name: str
    bytes_per_pixel: float

    @property
    def pixels(self) -> int:
        """How many pixels a photo of this kind may have."""
        return min(MAX_PIXELS, int(MOST_MEMORY / self.bytes_per_pixel))


# The most that was measured, rounded up; docs/api.md lists the limits that follow.
KINDS = {
    "JPEG": Kind("JPEG", 1),  # decoded at an eighth of its size
    "PNG": Kind("PNG", 4),
    "GIF": Kind("GIF", 4),
    "BMP": Kind("BMP", 4),
    "TIFF": Kind("TIFF", 8.3),  # compressed in one piece, it is in memory twice
    "WEBP": Kind("WebP", 16.6),  # Pillow decodes it as an animation, which keeps several pictures
    "AVIF": Kind("AVIF", 14),
    "HEIF": Kind("HEIC", 5),
}
DEEP_HEIC = Kind("HEIC with more than 8 bits or with transparency", 8)
FULL_CHROMA_HEIC = Kind("HEIC with chroma subsampling other than 4:2:0", 16)


def kind_of(image: "Image.Image | HeifImage", data: bytes) -> Kind:
    """The kind of the opened photo, whose file is `data`."""
    if not isinstance(image, Image.Image):
        return _heic_kind(image)
    if image.format not in ("JPEG", "MPO"):
        return KINDS[str(image.format)]
    components = image.layer  # type: ignore[attr-defined]  # of Pillow's JPEGs
    if any(ord(scan[1]) < len(components) for scan in SCANS.finditer(data)):
        return _progressive_kind(components)
    return KINDS["JPEG"]


def _heic_kind(image: "HeifImage") -> Kind:
    if image.info.get("chroma") in (422, 444):
        return FULL_CHROMA_HEIC
    return KINDS["HEIF"] if image.info["bit_depth"] == 8 and not image.has_alpha else DEEP_HEIC


def _progressive_kind(components: list[tuple[int, int, int, int]]) -> Kind:
    """A JPEG in several scans, whose coefficients must be in memory together: 2 bytes for each."""
    across, down = (max(1, *(part[axis] for part in components)) for axis in (1, 2))
    shares = (part[1] * part[2] / (across * down) for part in components)
    return Kind("progressive JPEG", 2 * sum(shares) + 0.2)
