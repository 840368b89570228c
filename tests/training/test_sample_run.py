"""A sample run without photos and network, and the behaviour of its model."""

import cv2
import numpy as np
import pytest

import data_preprocessing
import model_training
import predict
from car_damage import model_store
from car_damage.dataset.arrays import load
from car_damage.drift.__main__ import main as add_reference
from car_damage.photos import recompress
from car_damage.predictor import Graph
from tests.project import move_project


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project after a whole sample run with the small network."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_project(monkeypatch, folder)
        data_preprocessing.main(["--sample"])
        model_training.main(["--backbone", "tiny", "--weights", "none"])
        yield folder


@pytest.fixture(scope="module")
def record(folder):
    return model_store.load_record(folder / "models" / "sample")


def test_a_sample_run_learns_damage_and_leaves_real_data_and_models_alone(folder, record):
    assert record.manifest.metrics.photos.accuracy.value >= 0.8
    assert {path.name for path in (folder / "data").iterdir()} == {"sample"}
    assert {path.name for path in (folder / "models").iterdir()} == {"sample"}


def test_predict_can_use_the_sample_model_and_says_so(folder, capsys):
    damaged, models = folder / "data/sample/raw/damaged", folder / "models" / "sample"
    predict.main([str(damaged), "--models", str(models)])
    output = capsys.readouterr()
    assert "drawn cars" in output.err
    assert output.out.count(",damaged,") > output.out.count(",not_damaged,")


def test_a_version_has_a_reference_and_an_earlier_one_can_be_given_the_same(folder, record):
    path = record.folder / model_store.REFERENCE
    made = path.read_bytes()
    path.unlink()
    data, models = folder / "data" / "sample" / "processed", folder / "models" / "sample"
    add_reference([record.version, "--data", str(data), "--models", str(models)])
    assert path.read_bytes() == made
    assert model_store.load_record(models).manifest.to_json() == record.manifest.to_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[:, ::-1].copy(),
        lambda image: recompress(image, quality=85),
        lambda image: cv2.convertScaleAbs(image, alpha=1.06),
        lambda image: cv2.convertScaleAbs(image, alpha=0.94),
    ],
    ids=["mirrored", "recompressed", "brighter", "darker"],
)
def test_a_harmless_change_rarely_changes_the_answer(folder, record, change):
    test = load(folder / "data" / "sample" / "processed").test
    images = np.asarray(test.X[test.of_kind("photo")])
    decision, graph = record.manifest.decision, Graph(record.graph)
    logits = [[graph.run(image).logit, graph.run(change(image)).logit] for image in images]
    before, after = decision.is_damaged(decision.probabilities(np.array(logits))).T
    assert (before == after).mean() >= 0.85  # of some 80 photos, by a network that trains a minute
