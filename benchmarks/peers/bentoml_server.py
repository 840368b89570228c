"""BentoML with this project's graph and its way of decoding: `bentoml serve ...:Classifier`.

BentoML's documentation recommends one worker per core for work on CPUs ("Parallelize requests
handling") and files as `Path` ("Define input and output types"). Its adaptive batching is for
models that answer several photos faster at once, which this graph does not.
"""

import math
import os
from pathlib import Path

import bentoml

from car_damage import photos
from car_damage.parallel import cores
from car_damage.predictor import Graph


@bentoml.service(workers=cores())
class Classifier:
    """Classifies the photo in the form's field `image`."""

    def __init__(self) -> None:
        self.graph = Graph(Path(os.environ["VERSION_FOLDER"]) / "model.tflite")

    @bentoml.api
    def predict(self, image: Path) -> dict[str, float]:
        """Return the probability of damage."""
        logit = self.graph.run(photos.fit(photos.decode(image.read_bytes()))).logit
        return {"probability": 1 / (1 + math.exp(-logit))}
