"""What a version keeps of its training photos, and how far others are from them."""

import numpy as np
import pytest

from car_damage import model_store
from car_damage.dataset.find import find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.drift.__main__ import main
from car_damage.drift.reference import Reference
from car_damage.errors import UserError
from tests.photo_files import write_raw_dir
from tests.tiny_model import VERSION


def embeddings(count, seed, moved=0.0):
    random = np.random.default_rng(seed)
    return (random.standard_normal((count, 40)) * np.linspace(5, 1, 40) + moved).astype(np.float32)


@pytest.fixture(scope="module")
def reference():
    return Reference.of(embeddings(3000, 0), embeddings(1000, 1), seed=0)


def test_one_photo_in_twenty_like_the_validation_photos_is_far(reference):
    far = reference.distances(embeddings(2000, 2)) > reference.limit
    assert far.mean() == pytest.approx(0.05, abs=0.02)


def test_other_photos_are_farther(reference):
    far = reference.distances(embeddings(2000, 2, moved=6)) > reference.limit
    assert far.mean() > 0.5


def test_the_file_is_small_and_gives_the_same_distances(reference, tmp_path):
    content = reference.to_bytes()
    assert len(content) < 2**20
    (tmp_path / "reference.npz").write_bytes(content)
    again = Reference.read(tmp_path / "reference.npz")
    assert again.distances(embeddings(50, 3)) == pytest.approx(
        reference.distances(embeddings(50, 3))
    )


def test_few_photos_that_are_all_the_same_do_no_harm():
    same = np.ones((3, 8), np.float32)
    made = Reference.of(same, same, seed=0)
    assert made.distances(same) == pytest.approx(np.zeros(3), abs=0.01)


def test_a_reference_that_was_added_is_sealed(models, reference):
    model_store.add_file(
        model_store.load_record(models), model_store.REFERENCE, reference.to_bytes()
    )
    path = model_store.load_record(models).folder / model_store.REFERENCE
    path.write_bytes(b"changed")
    with pytest.raises(UserError, match=r"reference.npz has changed"):
        model_store.load_record(models)


def test_a_reference_of_other_photos_is_refused(models, tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=10)
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    data = tmp_path / "processed"
    prepare(find_photos([raw_dir]), data, Settings(32, 32, close_ups=0, shares=shares, seed=1))
    before = {path.name for path in (models / VERSION).iterdir()}
    with pytest.raises(UserError, match="was not trained on the data set in"):
        main([VERSION, "--data", str(data), "--models", str(models)])
    assert {path.name for path in (models / VERSION).iterdir()} == before
