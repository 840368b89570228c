"""Files that need far more work or memory to decode than their size suggests."""

import struct

from tests.photo_files import jpeg, texture


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg_with_scans(count: int, side: int = 800) -> bytes:
    """A progressive JPEG in grey whose scans say nothing, but have to be gone through."""
    blocks = (side // 8) ** 2
    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    tables = segment(0xDB, bytes([0] + [1] * 64))
    tables += segment(0xC4, b"\0\1" + bytes(15) + b"\0")  # DC: no difference
    tables += segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")  # AC: 16,384 blocks without any
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8)
    scan = segment(0xDA, b"\1\1\0\1\x3f\0") + bytes(2 * (blocks // 16_384 + 1))
    return b"\xff\xd8" + tables + frame + first + scan * (count - 1) + b"\xff\xd9"


def jpeg_with_segments(count: int) -> bytes:
    """A JPEG with many tiny segments of EXIF, which Pillow joins one by one."""
    whole = jpeg(texture(1))
    return whole[:2] + segment(0xE1, b"Exif\0\0ab") * count + whole[2:]


def tiff_with_tile(side: int, bits: int = 8) -> bytes:
    """A TIFF of 64 x 64 pixels in one tile with these sides, of which nothing is in the file."""
    numbers = {256: 64, 257: 64, 258: bits, 259: 8, 262: 1, 277: 1, 322: side, 323: side}
    numbers |= {324: 8, 325: 8}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in numbers.items())
    return b"II*\0" + struct.pack("<IH", 8, len(numbers)) + entries + bytes(4)


def bitmap_with_line_ends(side: int, count: int) -> bytes:
    """A run-length coded BMP that says nothing but `end of line`."""
    body = b"\0\0" * count
    start = 54 + 1024
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + bytes(1024) + body


def exif_with_copies() -> bytes:
    """EXIF whose entries each point at nearly all of it."""
    count, size = 5_000, 60_000
    entries = b"".join(struct.pack("<HHII", 0x9000 + at, 7, size, 8) for at in range(count))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4)
