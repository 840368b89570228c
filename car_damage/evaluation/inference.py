"""Outputs of an exported graph for many images."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from car_damage import predictor
from car_damage.parallel import map_in_order, per_thread
from car_damage.photos import Photo


@dataclass(frozen=True)
class Outputs:
    """The graph's outputs for n images, in the same order."""

    logits: np.ndarray  # float64 (n,)
    heatmaps: np.ndarray  # float32 (n, h, w); each averages to its logit less the head's bias
    embeddings: np.ndarray  # float32 (n, d)


def graph_outputs(path: Path, images: Iterable[Photo]) -> Outputs:
    """Run a graph on all cores, on one or more images, each `uint8` (size, size, 3)."""
    graph = per_thread(lambda: predictor.Graph(path))
    each = list(map_in_order(lambda image: graph().run(np.asarray(image)), images))
    return Outputs(
        np.array([outputs.logit for outputs in each]),
        np.stack([outputs.heatmap for outputs in each]),
        np.stack([outputs.embedding for outputs in each]),
    )


def graph_logits(path: Path, images: Iterable[Photo]) -> np.ndarray:
    """Only the logits of `graph_outputs`: float64 (n,)."""
    return graph_outputs(path, images).logits
