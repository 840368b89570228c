"""The command line of step 1, and where photos come from."""

from pathlib import Path

import pytest

import data_preprocessing
from car_damage import paths
from car_damage.dataset import source
from car_damage.dataset.arrays import load
from car_damage.errors import UserError, exit_code
from car_damage.manifest import SplitCounts
from tests.images import config_of
from tests.photo_files import write_raw_dir


@pytest.fixture(autouse=True)
def elsewhere(project, tmp_path_factory, monkeypatch):
    """An empty project without network, whose drawn cars are few, and another working directory."""
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(source.kaggle, "is_reachable", lambda: False)
    monkeypatch.setattr(source, "SAMPLE_PHOTOS", 12)
    return folder


def test_uses_the_photos_in_data_raw_by_default(project, capsys):
    write_raw_dir(project / "data" / "raw")
    data_preprocessing.main([])
    dataset = load(project / "data" / "processed")
    assert dataset.config.sample is False
    assert dataset.train.X.shape[1:] == (224, 224, 3)
    assert capsys.readouterr().out.endswith("next: python model_training.py\n")
    folders = {Path(row.path).parent.as_posix() for row in dataset.train.rows}
    assert folders == {"data/raw/damaged", "data/raw/not-damaged"}


def test_paths_that_are_given_start_at_the_working_directory(project, elsewhere, capsys):
    write_raw_dir(elsewhere / "cars")
    options = "--raw-dir cars --out made --size 48 --close-ups 0 --split 50 25 25 --seed 7"
    data_preprocessing.main(options.split())
    dataset = load(elsewhere / "made")
    assert capsys.readouterr().out.endswith("next: python model_training.py --data made\n")
    path = dataset.train.rows[0].path
    assert path.startswith("../")  # not where both are
    assert paths.located(path).read_bytes()
    config = dataset.config
    assert (config.size, config.seed) == (48, 7)
    assert config.counts["train"] == SplitCounts(damaged=10, not_damaged=10, close_ups=0)


def test_without_photos_and_network_cars_are_drawn_with_a_notice(project, capsys):
    data_preprocessing.main([])
    dataset = load(project / "data" / "sample" / "processed")
    assert dataset.config.sample is True
    assert "DRAWN" in capsys.readouterr().err
    assert not (project / "data" / "processed").exists()


def test_a_sample_run_leaves_the_real_data_set_alone(project):
    write_raw_dir(project / "data" / "raw")
    data_preprocessing.main(["--size", "64"])
    before = load(project / "data" / "processed").config
    data_preprocessing.main(["--sample"])
    assert load(project / "data" / "processed").config == before


@pytest.mark.parametrize(
    ("split", "needed"), [("70 15 15", "440"), ("34 33 33", "200"), ("98 1 1", "6,600")]
)
def test_warns_if_there_are_too_few_photos_for_a_review_band(elsewhere, capsys, split, needed):
    write_raw_dir(elsewhere / "cars", per_class=10)
    options = f"--raw-dir cars --out made --size 32 --split {split}"
    data_preprocessing.main(options.split())
    counts = load(elsewhere / "made").config.counts["val"]
    said = (
        f"too few photos: there are {counts.damaged + counts.not_damaged} for validation, and a "
        "review band needs 66. So the model will send every photo to a person. "
        f"Collect about {needed} photos in all.\n"
    )
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("damaged", "warned"), [(33, False), (32, True)])
def test_close_ups_do_not_count_for_the_fewest_validation_photos(damaged, warned, capsys):
    val = SplitCounts(damaged=damaged, not_damaged=33, close_ups=200)
    test = SplitCounts(damaged=40, not_damaged=40, close_ups=0)
    data_preprocessing.print_summary(Path("made"), config_of(counts={"val": val, "test": test}))
    assert ("every photo to a person" in capsys.readouterr().out) is warned


@pytest.mark.parametrize(("damaged", "warned"), [(69, True), (70, False)])
def test_warns_how_uncertain_the_test_of_a_class_with_fewer_than_100_photos_is(
    damaged, warned, capsys
):
    counts = {
        "train": SplitCounts(damaged=damaged, not_damaged=140, close_ups=0),
        "val": SplitCounts(damaged=15, not_damaged=30, close_ups=0),
        "test": SplitCounts(damaged=15, not_damaged=30, close_ups=0),
    }
    data_preprocessing.print_summary(Path("made"), config_of(counts=counts))
    shown = capsys.readouterr().out
    said = (
        "few photos: 99 damaged, 15 of them in the test set. Even if the model classifies all 15 "
        "correctly, it may still be wrong on up to 22% of damaged cars."
    )
    assert (said in shown) == warned
    assert "not damaged, 30" not in shown


def test_step_1_counts_the_files_that_it_skips(project, capsys):
    raw_dir = write_raw_dir(project / "data" / "raw")
    (raw_dir / "damaged" / "film.mov").touch()
    data_preprocessing.main(["--size", "32"])
    assert "skipped: 1 .mov\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ("--size 320", 448),
        ("--size 512", 512),
        ("--size 64 --stored 64", 64),
        ("--stored 600", 600),
    ],
)
def test_images_are_stored_larger_than_the_model_needs_by_default(elsewhere, options, stored):
    write_raw_dir(elsewhere / "cars", per_class=3)
    data_preprocessing.main(["--raw-dir", "cars", "--out", "made", *options.split()])
    assert load(elsewhere / "made").train.stored.shape[1:3] == (stored, stored)


def test_rejects_stored_images_smaller_than_the_model_needs(project):
    with pytest.raises(UserError, match=r"--stored 200 is smaller .*Choose at least 224"):
        data_preprocessing.main(["--sample", "--size", "224", "--stored", "200"])
    assert not list(project.iterdir())


@pytest.mark.parametrize("name", ["damaged/1.jpg", "broken cars/1.jpg", "photos.zip"])
def test_with_any_file_in_data_raw_no_cars_are_drawn(project, name):
    path = project / "data" / "raw" / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(UserError, match=rf"'not-damaged' in .*such as {path}\)"):
        data_preprocessing.main([])
    assert not (project / "data" / "sample").exists()


def test_rejects_an_out_folder_with_other_files_before_any_work(project):
    Path("made").mkdir()
    Path("made/thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"made contains .* thesis\.txt.*--out"):
        data_preprocessing.main(["--sample", "--out", "made"])
    assert Path("made/thesis.txt").read_text() == "years of work"
    assert not Path("data").exists()


def test_uses_the_kaggle_set_if_it_can_be_reached(project, monkeypatch):
    kaggle = write_raw_dir(project / "fetched")
    monkeypatch.setattr(source.kaggle, "is_reachable", lambda: True)
    monkeypatch.setattr(source.kaggle, "fetch", lambda: kaggle)
    data_preprocessing.main(["--size", "32"])
    assert load(project / "data" / "processed").config.counts["train"].damaged == 14


def test_kaggle_without_a_network_is_an_error(project, monkeypatch):
    def fail():
        raise UserError("Kaggle cannot be reached")

    monkeypatch.setattr(source.kaggle, "fetch", fail)
    with pytest.raises(UserError, match="Kaggle"):
        data_preprocessing.main(["--kaggle"])
    assert not list(project.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--size", "7"], "32 to 1024"),
        (["--close-ups", "many"], "whole number"),
        (["--kaggle", "--sample"], "not allowed with"),
        (["--typo"], "--typo"),
    ],
)
def test_a_wrong_option_is_refused_before_any_work(project, capsys, wrong, said):
    with pytest.raises(SystemExit) as stopped:
        data_preprocessing.main(wrong)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(project.iterdir())


def test_a_users_mistake_gives_a_short_error_and_exit_code_2(project, capsys):
    assert exit_code(lambda: data_preprocessing.main(["--raw-dir", "nowhere"])) == 2
    assert capsys.readouterr().err == "error: There is no folder nowhere. Check --raw-dir.\n"
    assert exit_code(lambda: data_preprocessing.main(["--split", "70", "20", "20"])) == 2
    assert "--split 70 20 20 adds up to 110. Choose" in capsys.readouterr().err
