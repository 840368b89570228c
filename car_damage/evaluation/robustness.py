"""Tests whether a version looks at the car, or at the size, quality and border of the photo.

Most photos of damage are thumbnails and most photos of whole cars are not, so a classifier may
learn to recognise thumbnails. `equalise` gives all photos the same size, sharpness and compression.
The car is usually in the middle of a photo; banners and backdrops are at the border. `attention`
measures which of them the model uses.
"""

from pathlib import Path

import cv2
import numpy as np

from car_damage.evaluation.inference import Outputs, graph_logits
from car_damage.evaluation.predictions import Predictions
from car_damage.manifest import AttentionMetrics, GreyedMiddle
from car_damage.photos import MID_GREY, Photo, recompress

SIDE = 160  # pixels; smaller than nearly every photo, even thumbnails, so that all lose detail
QUALITY = 75  # libjpeg's default
BORDER = 1 / 8  # of the side, at each edge; the middle is the remaining 9/16 of the image
UNSURE = (0.1, 0.9)  # calibrated probabilities; the same for all versions, to compare them


def equalise(image: Photo) -> Photo:
    """The image, `uint8` (size, size, 3), shrunk to `SIDE`, compressed and enlarged again."""
    size = image.shape[0]
    side = min(SIDE, size)
    shrunk = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(recompress(shrunk, QUALITY), (size, size), interpolation=cv2.INTER_LINEAR)


def attention(
    predictions: Predictions, outputs: Outputs, graph: Path, seed: int
) -> AttentionMetrics:
    """Where in the test photos the evidence for damage is, and what is left without the middle.

    `border_share` is the mean of `border_shares` over photos classified as damaged. `border_area`
    is the share of the heatmap's places at the border; a model that ignored position would have
    this `border_share`. `greyed_middle` says how certain the answers to photos of both classes are
    before and after `grey_middle`. With nothing left to see, the model should become unsure.
    """
    photos = predictions.split.of_kind("photo")
    on_border = np.where(predictions.damaged, border_shares(outputs), np.nan)
    border_share = predictions.bootstrap(
        lambda rows: {"border_share": _mean(on_border[rows])}, photos, seed
    )
    greyed = (grey_middle(predictions.split.X[row]) for row in np.flatnonzero(photos))
    after = predictions.decision.probabilities(graph_logits(graph, greyed))
    return AttentionMetrics(
        **border_share,
        border_area=float(border_places(outputs.heatmaps.shape[1:]).mean()),
        greyed_middle=greyed_middle(predictions.probabilities[photos], after),
    )


def border_shares(outputs: Outputs) -> np.ndarray:
    """The share of each heatmap's positive weight at the border: float (n,), NaN if there is none.

    The weight of a place is its log-odds including the head's bias. It is positive if a photo that
    looked like this place everywhere would be classified as damaged at a probability of 0.5.
    """
    bias = outputs.logits - outputs.heatmaps.mean(axis=(1, 2))
    weight = np.maximum(outputs.heatmaps + bias[:, np.newaxis, np.newaxis], 0)
    border = border_places(outputs.heatmaps.shape[1:])
    total = weight.sum(axis=(1, 2))
    shares = np.full(len(total), np.nan)
    np.divide(weight[:, border].sum(axis=1), total, out=shares, where=total > 0)
    return shares


def border_places(shape: tuple[int, ...]) -> np.ndarray:
    """The places of a heatmap of this shape (h, w) that are border: bool (h, w)."""
    border = np.ones(shape, bool)
    border[_middle(shape)] = False
    return border


def grey_middle(image: Photo) -> Photo:
    """A copy of the image with everything except the border painted mid-grey."""
    greyed = np.array(image)
    greyed[_middle(image.shape[:2])] = MID_GREY
    return greyed


def greyed_middle(before: np.ndarray, after: np.ndarray) -> GreyedMiddle:
    """How certain the answers to the same photos are, with and without the middle."""
    low, high = UNSURE
    return GreyedMiddle(
        count=len(before),
        unsure_before=float(np.mean((before >= low) & (before < high))),
        unsure_after=float(np.mean((after >= low) & (after < high))),
        confident_damaged_before=float(np.mean(before >= high)),
        confident_damaged_after=float(np.mean(after >= high)),
    )


def _middle(shape: tuple[int, ...]) -> tuple[slice, ...]:
    """The inner rows and columns; the border is at least one row or column wide."""
    widths = [max(1, round(BORDER * side)) for side in shape]
    return tuple(slice(width, side - width) for width, side in zip(widths, shape, strict=True))


def _mean(values: np.ndarray) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else float("nan")
