"""The orientation of a photo, from its EXIF or XMP.

This module reads a single number. Pillow's own reader copies the data of every entry, so a crafted
EXIF of 64 kB makes it allocate 300 MB.
"""

import re
import struct

ORIENTATION = 0x0112
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# The entry types that hold a whole number, with their `struct` codes
NUMBERS = {3: "H", 4: "L", 8: "h", 9: "l"}
PREFIX = b"Exif\0\0"  # before the TIFF file in a JPEG
ENTRY = 12  # bytes: tag, type, count and value
IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """The orientation that a photo's metadata gives, or 1 if they give none.

    It is 1 to 8 unless the file has an invalid value. `exif` is a TIFF file, with or without
    `Exif\\0\\0` before it. `xmp` is used if EXIF has no orientation.
    """
    found = _in_first_directory(exif.removeprefix(PREFIX))
    if found is None and (match := IN_XMP.search(xmp)):
        found = int(match[1])
    return 1 if found is None else found


def _in_first_directory(tiff: bytes) -> int | None:
    order = BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "L", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for at in range(start + 2, start + 2 + count * ENTRY, ENTRY):
            tag, kind, values = struct.unpack_from(order + "HHL", tiff, at)
            if tag == ORIENTATION and kind in NUMBERS and values == 1:
                value: int = struct.unpack_from(order + NUMBERS[kind], tiff, at + 8)[0]
                return value
    except struct.error:  # the directory is cut short
        pass
    return None
