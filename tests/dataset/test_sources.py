"""Where photos come from: their folder, unless sources.csv says otherwise."""

import pytest

from car_damage.dataset.find import find_photos, holds_files
from car_damage.dataset.sources import run_of
from car_damage.errors import UserError
from tests.photo_files import write_photos


@pytest.fixture
def raw_dir(tmp_path):
    """A raw folder with photos in class folders, in a folder below and in one below that."""
    for number, folder in enumerate(
        ("damaged", "damaged/lot", "damaged/lot/row", "not-damaged", "not-damaged/lot")
    ):
        write_photos(tmp_path / "garage" / folder, 1, first_seed=number)
    return tmp_path / "garage"


def sources(raw_dir):
    return {
        photo.path.split("/garage/")[1].rsplit("/", 1)[0]: photo.source
        for photo in find_photos([raw_dir])
    }


def test_the_default_source_is_the_folder_below_the_class_folder_or_the_raw_folder(raw_dir):
    assert sources(raw_dir) == {
        "damaged": "garage",
        "damaged/lot": "lot",
        "damaged/lot/row": "lot",
        "not-damaged": "garage",
        "not-damaged/lot": "lot",
    }


def test_sources_csv_names_the_source_of_a_folder_and_of_all_below_it(raw_dir):
    table = "folder,source\ndamaged,wrecks\ndamaged/lot/row,row\nnot-damaged/lot,dealer\n"
    (raw_dir / "sources.csv").write_text(table, encoding="utf-8-sig")
    assert sources(raw_dir) == {
        "damaged": "wrecks",
        "damaged/lot": "wrecks",
        "damaged/lot/row": "row",
        "not-damaged": "garage",
        "not-damaged/lot": "dealer",
    }


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"folder,source\ndamaged/gone,lot\n", "folder 'damaged/gone' in .* does not exist"),
        (b"folder,source\ndamaged,\n", "has no source for the folder 'damaged'"),
        (b"folder,source\ndamaged\n", "with the columns 'folder' and 'source'"),
        (b"folder;source\ndamaged;lot\n", "with the columns 'folder' and 'source'"),
        ("folder,source\ndamaged,Müller\n".encode("latin-1"), "in UTF-8"),
    ],
)
def test_the_error_for_a_wrong_sources_csv_says_what_is_wrong(raw_dir, table, said):
    (raw_dir / "sources.csv").write_bytes(table)
    with pytest.raises(UserError, match=said):
        find_photos([raw_dir])


def test_sources_csv_alone_does_not_fill_a_raw_folder(tmp_path):
    (tmp_path / "sources.csv").write_text("folder,source\n")
    assert not holds_files(tmp_path)


def test_numbered_photos_of_one_source_and_name_are_runs_of_24():
    runs = [run_of("phone", f"x/IMG_{number:04}.jpg") for number in range(1, 100)]
    assert len(set(runs)) == 5
    assert len({*runs[23:47]}) == 1, "24 to 47"
    assert run_of("phone", "a/IMG_0001.jpg") == run_of("phone", "b/IMG_0001.png")
    assert run_of("phone", "IMG_0001.jpg") != run_of("other", "IMG_0001.jpg")
    assert run_of("phone", "IMG_0001.jpg") != run_of("phone", "DSC_0001.jpg")
    assert run_of("phone", "front.jpg") is None
    assert run_of("phone", "crop-4ef0-d.jpg") is None
