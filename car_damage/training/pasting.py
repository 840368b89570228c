"""Paste a small photo into a photo of an undamaged car, to create small damage.

In most photos of damage, the damage fills the picture, and most photos of whole cars show none. So
a network learns that close-ups are damaged, and overlooks small damage. With pasted patches, the
answer depends on the patch. Half of the patches are undamaged, because otherwise the patch itself
would give the answer away. Cut-Paste (Dwibedi et al. 2017, https://arxiv.org/abs/1708.01642) blends
the edges for the same reason.
"""

import cv2
import numpy as np

from car_damage.photos import Photo

SIDE = (0.3, 0.6)  # of the host's side
ASPECT = (3 / 4, 4 / 3)  # of the patch
SOFT_CHANCE = 0.5  # probability that the patch fades out at its edges
EDGE = 0.12  # of the patch's shorter side: the width of the fade
MATCH_CHANCE = 0.5  # probability that the patch is adjusted to the colour of its surroundings
MATCHED = (0.3, 1.0)  # of the difference in colour


def paste(host: Photo, patch: Photo, rng: np.random.Generator) -> Photo:
    """Paste the shrunk `patch` into a copy of `host`, `uint8` (size, size, 3)."""
    size = len(host)
    width = round(size * rng.uniform(*SIDE))
    height = min(size, round(width * rng.uniform(*ASPECT)))
    left, top = rng.integers(0, size - width + 1), rng.integers(0, size - height + 1)
    place = slice(top, top + height), slice(left, left + width)
    under = host[place].astype(np.float32)
    small = cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    if rng.random() < MATCH_CHANCE:
        small += (under.mean((0, 1)) - small.mean((0, 1))) * rng.uniform(*MATCHED)
    opacity = _soft_edges(height, width) if rng.random() < SOFT_CHANCE else 1.0
    pasted = host.copy()
    pasted[place] = (under + opacity * (small - under)).round().clip(0, 255).astype(np.uint8)
    return pasted


def _soft_edges(height: int, width: int) -> np.ndarray:
    """Opacity that falls towards the edges, float32 (height, width, 1)."""
    edge = max(1, round(EDGE * min(height, width)))

    def ramp(length: int) -> np.ndarray:
        to_edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
        return np.minimum(1, to_edge / (edge + 1)).astype(np.float32)

    return (ramp(height)[:, None] * ramp(width)[None])[:, :, None]
