"""Limits on the pixels of each kind of photo, so that decoding fits in `MOST_MEMORY`."""

from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, TiffImagePlugin

if TYPE_CHECKING:
    from pillow_heif import HeifImage

MAX_PIXELS = 50_000_000
MOST_MEMORY = 250_000_000  # bytes for one photo; a container with two workers has 512 MB


class Kind(NamedTuple):
    """A kind of photo that has a limit of its own: its name, and the memory to decode it."""

    name: str
    bytes_per_pixel: float

    @property
    def pixels(self) -> int:
        """The maximum number of pixels of this kind."""
        return min(MAX_PIXELS, int(MOST_MEMORY / self.bytes_per_pixel))


# The largest measured values, rounded up. docs/api.md lists the resulting limits.
KINDS = {
    "JPEG": Kind("JPEG", 1),  # can be decoded at an eighth of its size
    "PNG": Kind("PNG", 4),
    "GIF": Kind("GIF", 4),
    "BMP": Kind("BMP", 4),
    "TIFF": Kind("TIFF", 8.3),  # in memory twice if it is compressed in one piece
    "WEBP": Kind("WebP", 16.6),  # Pillow decodes it as an animation and keeps several pictures
    "AVIF": Kind("AVIF", 14),
    "HEIF": Kind("HEIC", 5),
}
DEEP_HEIC = Kind("HEIC with more than 8 bits or with transparency", 8)
# It needs only 4 bytes, but Pillow decodes it in Python: 10 megapixels take 1.5 seconds.
RUN_LENGTH_BMP = Kind("run-length coded BMP", 25)
FULL_CHROMA_HEIC = Kind("HEIC with chroma subsampling other than 4:2:0", 16)


def kind_of(image: "Image.Image | HeifImage", scans: list[int]) -> Kind:
    """The kind of an opened photo; `scans` are those of a JPEG, see `jpeg.Header`."""
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
    """The number of pixels that the decoder allocates: a TIFF's tiles may exceed its picture."""
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
    """The kind of a JPEG in several scans: all coefficients are in memory, with 2 bytes each."""
    across, down = (max(1, *(part[axis] for part in sampling)) for axis in (0, 1))
    shares = (part[0] * part[1] / (across * down) for part in sampling)
    return Kind("progressive JPEG", 2 * sum(shares) + 0.2)
