"""Compute a photo's perceptual hash, which its copies nearly share.

The hash consists of the signs of a photo's lowest DCT frequencies (Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions"). Scale, compression and brightness hardly change
them. Mirroring flips only those with an odd horizontal frequency, so the hash of a mirrored photo
can be computed without the photo. We add two things. The hash includes the colour channels, because
their low frequencies distinguish more photos than high frequencies of the luma and are more robust.
The hash also covers four windows, each slightly off one of the photo's corners, so that a crop of
up to 5 % on each side is always close to one of them.

Data sets and databases keep hashes, so a change here makes the hashes in them useless.
"""

import cv2
import numpy as np

LUMA_BITS = 104
COLOUR_BITS = 44  # for each of the two colour differences
VIEW_BITS = LUMA_BITS + 2 * COLOUR_BITS
VIEWS = 5  # the whole photo and its four windows
HASH_BYTES = VIEWS * VIEW_BITS // 8

SQUARE = 80  # pixels: the side to which a photo is shrunk before the views are cut from it
WINDOW = 76  # pixels: 95 % of the square, about half way to the largest crop that must be found
OFFSETS = (1, 3)  # pixels from the top and from the left
SIDE = 32  # pixels: the side of the transformed square, twice what the highest frequency needs

# A little luma is added to the colour differences. In a grey photo, they would only be noise.
OPPONENT = np.array(
    [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], np.float32
)
OPPONENT[1:] += 0.05 * OPPONENT[0]


def _lowest_frequencies(count: int) -> np.ndarray:
    """Vertical and horizontal frequencies (count, 2), lowest first, without the mean (0, 0)."""
    grid = np.argwhere(np.ones((SIDE, SIDE), bool))[1:]
    order = grid.sum(axis=1)
    return grid[np.lexsort((np.square(grid).sum(axis=1), order))][:count]


_LUMA, _COLOUR = _lowest_frequencies(LUMA_BITS), _lowest_frequencies(COLOUR_BITS)
_CHANNEL = np.repeat([0, 1, 2], [LUMA_BITS, COLOUR_BITS, COLOUR_BITS])
_DOWN, _ACROSS = np.concatenate([_LUMA, _COLOUR, _COLOUR]).T
MIRROR = np.packbits(_ACROSS % 2)  # the bits of a view that mirroring flips


def _cosines() -> np.ndarray:
    """The DCT-II of the frequencies above, `float64` (SIDE, frequencies), as whole numbers.

    Products of whole numbers below 2**53 are exact in any order. So a frequency that a photo lacks,
    as in a plain or a symmetric one, is 0 on every computer, and never the noise of rounding.
    """
    phases = np.outer(np.arange(SIDE) + 0.5, np.arange(_LUMA.max() + 1))
    return np.round(np.cos(np.pi / SIDE * phases) * 2**16)


_COSINES = _cosines()


def perceptual_hash(photo: np.ndarray) -> np.ndarray:
    """Hash an upright RGB photo to `uint8` (HASH_BYTES,): 192 bits for it and for each window."""
    return hash_of(waves(photo))


def hash_of(waves: np.ndarray) -> np.ndarray:
    """The hash, `uint8` (HASH_BYTES,), of a photo with these waves."""
    return np.packbits(waves > 0)


def waves(photo: np.ndarray) -> np.ndarray:
    """The lowest frequencies of an upright RGB photo's views, `float32` (VIEWS, VIEW_BITS)."""
    whole = _shrink(photo, SQUARE)
    windows = [
        whole[top : top + WINDOW, left : left + WINDOW] for top in OFFSETS for left in OFFSETS
    ]
    views = np.stack([_shrink(view, SIDE) for view in (whole, *windows)])
    across = np.moveaxis(views, -1, 1) @ _COSINES
    both = np.moveaxis(across, 2, 3) @ _COSINES  # (view, colour, across, down)
    channels = OPPONENT @ both[:, :, _ACROSS, _DOWN]
    return channels[:, _CHANNEL, np.arange(VIEW_BITS)].astype(np.float32)


def _shrink(photo: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
