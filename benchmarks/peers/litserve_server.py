"""LitServe with this project's graph and its way of decoding.

LitServe's documentation recommends one worker per core for CPUs (`LitServer`, `workers_per_device`)
and as many HTTP servers as workers, its default. Its batches are for models that answer several
photos faster at once, and `fast_queue` for hundreds of requests per second; neither fits here.
"""

import math
import os
from pathlib import Path

import litserve
import numpy as np
from fastapi import Request

from car_damage import photos
from car_damage.parallel import cores
from car_damage.predictor import Graph


class Classifier(litserve.LitAPI):
    """Classifies the photo in the form's field `image`."""

    def setup(self, device: str) -> None:
        """Load the graph, once in each worker."""
        self.graph = Graph(Path(os.environ["VERSION_FOLDER"]) / "model.tflite")

    def decode_request(self, request: Request) -> np.ndarray:
        """Decode the photo to the graph's input."""
        return photos.fit(photos.decode(request["image"].file.read()))

    def predict(self, image: np.ndarray) -> float:
        """Return the logit."""
        return self.graph.run(image).logit

    def encode_response(self, logit: float) -> dict[str, float]:
        """Return the answer's JSON."""
        return {"probability": 1 / (1 + math.exp(-logit))}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=cores())
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="warning",
        generate_client_file=False,
    )
