"""Read HEIC and HEIF photos, the default of iPhones, with libheif through `pillow_heif`.

The plugin for Pillow is not used. It would copy the pixels once more, which takes 200 MB for a
photo of 48 megapixels.
"""

from typing import TYPE_CHECKING, Literal

from PIL import Image

try:
    import pillow_heif
except ImportError:  # there is no wheel for this computer; all other formats work
    AVAILABLE = False
else:
    AVAILABLE = True
    # Read only the picture itself, and none of the extra pictures in a file.
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False

if TYPE_CHECKING:
    from pillow_heif import HeifImage

HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
AVIF_BRANDS = {b"avif", b"avis"}
CONTAINER_BRANDS = {b"mif1", b"msf1"}  # the major brand of some HEIC and some AVIF files
# The exceptions of `read_header` and `rows` for a broken file
BROKEN = (OSError, SyntaxError, ValueError, EOFError, RuntimeError)


def brand(data: bytes) -> Literal["HEIF", "AVIF"] | None:
    """The format that the file claims to have, or None for any other."""
    if data[4:8] != b"ftyp":
        return None
    major = data[8:12]
    # The compatible brands, after the major brand and its version
    end = min(int.from_bytes(data[:4], "big"), 256)
    others = {data[at : at + 4] for at in range(16, end, 4)}
    if major in AVIF_BRANDS:
        return "AVIF"
    if major in HEIC_BRANDS or others & HEIC_BRANDS:
        return "HEIF"
    if others & AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if major in CONTAINER_BRANDS else None


def read_header(data: bytes) -> "HeifImage":
    """Open the primary picture with its upright size, without decoding it. Raises `BROKEN`."""
    file = pillow_heif.open_heif(data, remove_stride=False)  # converts 10 and 12 bits to 8
    return file[file.primary_index]


def rows(image: "HeifImage", top: int, bottom: int) -> Image.Image:
    """Copy rows of the upright picture; the first call decodes all of it. Raises `BROKEN`.

    libheif turns the picture according to `irot` and `imir` and ignores the orientation in EXIF,
    as the HEIF standard (ISO/IEC 23008-12) requires.
    """
    pixels = memoryview(image.data)[top * image.stride : bottom * image.stride]
    size = image.size[0], bottom - top
    return Image.frombytes(image.mode, size, pixels, "raw", image.mode, image.stride)
