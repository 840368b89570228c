"""A sample run as a newcomer without photos and network has it, and how its model behaves."""

import cv2
import numpy as np
import pytest

import data_preprocessing
import model_training
import predict
from car_damage import model_store
from car_damage.dataset.arrays import Split, load
from car_damage.predictor import Graph
from tests.project import move_project

pytestmark = pytest.mark.slow


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


@pytest.fixture(scope="module")
def test_squares(folder):
    test: Split = load(folder / "data" / "sample" / "processed").test
    return np.asarray(test.X[test.of_kind("photo")])


@pytest.fixture(scope="module")
def answers(record):
    """What turns images into answers, 1 for damaged."""
    graph = Graph(record.graph)

    def answer(images):
        odds = np.array([graph.run(image).logit for image in images])
        decision = record.manifest.decision
        return decision.is_damaged(decision.probabilities(odds))

    return answer


def test_the_model_learns_what_damage_is(record):
    assert record.manifest.metrics.photos.accuracy.value >= 0.8


def test_nothing_goes_where_real_data_and_models_go(folder):
    assert {path.name for path in (folder / "data").iterdir()} == {"sample"}
    assert {path.name for path in (folder / "models").iterdir()} == {"sample"}


def test_predict_uses_the_sample_model_where_asked_and_says_so(folder, capsys):
    damaged, models = folder / "data/sample/raw/damaged", folder / "models" / "sample"
    predict.main([str(damaged), "--models", str(models)])
    output = capsys.readouterr()
    assert "drawn cars" in output.err
    assert output.out.count(",damaged,") > output.out.count(",not_damaged,")


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[:, ::-1].copy(),
        lambda image: cv2.imdecode(
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1], cv2.IMREAD_COLOR
        ),
        lambda image: cv2.convertScaleAbs(image, alpha=1.06),
        lambda image: cv2.convertScaleAbs(image, alpha=0.94),
    ],
    ids=["mirrored", "recompressed", "brighter", "darker"],
)
def test_a_harmless_change_rarely_changes_the_answer(test_squares, answers, change):
    changed = np.stack([change(image) for image in test_squares])
    assert (answers(changed) == answers(test_squares)).mean() >= 0.9
