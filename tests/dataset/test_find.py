import pytest

from car_damage.dataset.find import find_photos, holds_files, skipped_files
from car_damage.errors import UserError
from tests.photo_files import write_photos, write_raw_dir


def test_finds_photos_in_nested_folders_with_endings_in_any_case(tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=1)
    (nested,) = write_photos(raw_dir / "damaged" / "front" / "left", 1, first_seed=5)
    shouting = nested.rename(nested.with_suffix(".JPeG"))
    (raw_dir / "damaged" / "notes.txt").write_text("not a photo")

    found = {photo.path: photo.label for photo in find_photos([raw_dir])}

    assert found[shouting.as_posix()] == "damaged"
    assert len(found) == 3


def test_finds_each_file_once_in_several_raw_folders(tmp_path):
    first = write_raw_dir(tmp_path / "first", per_class=2)
    second = write_raw_dir(tmp_path / "second", per_class=3)
    assert len(find_photos([first, second, first, tmp_path])) == 10


@pytest.mark.parametrize("damaged", ["Damaged", "DAMAGED ", "damage"])
@pytest.mark.parametrize(
    "whole", ["undamaged", "Not_Damaged", "not damaged", "NotDamaged", "non-damaged", "no-damage"]
)
def test_recognises_class_folders_in_all_spellings(tmp_path, damaged, whole):
    write_photos(tmp_path / damaged, 1, first_seed=0)
    write_photos(tmp_path / whole, 1, first_seed=9)
    found = {photo.path: photo.label for photo in find_photos([tmp_path])}
    assert found == {
        f"{tmp_path / damaged}/0.jpg": "damaged",
        f"{tmp_path / whole}/9.jpg": "not-damaged",
    }


def test_links_to_folders_are_followed_and_each_file_comes_once(tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=2)
    elsewhere = (raw_dir / "damaged").rename(tmp_path / "elsewhere")
    (raw_dir / "damaged").symlink_to(elsewhere)
    (raw_dir / "damage").symlink_to(elsewhere)
    (raw_dir / "not-damaged" / "up").symlink_to(tmp_path)
    labels = [photo.label for photo in find_photos([raw_dir])]
    assert labels == ["damaged", "damaged", "not-damaged", "not-damaged"]


def test_the_outermost_class_folder_decides(tmp_path):
    write_photos(tmp_path / "damaged" / "not-damaged-yet" / "not-damaged", 1, first_seed=0)
    write_photos(tmp_path / "not-damaged", 1, first_seed=9)
    assert [photo.label for photo in find_photos([tmp_path])] == ["damaged", "not-damaged"]


@pytest.mark.parametrize("missing", ["damaged", "not-damaged"])
def test_the_error_for_a_class_without_photos_lists_the_files_found(tmp_path, missing):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=1)
    (raw_dir / missing).rename(raw_dir / f"{missing}-cars")
    (raw_dir / missing).mkdir()
    with pytest.raises(
        UserError, match=rf"'{missing}' .*2 files there, such as .*/{missing}-cars/\d+\.jpg"
    ):
        find_photos([raw_dir])


def test_rejects_a_missing_raw_folder(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        find_photos([tmp_path / "nowhere"])


def test_a_raw_folder_with_only_system_files_counts_as_empty(tmp_path):
    assert not holds_files(tmp_path / "nowhere")
    (tmp_path / "damaged").mkdir()
    for litter in (".gitkeep", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "damaged" / litter).touch()
    assert not holds_files(tmp_path)
    (tmp_path / "not-damaged").symlink_to(tmp_path / "a-disk-that-is-not-mounted")
    assert holds_files(tmp_path)


def test_counts_skipped_files_by_reason(tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=1)
    write_photos(raw_dir / "to sort", 2, first_seed=5)
    for name in ("damaged/a.mov", "damaged/b.MOV", "c.pdf", "damaged/notes"):
        (raw_dir / name).touch()
    (raw_dir / "damaged" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert skipped_files([raw_dir, tmp_path]) == {
        ".mov": 2,
        ".pdf": 1,
        "file without an ending": 1,
        "link to a missing file": 1,
        "photo outside damaged/ and not-damaged/": 2,
    }


def test_files_of_the_operating_system_are_ignored(tmp_path):
    raw_dir = write_raw_dir(tmp_path / "raw", per_class=1)
    (raw_dir / "damaged" / "__MACOSX").mkdir()
    (raw_dir / "sources.csv").write_text("folder,source\n")
    for litter in (".DS_Store", "Thumbs.db", "._1000.jpg", "__MACOSX/1.jpg"):
        (raw_dir / "damaged" / litter).touch()
    assert len(find_photos([raw_dir])) == 2
    assert not skipped_files([raw_dir])
