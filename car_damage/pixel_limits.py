"""How many pixels a photo of each kind may have: as many as can be decoded in `MOST_MEMORY`."""

from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, TiffImagePlugin

if TYPE_CHECKING:
    from pillow_heif import HeifImage

MAX_PIXELS = 50_000_000
MOST_MEMORY = 250_000_000  # bytes for one photo: with two workers, a container has 512 MB


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
# 4 bytes would do, but Pillow decodes it in Python: 10 megapixels take a second and a half.
RUN_LENGTH_BMP = Kind("run-length coded BMP", 25)
FULL_CHROMA_HEIC = Kind("HEIC with chroma subsampling other than 4:2:0", 16)


def kind_of(image: "Image.Image | HeifImage", scans: list[int]) -> Kind:
    """The kind of the opened photo; `scans` are those of a JPEG, see `jpeg.Header`."""
    if not isinstance(image, Image.Image):
        return _heic_kind(image)
    if image.format == "BMP" and _is_run_length_coded(image):
        return RUN_LENGTH_BMP
    if image.format not in ("JPEG", "MPO"):
        return KINDS[str(image.format)]
    layers = image.layer  # type: ignore[attr-defined]  # of Pillow's JPEGs
    return jpeg_kind([(across, down) for _, across, down, _ in layers], scans)


def _is_run_length_coded(bitmap: Image.Image) -> bool:
    tiles = getattr(bitmap, "tile", [])
    return any(tile.codec_name == "bmp_rle" for tile in tiles)


def jpeg_kind(sampling: list[tuple[int, int]], scans: list[int]) -> Kind:
    """The kind of a JPEG with these components; see `jpeg.Frame` and `jpeg.Header`."""
    if any(components < len(sampling) for components in scans):
        return _progressive_kind(sampling)
    return KINDS["JPEG"]


def allocated(image: "Image.Image | HeifImage") -> int:
    """How many pixels the decoder allocates: the tiles of a TIFF may be larger than its picture."""
    width, height = image.size
    tags = getattr(image, "tag_v2", {})
    across, down = (
        tags.get(tag) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)
    )
    if not isinstance(across, int) or not isinstance(down, int):  # no tiles, or broken tags
        return width * height
    return max(width * height, across * down)


def _heic_kind(image: "HeifImage") -> Kind:
    if image.info.get("chroma") in (422, 444):
        return FULL_CHROMA_HEIC
    return KINDS["HEIF"] if image.info["bit_depth"] == 8 and not image.has_alpha else DEEP_HEIC


def _progressive_kind(sampling: list[tuple[int, int]]) -> Kind:
    """A JPEG in several scans, whose coefficients must be in memory together: 2 bytes for each."""
    across, down = (max(1, *(part[axis] for part in sampling)) for axis in (0, 1))
    shares = (part[0] * part[1] / (across * down) for part in sampling)
    return Kind("progressive JPEG", 2 * sum(shares) + 0.2)
