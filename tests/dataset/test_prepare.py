"""Properties of data/processed, on photos of texture with copies and broken files."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from car_damage import photos
from car_damage.dataset import arrays
from car_damage.dataset.arrays import SPLITS, load
from car_damage.dataset.find import find_photos
from car_damage.dataset.prepare import Settings, prepare
from car_damage.errors import UserError
from tests.photo_files import jpeg, texture, write_photos, write_raw_dir

SETTINGS = Settings(
    size=32, stored=32, close_ups=1, shares={"train": 0.7, "val": 0.15, "test": 0.15}, seed=0
)


@pytest.fixture(scope="module")
def raw_dir(tmp_path_factory):
    """20 photos of each class, 6 copies of some of them, and files that cannot be used."""
    raw_dir = write_raw_dir(tmp_path_factory.mktemp("raw"))
    damaged, whole = raw_dir / "damaged", raw_dir / "not-damaged"
    for seed in (1000, 1001, 1002):
        (damaged / f"copy-{seed}.jpg").write_bytes(jpeg(texture(seed), quality=40))
        Image.fromarray(texture(seed)).resize((120, 90)).save(damaged / f"small-{seed}.png")
    shutil.copy(damaged / "1003.jpg", whole / "also-damaged.jpg")
    (damaged / "cut.jpg").write_bytes(jpeg(texture(3000))[:2000])
    (whole / "text.jpg").write_text("not a photo")
    (whole / "empty.jpg").touch()
    Image.fromarray(texture(3001)).resize((63, 200)).save(whole / "narrow.png")
    Image.new("1", (8000, 6300)).save(whole / "huge.png")
    return raw_dir


@pytest.fixture(scope="module")
def processed(raw_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "processed"
    prepare(find_photos([raw_dir]), folder, SETTINGS)
    return folder


def rows_of(dataset):
    return [row for name in SPLITS for row in getattr(dataset, name).rows]


def splits_by_path(dataset):
    return {(row.path, row.kind): row.split for row in rows_of(dataset)}


def test_another_size_does_not_change_hashes_groups_and_splits(raw_dir, processed, tmp_path):
    prepare(find_photos([raw_dir]), tmp_path / "larger", replace(SETTINGS, size=96))
    assert rows_of(load(tmp_path / "larger")) == rows_of(load(processed))


def test_each_square_shows_the_photo_of_its_row(processed):
    dataset = load(processed)
    for split in (dataset.train, dataset.val, dataset.test):
        for row in split.rows:
            if row.kind == "photo":
                with open(row.path, "rb") as file:
                    expected = photos.fit(photos.decode(file.read(), 32), 32)
                np.testing.assert_array_equal(split.X[row.row], expected)


def test_every_file_is_either_used_or_rejected_with_its_reason(raw_dir, processed):
    with (processed / "rejected.csv").open(newline="") as file:
        rejected = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    used = {path for path, kind in splits_by_path(load(processed)) if kind == "photo"}
    assert used | rejected.keys() == {photo.path for photo in find_photos([raw_dir])}
    assert not used & rejected.keys()
    faults = ["truncated", "not_a_photo", "empty", "too_small", "too_large"]
    assert sorted(rejected.values()) == sorted([*faults, "both_classes", "both_classes"])


def test_copies_share_a_group(processed):
    groups = {row.path.rsplit("/", 1)[1]: row.group for row in rows_of(load(processed))}
    for seed in (1000, 1001, 1002):
        assert groups[f"{seed}.jpg"] == groups[f"copy-{seed}.jpg"] == groups[f"small-{seed}.png"]


def test_no_cell_of_the_photos_table_is_too_long_for_a_spreadsheet(processed):
    with (processed / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {len(row["phash"]) for row in rows} == {48}
    assert len({row["phash"] for row in rows}) > 20, "different photos have different hashes"


def test_the_order_of_names_does_not_change_the_data_set(raw_dir, tmp_path):
    found = find_photos([raw_dir])
    prepare(found, tmp_path / "forwards", SETTINGS)
    prepare(found[::-1], tmp_path / "backwards", SETTINGS)
    forwards, backwards = load(tmp_path / "forwards"), load(tmp_path / "backwards")
    assert splits_by_path(forwards) == splits_by_path(backwards)


def test_a_changed_file_is_noticed_before_training(processed, tmp_path):
    tampered = shutil.copytree(processed, tmp_path / "tampered")
    labels = np.load(tampered / "y_train.npy")
    np.save(tampered / "y_train.npy", 1 - labels)
    with pytest.raises(UserError, match="has changed since step 1"):
        load(tampered)


def test_the_error_for_a_missing_data_set_has_the_command_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"Run python data_preprocessing\.py first"):
        load(tmp_path)


def test_a_run_that_fails_leaves_the_old_data_set_whole(processed, raw_dir, tmp_path, monkeypatch):
    folder = shutil.copytree(processed, tmp_path / "processed")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays, "write_config", fail)
    with pytest.raises(UserError, match="disk is full"):
        prepare(find_photos([raw_dir]), folder, SETTINGS)
    load(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["processed"]


def test_other_files_in_the_data_sets_folder_are_kept(processed, raw_dir, tmp_path):
    folder = shutil.copytree(processed, tmp_path / "processed")
    (folder / "notes.csv").write_text("years of work")
    np.save(folder / "notes.npy", 1)
    load(folder)
    with pytest.raises(UserError, match=r"processed contains .* notes\.csv"):
        prepare(find_photos([raw_dir]), folder, SETTINGS)
    assert (folder / "notes.csv").read_text() == "years of work"


def test_photos_keep_their_splits_when_one_is_added_and_others_move_to_another_folder(tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=120)
    for path in raw_dir.rglob("*.jpg"):
        path.rename(path.with_stem(f"{path.stem}-x"))  # a number at the end would make runs
    settings = replace(SETTINGS, shares={"train": 0.34, "val": 0.33, "test": 0.33})
    prepare(find_photos([raw_dir]), tmp_path / "before", settings)
    write_photos(raw_dir / "a" / "damaged", 1, first_seed=5_000)
    (raw_dir / "a" / "not-damaged").mkdir()
    for path in sorted((raw_dir / "not-damaged").iterdir())[1::2]:
        path.rename(raw_dir / "a" / "not-damaged" / path.name)
    prepare(find_photos([raw_dir]), tmp_path / "after", settings)
    before, after = (
        {row.sha256: row.split for row in rows_of(load(tmp_path / name))}
        for name in ("before", "after")
    )
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1 == 241


def test_the_error_for_unusable_photos_counts_them_by_reason(tmp_path):
    for label in ("damaged", "not-damaged"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_text("nothing")
    with pytest.raises(UserError, match="2 not_a_photo"):
        prepare(find_photos([tmp_path]), tmp_path / "out", SETTINGS)


def test_rejects_a_class_that_is_too_small_and_leaves_nothing_behind(tmp_path):
    write_photos(tmp_path / "raw" / "damaged", 2, first_seed=0)
    write_photos(tmp_path / "raw" / "not-damaged", 20, first_seed=100)
    with pytest.raises(UserError, match="'damaged' has 2 different photos"):
        prepare(find_photos([tmp_path / "raw"]), tmp_path / "processed", SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
