"""Draw the photos in examples/, which the included model answers as their names say.

    python scripts/draw_examples.py    # again after another model was included

For each file it draws one car after another until the model's answer suits the name. The same model
gives the same files.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from car_damage import model_store, paths, photos
from car_damage.dataset.sample import draw_car
from car_damage.errors import UserError, exit_code
from car_damage.predictor import Prediction, Predictor, load

EXAMPLES = paths.ROOT / "examples"
SEED, MOST = 5, 1000  # of the drawn cars, and how many are tried for a file
QUALITY = 90  # of the JPEGs, which then have about 20 kB


class Example(NamedTuple):
    """What a file shows, and which answers suit it."""

    damaged: bool
    first: int  # the number of the first car that is tried: one that people can judge at a glance
    suits: Callable[[Prediction], bool]


def is_sure(answer: Prediction) -> bool:
    """Whether no person has to look."""
    return not answer.review and not answer.warnings


FILES = {
    # The same car twice, with and without damage
    "damaged.jpg": Example(True, 19, lambda a: is_sure(a) and a.label == "damaged"),
    "undamaged.jpg": Example(False, 19, lambda a: is_sure(a) and a.label == "not_damaged"),
    "not-sure.jpg": Example(True, 25, lambda a: a.review and 0.3 < a.probability < 0.7),
}


def main() -> None:
    """Find a car for each file, then write all of them."""
    included = paths.MODELS / model_store.PRETRAINED
    predictor = load(included, model_store.versions(included)[-1])
    found = {name: find(name, example, predictor) for name, example in FILES.items()}
    EXAMPLES.mkdir(exist_ok=True)
    for name, jpeg in found.items():
        (EXAMPLES / name).write_bytes(jpeg)


def find(name: str, example: Example, predictor: Predictor) -> bytes:
    """The first drawn car whose answer suits, as a JPEG. Raises `UserError` if there is none."""
    for number in range(example.first, example.first + MOST):
        photo, _ = draw_car(np.random.default_rng([SEED, number]), example.damaged)
        jpeg = photos.encode_jpeg(photo, QUALITY)
        answer = predictor.predict(photos.decode(jpeg, predictor.record.manifest.size))
        if example.suits(answer):
            print(f"{name}: car {number}, {answer.label}, {answer.probability}")
            return jpeg
    raise UserError(f"No drawn car among {MOST} suits {name}: draw stronger damage")


if __name__ == "__main__":
    sys.exit(exit_code(main))
