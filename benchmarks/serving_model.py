"""The version that the servers are compared with: a ResNet-50 with random weights.

How long a network takes does not depend on its weights. The head is scaled so that the drawn photos
get very different probabilities. So a server that swaps or distorts photos is noticed.

    python -m benchmarks.serving_model PRECISION    # makes the version, with TensorFlow
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks import load
from benchmarks.servers import CACHE, ROOT
from benchmarks.service import photo
from car_damage import model_store, photos, predictor
from car_damage.decision import Decision
from car_damage.manifest import Manifest
from car_damage.photo_warnings import WarningLimits

VERSION = "20260101-0000-0050"
BACKBONE = "resnet50"
PHOTOS = 16  # different photos that are sent
COMPONENTS = 32  # of the limit for unfamiliar photos, as in the included version


def made(precision: str) -> model_store.Record:
    """Return the version in this precision, which is made first if it is missing (a minute)."""
    models = _models(precision)
    if VERSION not in model_store.versions(models):
        # In another process, because TensorFlow would keep a gigabyte.
        command = [sys.executable, "-m", "benchmarks.serving_model", precision]
        subprocess.run(command, cwd=ROOT, check=True)
    return model_store.load_record(models, VERSION)


def jpegs() -> list[bytes]:
    """Draw the photos to send: 1024 x 768 px."""
    return [photo(seed) for seed in range(PHOTOS)]


def write_photos(record: model_store.Record, folder: Path) -> None:
    """Write the photos to send, and what the version answers to each."""
    loaded, expected = predictor.Predictor(record), {}
    for number, jpeg in enumerate(jpegs()):
        name = f"{number:02}.jpg"
        (folder / name).write_bytes(jpeg)
        expected[name] = loaded.predict(photos.decode(jpeg)).probability
    (folder / load.EXPECTED).write_text(json.dumps(expected))


def _models(precision: str) -> Path:
    return CACHE / f"serving-{precision}"


def make(precision: str) -> None:
    """Make the version."""
    import keras  # takes seconds, and servers do not need it

    from car_damage.release.tflite import to_tflite
    from car_damage.training import backbones, classifier

    keras.utils.set_random_seed(0)
    images = np.stack([photos.fit(photos.decode(jpeg)) for jpeg in jpegs()])
    model = classifier.build(backbones.named(BACKBONE))
    _scale_head(model, classifier.feature_extractor(model).predict(images, verbose=0))
    models = _models(precision)
    models.mkdir(parents=True, exist_ok=True)
    with model_store.add(models, VERSION) as folder:
        model.save(folder / model_store.KERAS_MODEL)
        graph = to_tflite(model, photos.SIZE, precision, images)
        (folder / model_store.GRAPH).write_bytes(graph)
        manifest = _manifest(precision, model.get_layer(backbones.RESNET50.embedding).output)
        (folder / model_store.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    model_store.use(models, VERSION)


def _scale_head(model: object, features: np.ndarray) -> None:
    """Set the head so that the logits of these features have mean 0 and standard deviation 1."""
    from car_damage.training.classifier import set_head

    centred = features - features.mean(axis=0)
    kernel = np.linalg.svd(centred, full_matrices=False)[2][0]  # along which they differ most
    kernel /= (features @ kernel).std()
    set_head(model, kernel, -float((features @ kernel).mean()))


def _manifest(precision: str, embedding: object) -> Manifest:
    """Return a manifest with limits for all warnings, so that all of them are computed."""
    random = np.random.default_rng(0).normal(size=(embedding.shape[-1], COMPONENTS))
    limits = WarningLimits(
        sharpness=0.5,
        brightness=100,
        blown=0.2,
        short_side=146,
        distance=0.1,
        components=np.linalg.qr(random)[0].T.astype(np.float32),
    )
    return Manifest(
        version=VERSION,
        backbone=BACKBONE,
        size=photos.SIZE,
        decision=Decision(temperature=1, threshold=0.5),
        precision=precision,
        warning_limits=limits,
    )


if __name__ == "__main__":
    make(sys.argv[1])
