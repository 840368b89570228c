"""README's examples and commands, run as a new user would."""

from pathlib import Path

import pytest

from car_damage import model_store, photos, predictor
from car_damage.predictor import Predictor

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
KILOBYTES = 60


@pytest.fixture(scope="module")
def included() -> Predictor:
    """The included model, whichever version is in use."""
    models = ROOT / "models" / model_store.PRETRAINED
    return predictor.load(models, model_store.versions(models)[-1])


@pytest.mark.parametrize(
    ("name", "label", "review"),
    [("damaged", "damaged", False), ("undamaged", "not_damaged", False), ("not-sure", None, True)],
)
def test_the_included_model_answers_each_example_as_its_name_says(included, name, label, review):
    photo = photos.decode((EXAMPLES / f"{name}.jpg").read_bytes(), included.record.manifest.size)
    answer = included.predict(photo)
    assert (answer.review, answer.warnings) == (review, ())
    assert label in (None, answer.label)


def test_the_examples_are_small_and_there_are_no_others():
    sizes = {path.name: path.stat().st_size for path in EXAMPLES.glob("*.jpg")}
    assert sizes.keys() == {"damaged.jpg", "undamaged.jpg", "not-sure.jpg"}
    assert max(sizes.values()) <= KILOBYTES * 1000
