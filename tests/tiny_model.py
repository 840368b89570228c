"""A tiny version for tests: an exported graph that takes red for damage, made in a second or two.

It keeps the contract of `model.tflite` (uint8 `photo` in; `logit`, `heatmap` and `embedding` out)
without training, so that its answers are known: the redder a place, the more it speaks for damage.
"""

from pathlib import Path
from typing import Any

import numpy as np

from car_damage import model_store
from car_damage.decision import Decision
from car_damage.manifest import Estimate, Manifest, Metrics, MetricSet

SIZE = 32
CELLS = 4
FEATURES = 8
BIAS = -2.0
VERSION = "20260311-1402-0a1b"
DECISION = Decision(temperature=2.0, threshold=0.5)


def graph_bytes() -> bytes:
    """The graph: heatmap = redness of each cell / 16, logit = mean of the heatmap + bias."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.uint8, "photo")])
    def serve(photo: Any) -> dict[str, Any]:
        rgb = tf.nn.avg_pool2d(tf.cast(photo, tf.float32), SIZE // CELLS, SIZE // CELLS, "VALID")
        features = tf.tile(rgb, (1, 1, 1, 3))[..., :FEATURES]
        heatmap = (rgb[..., 0] - (rgb[..., 1] + rgb[..., 2]) / 2) / 16
        logit = tf.reshape(tf.reduce_mean(heatmap) + BIAS, (1, 1))
        embedding = tf.reduce_mean(features, axis=(1, 2))
        return {"logit": logit, "heatmap": heatmap, "embedding": embedding}

    module = tf.Module()
    module.serve = serve
    concrete = serve.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def add_version(
    models: Path,
    graph: bytes,
    version: str = VERSION,
    decision: Decision = DECISION,
    files: dict[str, bytes] | None = None,
    **changes: Any,
) -> str:
    """Put a sealed version into `models`: this graph, `files`, and `changes` in its manifest."""
    accuracy = Estimate(value=0.875, low=0.8, high=0.95)
    entries = {
        "created": "2026-03-11T14:02:00+00:00",
        "backbone": "tiny",
        "size": SIZE,
        "precision": "float32",
        "metrics": Metrics(photos=MetricSet(count=8, accuracy=accuracy)),
        **changes,
    }
    manifest = Manifest(version=version, decision=decision, **entries)
    with model_store.add(models, version) as folder:
        (folder / "model.tflite").write_bytes(graph)
        (folder / "model.json").write_text(manifest.to_json(), encoding="utf-8")
        for name, content in (files or {}).items():
            (folder / name).write_bytes(content)
    return version


def plain_photo(red: bool, height: int = 80, width: int = 120) -> np.ndarray:
    """A photo of one colour, which the tiny model takes for damaged (red) or not (blue)."""
    return np.full((height, width, 3), (200, 30, 30) if red else (30, 30, 200), np.uint8)
