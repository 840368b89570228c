"""Step 2 from end to end, on drawn cars and the small network that needs no weights."""

import csv
import os
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import data_preprocessing
import model_training
from car_damage import model_store, paths
from car_damage.dataset.arrays import load
from car_damage.dataset.find import find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.dataset.sample import write_sample_photos
from car_damage.errors import UserError
from car_damage.manifest import Manifest
from car_damage.predictor import Graph
from car_damage.training import initial_weights
from car_damage.training.checkpoints import Run
from car_damage.training.initial_weights import ImagenetUnavailable, starting_model
from car_damage.training.linear_probe import fit_head
from car_damage.training.phases import log_loss
from tests import tiny_model

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small data set of drawn cars, 40 of each class at 48 px."""
    folder = tmp_path_factory.mktemp("data")
    write_sample_photos(folder / "raw", per_class=40)
    found = find_photos([folder / "raw"])
    settings = Settings(48, 72, close_ups=1, shares=SHARES, seed=0, sample=True)
    prepare(found, folder / "processed", settings)
    return folder / "processed"


def options(data, models, *more):
    tiny = ["--backbone", "tiny", "--weights", "none", "--epochs", "2", "--batch-size", "8"]
    return ["--data", str(data), "--models", str(models), *tiny, *more]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A models folder with one version, trained for two epochs."""
    models = tmp_path_factory.mktemp("models")
    model_training.main(options(data, models))
    return models


def the_version(models: Path) -> Path:
    (name,) = model_store.versions(models)
    return models / name


def manifest(models: Path) -> Manifest:
    return model_store.load_record(models, the_version(models).name).manifest


def test_a_version_has_all_its_files(trained, data):
    version, dataset = the_version(trained), load(data)
    names = {path.name for path in version.iterdir()}
    assert names >= {"model.keras", "model.tflite", "model.json", "history.csv"}
    assert names >= {"predictions.csv", "report.html"}
    assert "label_issues.csv" not in names  # random features say nothing about labels
    about = manifest(trained)
    assert about.dataset.fingerprint == dataset.config.fingerprint
    assert about.sample
    assert about.settings.epochs == 2
    photos = about.metrics.photos
    assert all((photos.accuracy, photos.false_negative_rate, photos.roc_auc, photos.ece))
    assert photos.count + about.metrics.close_ups.count == len(dataset.test.y)
    low, high = about.decision.review_band
    assert low <= about.decision.threshold <= high
    with (version / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["epoch"]) for row in rows] == [1, 2]
    assert rows[0].keys() >= {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert not list(trained.glob("training-*")), "nothing of the run is left"
    assert model_store.current(trained) == version.name


def test_every_validation_and_test_square_has_its_answer_in_the_table(trained, data):
    with (the_version(trained) / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    dataset = load(data)
    expected = [(row.split, row.path, row.kind) for row in dataset.val.rows + dataset.test.rows]
    assert [(row["split"], row["path"], row["kind"]) for row in rows] == expected
    about = manifest(trained)
    right = [
        (float(row["probability"]) >= about.decision.threshold) == (row["label"] == "damaged")
        for row in rows
        if row["split"] == "test" and row["kind"] == "photo"
    ]
    assert np.mean(right) == about.metrics.photos.accuracy.value


def test_the_exported_graph_agrees_with_the_keras_model(trained, data):
    version, test = the_version(trained), load(data).test
    keras_model = keras.saving.load_model(version / "model.keras", compile=False)
    graph = Graph(version / "model.tflite")
    expected = np.asarray(keras_model.predict(np.asarray(test.X), verbose=0)["logit"])[:, 0]
    logits = np.array([graph.run(image).logit for image in np.asarray(test.X)])
    spread = max(1.0, np.ptp(expected))
    assert np.abs(logits - expected).mean() < 0.05 * spread
    export = manifest(trained).metrics.export
    assert export.graph_accuracy >= export.keras_accuracy - 0.005


def test_a_run_killed_in_training_and_resumed_gives_the_same_model(
    trained, data, tmp_path, monkeypatch
):
    save = Run.save

    def save_and_die(run, model, row):
        save(run, model, row)
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        model_training.main(options(data, tmp_path))
    monkeypatch.undo()
    assert not model_store.versions(tmp_path)

    model_training.main(options(data, tmp_path, "--resume"))

    resumed, whole = (
        keras.saving.load_model(the_version(models) / "model.keras", compile=False).get_weights()
        for models in (tmp_path, trained)
    )
    for ours, theirs in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_zero_epochs_stop_after_the_head_and_promote_never_leaves_the_current_version(data, models):
    current = model_store.current(models)
    model_training.main(options(data, models, "--epochs", "0", "--promote", "never"))
    assert model_store.current(models) == current
    (new,) = set(model_store.versions(models)) - {current}
    assert (models / new / "model.tflite").exists()
    assert not (models / new / "history.csv").exists()


def test_a_model_mixed_with_its_start_is_between_both_and_lists_labels_that_look_wrong(
    trained, data, tmp_path
):
    start = str(the_version(trained) / "model.keras")
    weights = [keras.saving.load_model(start).get_weights()]
    for keep in ("0", "0.75"):
        more = ["--weights", start, "--epochs", "1", "--keep", keep]
        model_training.main(options(data, tmp_path / keep, *more))
        made = the_version(tmp_path / keep) / "model.keras"
        weights.append(keras.saving.load_model(made).get_weights())
        with (made.parent / "label_issues.csv").open(newline="") as file:
            assert csv.DictReader(file).fieldnames == ["path", "label", "suggested", "quality"]
    for before, after, mixed in zip(*weights, strict=True):
        between = 0.75 * before + 0.25 * after
        half_precision = 2**-10 * np.abs([before, after]).max()  # to which all three are rounded
        np.testing.assert_allclose(mixed, between, rtol=0, atol=half_precision)


def test_the_log_loss_is_the_same_measure_before_and_after_fine_tuning(trained, data):
    start = starting_model(None, str(the_version(trained) / "model.keras"), True, trained)
    fitted = fit_head(start.model, load(data), batch_size=8)
    assert log_loss(start.model, load(data).val) == pytest.approx(fitted.loss, abs=1e-4)


def test_costs_choose_the_threshold_and_are_in_the_manifest_and_the_report(
    trained, data, tmp_path, capsys
):
    start = ["--weights", str(the_version(trained) / "model.keras"), "--epochs", "1"]
    costs = ["--cost-missed", "900", "--cost-false-alarm", "100", "--cost-review", "9"]
    model_training.main(options(data, tmp_path, *start, *costs))
    about = manifest(tmp_path)
    assert about.decision.threshold == 0.1
    assert about.decision.review_band == (0.01, 0.91)
    assert about.metrics.cost.costs.missed == 900
    cost = about.metrics.cost.per_thousand
    assert cost.low <= cost.value <= cost.high
    shown = capsys.readouterr().out
    assert "cost of 1,000, known sources" in shown
    assert "(before fine-tuning: " in shown
    page = (the_version(tmp_path) / "report.html").read_text(encoding="utf-8")
    assert "What do mistakes and checks cost?" in page


def checked(*arguments, sample=True, photos=()):
    model_training.check(model_training.build_parser().parse_args(arguments), sample, photos)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights", "gone.keras"], "gone.keras does not exist"),
        (["--weights", "gone.npz"], "gone.npz does not exist"),
        (["--weights", "none", "--keep", "0.5"], "--keep mixes in the weights of an earlier"),
        (["--weights", "none", "--unfreeze", "conv99"], "no stage 'conv99'"),
        (["--cross-sources", "--leave-out", "a"], "Remove --leave-out"),
        (["--cost-missed", "9"], "Add --cost-false-alarm and --cost-review"),
    ],
)
def test_wrong_options_of_step_2_are_refused_before_step_1(arguments, said):
    with pytest.raises(UserError, match=said):
        checked("--backbone", "tiny", *arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--leave-out", "dealr"], r"No photo has the source dealr\. Choose from cars, dealer\.$"),
        (["--leave-out", "cars"], "there is no damaged photo to train on"),
        (["--cross-sources"], "at least two sources"),
    ],
)
def test_sources_that_the_photos_do_not_have_are_refused_before_step_1(tmp_path, arguments, said):
    for photo in ("damaged/a.jpg", "not-damaged/b.jpg", "not-damaged/dealer/c.jpg"):
        (tmp_path / "cars" / photo).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cars" / photo).touch()
    step_1 = data_preprocessing.build_parser().parse_args(["--raw-dir", str(tmp_path / "cars")])
    photos = data_preprocessing.photos_of(data_preprocessing.source_of(step_1))
    with pytest.raises(UserError, match=said):
        checked("--backbone", "tiny", "--weights", "none", *arguments, photos=photos)


def test_weights_of_another_network_are_refused_before_step_1(trained):
    weights = str(the_version(trained) / "model.keras")
    checked("--weights", weights)
    with pytest.raises(UserError, match="mobilenetv2"):
        checked("--backbone", "mobilenetv2", "--weights", weights)


@pytest.mark.parametrize(
    ("program", "begins"),
    [
        ("scripts/pipeline.py", "bash .*run_pipeline.sh --raw-dir 'my cars' --weights "),
        ("model_training.py", "python model_training.py --raw-dir 'my cars' --weights "),
    ],
)
def test_without_a_network_the_error_ends_with_a_line_to_paste(
    program, begins, monkeypatch, project, tiny_graph
):
    def unreachable(*_):
        raise ImagenetUnavailable("No route to host.")

    monkeypatch.setattr(initial_weights, "starting_model", unreachable)
    monkeypatch.setattr(sys, "argv", [program, "--raw-dir", "my cars"])
    (project / "models/pretrained").mkdir(parents=True)
    name = tiny_model.add_version(
        project / "models/pretrained", tiny_graph, files={"model.keras": b"weights"}
    )
    with pytest.raises(UserError, match=begins + rf"\S+/{name}/model.keras$"):
        checked(sample=False)
    with pytest.raises(UserError, match=r"model\.keras --backbone tiny$"):
        checked("--backbone", "resnet50", sample=False)


def test_step_1_uses_the_sizes_of_the_earlier_model_by_default(trained):
    weights = str(the_version(trained) / "model.keras")
    for given, expected in (([], (48, 72)), (["--size", "64"], (64, None))):
        args = data_preprocessing.build_parser().parse_args(given)
        data_preprocessing.suit_weights(args, weights)
        assert (args.size, args.stored) == expected


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--keep", "0.5", "--keep mixes in the weights of an earlier"),  # not with random values
        ("--unfreeze", "conv99", "conv1, conv2"),
    ],
)
def test_rejects_an_option_that_does_not_suit_the_network(data, tmp_path, option, value, said):
    with pytest.raises(UserError, match=said):
        model_training.main(options(data, tmp_path, option, value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--epochs", "-1"], "whole number"),
        (["--batch-size", "0"], "whole number"),
        (["--learning-rate", "fast"], "number above 0"),
        (["--keep", "1"], "from 0 to below 1"),
        (["--backbone", "vgg"], "resnet50"),
        (["--precision", "int4"], "int8"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(capsys, wrong, said):
    with pytest.raises(SystemExit) as stopped:
        model_training.main(wrong)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_the_default_data_set_is_the_real_one_or_otherwise_the_drawn_one(project, data, capsys):
    shutil.copytree(data, paths.SAMPLE_PROCESSED)
    assert model_training.default_data_set() == paths.SAMPLE_PROCESSED
    assert "using the drawn cars in" in capsys.readouterr().out
    shutil.copytree(data, paths.PROCESSED)
    os.utime(paths.PROCESSED / "dataset.json", (0, 0))
    assert model_training.default_data_set() == paths.PROCESSED


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        model_training.main(["--help"])
    assert "--backbone" in capsys.readouterr().out
