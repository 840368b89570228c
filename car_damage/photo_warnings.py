"""What makes an answer doubtful: a photo too poor to judge, or unlike those the model learnt from.

A version stores its `WarningLimits`, fitted by `car_damage.evaluation.ood`. All is measured on the
model's image, which training has of every photo and serving has at hand; only the resolution is
that of the photo itself. NumPy and OpenCV are enough for it.
"""

import base64
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from car_damage.photos import Photo

WarningWord = Literal["blurred", "dark", "overexposed", "low_resolution", "unfamiliar"]

# Pixels: no side of what sharpness is measured on is longer. A photo only a little smaller than the
# image, enlarged to it, is as sharp there as any other: its size is for `low_resolution` to tell.
COMMON_SIDE = 128
REBLUR = 9  # pixels: the blur that a sharp photo loses most of its detail to
BRIGHTEST = 90  # percentile: a night photo's lamps and a dark photo's reflections lie above it
BLOWN = 250  # luma from which no detail is left
STORED = np.dtype("<f2")  # of components: half precision, whatever the machine's byte order


@dataclass(frozen=True)
class Quality:
    """How good a photo is to judge by."""

    sharpness: float  # share of its detail that a further blur would take: 0 to 1
    brightness: float  # luma, 0 to 255, that nine tenths of its pixels do not exceed
    blown: float  # share of its middle, a quarter of its area, that is as good as white: 0 to 1
    short_side: int  # pixels


def _packed(components: np.ndarray) -> dict[str, str | tuple[int, ...]]:
    rows = components.astype(STORED)
    return {"shape": rows.shape, "float16": base64.b64encode(rows.tobytes()).decode()}


def _unpacked(packed: Any) -> Any:
    if not isinstance(packed, dict):
        return packed
    try:
        rows = np.frombuffer(base64.b64decode(packed["float16"]), STORED)
        matrix = rows.reshape(packed["shape"]).astype(np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("it is not a matrix in base64") from error
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise ValueError("it is not a matrix of finite numbers")
    return matrix


class WarningLimits(BaseModel):
    """From where on a version warns: below the first, second and fourth, above the others.

    None: it never gives that warning, as a version that is older than the warning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    sharpness: float | None = None
    brightness: float | None = None
    blown: float | None = None
    short_side: int | None = None  # at most the model's: `photos.decode` may shrink photos to it
    distance: float | None = None
    # float32 (k, d): orthonormal rows that span the familiar embeddings; stored in half precision
    components: Annotated[
        np.ndarray | None,
        BeforeValidator(_unpacked),
        PlainSerializer(_packed, when_used="unless-none"),
    ] = None


def find_warnings(
    quality: Quality, embedding: np.ndarray, limits: WarningLimits
) -> tuple[WarningWord, ...]:
    """What to warn of, always in the same order; `embedding` is the graph's, float32 (d,)."""
    found: dict[WarningWord, bool] = {
        "blurred": _below(quality.sharpness, limits.sharpness),
        "dark": _below(quality.brightness, limits.brightness),
        "overexposed": _above(quality.blown, limits.blown),
        "low_resolution": _below(quality.short_side, limits.short_side),
        "unfamiliar": limits.components is not None
        and _above(distance(embedding, limits.components), limits.distance),
    }
    return tuple(word for word, given in found.items() if given)


def _below(value: float, limit: float | None) -> bool:
    return limit is not None and value < limit


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit


def measure_quality(image: Photo, short_side: int) -> Quality:
    """Measure the model's image of a photo whose shorter side has `short_side` pixels."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = luma.shape
    middle = luma[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return Quality(
        sharpness=_sharpness(luma),
        brightness=float(np.percentile(luma, BRIGHTEST)),
        blown=float(np.mean(middle >= BLOWN)),  # the middle: a cut-out on white is no mistake
        short_side=short_side,
    )


def distance(embedding: np.ndarray, components: np.ndarray) -> float:
    """How far an embedding (d,) points away from the familiar ones: 0 to 1.

    The share of its squared length that lies outside the components (k, d), which pass through the
    origin: the projection onto the principal space, as in Oja's subspace classifier (1983) and
    ViM's residual (Wang et al. 2022, https://arxiv.org/abs/2203.10807), but by the embedding's
    direction alone. Pictures of no car have embeddings that are short rather than far away, so that
    Mahalanobis distances (Lee et al. 2018, https://arxiv.org/abs/1807.03888) find them familiar.
    An embedding of zeros says nothing and is as far as can be.
    """
    whole = float(np.square(embedding, dtype=np.float64).sum())
    inside = float(np.square(components @ embedding, dtype=np.float64).sum())
    return 1.0 if whole == 0 else max(0.0, 1 - inside / whole)


def _sharpness(luma: np.ndarray) -> float:
    """What a blur takes off the differences of neighbouring pixels: 0 (blurred already) to 1.

    Of the directions across and down the less sharp counts, so that a shaken photo is found. By
    Crete et al. 2007, "The blur effect" (https://doi.org/10.1117/12.702790): unlike the variance of
    the Laplacian it does not call a smooth car blurred, since only the detail that is there counts.
    """
    height, width = (min(side, COMMON_SIDE) for side in luma.shape)
    small = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    across = _lost(np.diff(small, axis=1), np.diff(cv2.blur(small, (REBLUR, 1)), axis=1))
    down = _lost(np.diff(small, axis=0), np.diff(cv2.blur(small, (1, REBLUR)), axis=0))
    return min(across, down)


def _lost(before: np.ndarray, after: np.ndarray) -> float:
    """The share of the differences `before` that is no longer there `after`; 0 where none were."""
    whole = float(np.abs(before).sum())
    lost = float(np.maximum(0, np.abs(before) - np.abs(after)).sum())
    return lost / whole if whole else 0.0
