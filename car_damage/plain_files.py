"""PNGs and WebPs without anything unusual: their pixels alone decide how long decoding takes."""

import struct

PNG = b"\x89PNG\r\n\x1a\n"
# A camera or a browser writes up to about 1,300 chunks into 10 MB.
MOST_CHUNKS = 4_096
# Chunks of a PNG that Pillow inflates, and how many bytes each may have in the file.
COMPRESSED = {b"iCCP", b"zTXt", b"iTXt"}
MOST_COMPRESSED = 4
LARGEST_COMPRESSED = 65_536
ANIMATED = {b"acTL", b"fcTL", b"fdAT", b"ANIM", b"ANMF"}


def is_plain(data: bytes) -> bool:
    """Whether the file is a PNG or a WebP with one picture and few chunks, not interlaced."""
    if data.startswith(PNG):
        return _is_plain_png(data)
    return data.startswith(b"RIFF") and data[8:12] == b"WEBP" and _is_plain_webp(data)


def _is_plain_png(data: bytes) -> bool:
    position, chunks, compressed = len(PNG), 0, 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        chunks += 1
        compressed += name in COMPRESSED
        too_long = name in COMPRESSED and length > LARGEST_COMPRESSED
        if name in ANIMATED or too_long or compressed > MOST_COMPRESSED or chunks > MOST_CHUNKS:
            return False
        if name == b"IHDR" and data[position + 20 : position + 21] != b"\0":  # interlaced
            return False
        position += length + 12
    return chunks > 0


def _is_plain_webp(data: bytes) -> bool:
    position, chunks = 12, 0
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        chunks += 1
        if name in ANIMATED or chunks > MOST_CHUNKS:
            return False
        position += length + length % 2 + 8
    return chunks > 0
