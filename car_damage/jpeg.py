"""Read a JPEG's header without a decoder.

This is enough to decode an ordinary JPEG safely, because the time and memory that libjpeg-turbo
needs depend only on the number of pixels and scans.
"""

import re
from typing import NamedTuple

from car_damage import exif

START = b"\xff\xd8\xff"
# A scan header: marker, length and number of components
SCANS = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e]([\1-\4])")
HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive
OTHER_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}  # lossless, hierarchical, arithmetic
APP1, START_OF_SCAN = 0xE1, 0xDA
WITH_LENGTH = {*range(0xC0, 0xFF)} - {*range(0xD0, 0xDA)}  # markers followed by a length
XMP = b"http://ns.adobe.com/xap/1.0/\0"
# None of 2,500 photos from the web and from phones had more than 10 segments or 10 scans. A
# panorama or a depth map needs one segment per 64 kB.
MOST_SEGMENTS = 1_000
MOST_SCANS = 64
MOST_SCANNED = 800_000_000  # pixels times scans: 16 scans for a photo of 50 megapixels


class Frame(NamedTuple):
    """The frame of an ordinary JPEG: 8 bits, one or three components, Huffman coding."""

    width: int
    height: int
    sampling: list[tuple[int, int]]  # of each component, horizontal and vertical


class Header(NamedTuple):
    """The contents of a JPEG's header, and its scans."""

    segments: int  # before the first scan; counting stops above `MOST_SEGMENTS`
    scans: list[int]  # number of components in each
    frame: Frame | None  # None: not an ordinary JPEG; Pillow may still read it
    orientation: int


def read_header(data: bytes) -> Header | None:
    """Read the header; return None if the file does not begin like a JPEG."""
    if not data.startswith(START):
        return None
    frames: list[Frame | None] = []
    metadata = {exif.PREFIX: b"", XMP: b""}
    segments, at, marker = 0, 2, 0
    while segments <= MOST_SEGMENTS and data[at : at + 1] == b"\xff":
        marker = data[at + 1] if at + 1 < len(data) else 0
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == START_OF_SCAN or marker not in WITH_LENGTH or length < 2:
            break
        if marker in HUFFMAN_FRAMES or marker in OTHER_FRAMES:
            frames.append(_frame(marker, data[at + 4 : at + 2 + length]))
        elif marker == APP1:
            _note_metadata(metadata, data[at + 4 : at + 2 + length])
        segments += 1
        at += 2 + length
    frame = frames[0] if len(frames) == 1 and marker == START_OF_SCAN else None
    return Header(segments, scans(data), frame, exif.orientation(*metadata.values()))


def scans(data: bytes) -> list[int]:
    """The number of components in each scan of the file; scans of thumbnails count too."""
    return [ord(scan[1]) for scan in SCANS.finditer(data)]


def _note_metadata(metadata: dict[bytes, bytes], body: bytes) -> None:
    for prefix, before in metadata.items():
        if not before and body.startswith(prefix):
            metadata[prefix] = body


def _frame(marker: int, body: bytes) -> Frame | None:
    """Parse the frame header of an ordinary JPEG (ITU-T T.81, B.2.2); None for others."""
    if marker not in HUFFMAN_FRAMES or len(body) < 6 or len(body) != 6 + 3 * body[5]:
        return None
    bits, count = body[0], body[5]
    height, width = (int.from_bytes(body[at : at + 2], "big") for at in (1, 3))
    sampling = [(byte >> 4, byte & 15) for byte in body[7::3]]
    can_be_sampled = all(1 <= factor <= 4 for pair in sampling for factor in pair)
    if bits != 8 or count not in (1, 3) or not width or not height or not can_be_sampled:
        return None
    return Frame(width, height, sampling)
