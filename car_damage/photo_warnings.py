"""Warnings about doubtful answers: the photo is poor, or unlike the training photos.

Each version stores its `WarningLimits`, fitted by `car_damage.evaluation.ood`. All values are
measured on the model's input image, which training and serving both have. Only the resolution is
that of the original photo.
"""

import base64
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from car_damage.photos import Photo

WarningWord = Literal["blurred", "dark", "overexposed", "low_resolution", "unfamiliar"]

# Pixels: the longest side of the image that sharpness is measured on. At this size, a photo that
# was slightly enlarged looks as sharp as any other. `low_resolution` covers small photos.
COMMON_SIDE = 128
REBLUR = 9  # pixels: a blur that removes most of the detail of a sharp photo
BRIGHTEST = 90  # percentile: lamps at night and reflections in dark photos are above it
BLOWN = 250  # luma: at this value and above, no detail is left
STORED = np.dtype("<f2")  # of components: half precision, whatever the machine's byte order


@dataclass(frozen=True)
class Quality:
    """The quality of a photo."""

    sharpness: float  # share of its detail that another blur would remove: 0 to 1
    brightness: float  # luma, 0 to 255, that nine tenths of its pixels do not exceed
    blown: float  # share of nearly white pixels in the middle quarter of its area: 0 to 1
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
    """The limits for a version's warnings.

    A version warns below `sharpness`, `brightness` and `short_side`, and above the other limits.
    None: it never gives that warning, for example because the version is older than the warning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    sharpness: float | None = None
    brightness: float | None = None
    blown: float | None = None
    short_side: int | None = None  # at most the model's, because `photos.decode` shrinks photos
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
    """The warnings for a photo, in a fixed order; `embedding` is the graph's, float32 (d,)."""
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
    """Measure the quality of a photo on its model image; `short_side` is the photo's, in pixels."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = luma.shape
    middle = luma[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return Quality(
        sharpness=_sharpness(luma),
        brightness=float(np.percentile(luma, BRIGHTEST)),
        blown=float(np.mean(middle >= BLOWN)),  # the middle, because white backgrounds are fine
        short_side=short_side,
    )


def distance(embedding: np.ndarray, components: np.ndarray) -> float:
    """The distance of an embedding (d,) from the familiar ones: 0 to 1.

    This is the share of its squared length outside the components (k, d), which pass through the
    origin. Oja's subspace classifier (1983) and ViM's residual (Wang et al. 2022,
    https://arxiv.org/abs/2203.10807) use the same projection; here only the embedding's direction
    counts. Pictures without a car have short embeddings rather than distant ones, so Mahalanobis
    distances (Lee et al. 2018, https://arxiv.org/abs/1807.03888) would find them familiar. An
    embedding of zeros has the distance 1.
    """
    whole = float(np.square(embedding, dtype=np.float64).sum())
    inside = float(np.square(components @ embedding, dtype=np.float64).sum())
    return 1.0 if whole == 0 else max(0.0, 1 - inside / whole)


def _sharpness(luma: np.ndarray) -> float:
    """The share of the differences between neighbouring pixels that a blur removes: 0 to 1.

    A photo that is already blurred has values near 0. The less sharp direction, horizontal or
    vertical, counts, so that motion blur is found. The method is from Crete et al. 2007, "The blur
    effect" (https://doi.org/10.1117/12.702790). Unlike the variance of the Laplacian, it does not
    report a smooth car as blurred, because only existing detail counts.
    """
    height, width = (min(side, COMMON_SIDE) for side in luma.shape)
    small = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    across = _lost(np.diff(small, axis=1), np.diff(cv2.blur(small, (REBLUR, 1)), axis=1))
    down = _lost(np.diff(small, axis=0), np.diff(cv2.blur(small, (1, REBLUR)), axis=0))
    return min(across, down)


def _lost(before: np.ndarray, after: np.ndarray) -> float:
    """The share of the differences `before` that is gone `after`; 0 if there were none."""
    whole = float(np.abs(before).sum())
    lost = float(np.maximum(0, np.abs(before) - np.abs(after)).sum())
    return lost / whole if whole else 0.0
