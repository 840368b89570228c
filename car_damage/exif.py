"""Which way up a photo is, from its EXIF or XMP.

Pillow's own reader copies what each entry of a directory points at: an EXIF of 64 kB makes it
allocate 300 MB. Here only one number is read.
"""

import re
import struct

ORIENTATION = 0x0112
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# The types of an entry that can be a whole number, as `struct` calls them
NUMBERS = {3: "H", 4: "L", 8: "h", 9: "l"}
PREFIX = b"Exif\0\0"  # before the TIFF file in a JPEG
ENTRY = 12  # bytes: tag, type, count and value
IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8 unless the file says something odd; 1 if it says nothing.

    `exif` is a TIFF file, with or without `Exif\\0\\0` before it; XMP counts if it has no entry.
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
