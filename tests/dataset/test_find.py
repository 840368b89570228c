import shutil

import pytest

from car_damage.dataset.find import find_photos, has_photos
from car_damage.errors import UserError
from tests.photo_files import write_photos, write_raw_dir


def test_photos_are_found_in_nested_folders_whatever_the_case_of_their_ending(tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=1)
    (nested,) = write_photos(raw_dir / "damaged" / "front" / "left", 1, first_seed=5)
    shouting = nested.rename(nested.with_suffix(".JPeG"))
    (raw_dir / "damaged" / "notes.txt").write_text("not a photo")

    found = {photo.path: photo.label for photo in find_photos([raw_dir])}

    assert found[shouting.as_posix()] == "damaged"
    assert len(found) == 3


def test_several_raw_folders_are_taken_together_and_each_file_once(tmp_path):
    first = write_raw_dir(tmp_path / "first", per_class=2)
    second = write_raw_dir(tmp_path / "second", per_class=3)
    assert len(find_photos([first, second, first, tmp_path])) == 10


def test_the_kaggle_sets_own_folder_names_are_known(tmp_path):
    write_photos(tmp_path / "data1a" / "training" / "00-damage", 2, first_seed=0)
    write_photos(tmp_path / "data1a" / "validation" / "01-whole", 3, first_seed=9)
    labels = [photo.label for photo in find_photos([tmp_path])]
    assert labels.count("damaged") == 2
    assert labels.count("not-damaged") == 3


def test_the_outermost_class_folder_decides(tmp_path):
    write_photos(tmp_path / "damaged" / "not-damaged-yet" / "not-damaged", 1, first_seed=0)
    write_photos(tmp_path / "not-damaged", 1, first_seed=9)
    assert [photo.label for photo in find_photos([tmp_path])] == ["damaged", "not-damaged"]


@pytest.mark.parametrize("missing", ["damaged", "not-damaged"])
def test_a_missing_or_empty_class_is_named(tmp_path, missing):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=1)
    shutil.rmtree(raw_dir / missing)
    with pytest.raises(UserError, match=f"'{missing}'"):
        find_photos([raw_dir])
    (raw_dir / missing).mkdir()
    with pytest.raises(UserError, match=f"'{missing}'"):
        find_photos([raw_dir])


def test_a_raw_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        find_photos([tmp_path / "nowhere"])


def test_an_empty_raw_folder_has_no_photos(tmp_path):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / ".gitkeep").touch()
    assert not has_photos(tmp_path)
    write_photos(tmp_path / "damaged", 1, first_seed=0)
    assert has_photos(tmp_path)
