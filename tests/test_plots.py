import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image
from scipy.special import expit

from car_damage.training.plots import write_plots

OF_THE_TEST = ["calibration.png", "confusion_matrix.png", "precision_recall.png", "roc.png"]
HISTORY = [
    {"epoch": 1, "loss": 0.6, "val_loss": 0.5, "accuracy": 0.7, "val_accuracy": 0.75},
    {"epoch": 2, "loss": 0.4, "val_loss": 0.3, "accuracy": 0.8, "val_accuracy": 0.85},
]


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    calibrated = expit(rng.normal(0, 3, 60))
    return (rng.random(60) < calibrated).astype(np.uint8), calibrated


def written(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.filterwarnings("error")
def test_every_plot_is_a_picture_large_enough_to_read(tmp_path, photos):
    write_plots(tmp_path, *photos, 0.46, HISTORY)
    assert written(tmp_path) == sorted([*OF_THE_TEST, "learning_curves.png"])
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 600
            assert np.asarray(picture.convert("L")).std() > 10  # not an empty sheet


def test_without_epochs_there_are_no_learning_curves(tmp_path, photos):
    write_plots(tmp_path, *photos, 0.5, [])
    assert written(tmp_path) == OF_THE_TEST


@pytest.mark.filterwarnings("error")
def test_one_epoch_is_enough_for_learning_curves(tmp_path, photos):
    write_plots(tmp_path, *photos, 0.5, HISTORY[:1])
    assert "learning_curves.png" in written(tmp_path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_leaves_out_the_curves_that_need_two(tmp_path, label):
    write_plots(tmp_path, np.full(3, label), np.array([0.2, 0.4, 0.9]), 0.5, [])
    assert written(tmp_path) == ["calibration.png", "confusion_matrix.png"]


@pytest.mark.filterwarnings("error")
def test_a_threshold_that_no_photo_reaches_is_no_error(tmp_path, photos):
    labels, calibrated = photos
    write_plots(tmp_path, labels, calibrated / 2, 0.9, [])
    assert written(tmp_path) == OF_THE_TEST


def test_no_figure_is_left_in_memory_for_a_window(tmp_path, photos):
    write_plots(tmp_path, *photos, 0.5, HISTORY)
    assert pyplot.get_fignums() == []
