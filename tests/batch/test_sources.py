import io
from collections import Counter
from itertools import islice

import fsspec
import pytest

from car_damage.batch.sources import photo_names
from car_damage.errors import UserError


@pytest.fixture
def bucket():
    """A folder of fsspec's file system in memory, which lists as buckets do."""
    system = fsspec.filesystem("memory")
    for name in ("b.jpg", "a/2.JPG", "a/1.jpg", "a/notes.txt", "c/._3.jpg"):
        system.pipe_file(f"/photos/{name}", b"photo")
    yield "memory://photos"
    system.rm("/photos", recursive=True)


def test_a_folder_is_read_in_the_order_of_paths_and_only_as_far_as_needed(tmp_path, monkeypatch):
    for name in ("b/2.jpg", "a/3.jpg", "a.jpg", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(tmp_path / name) for name in ("a/3.jpg", "a.jpg", "b/1.jpg", "b/2.jpg")]
    assert list(photo_names([str(tmp_path)])) == names
    lazily = photo_names([str(tmp_path)])
    assert list(islice(lazily, 2)) == names[:2]
    (tmp_path / "b" / "1.jpg").unlink()  # not read yet
    assert list(lazily) == names[3:]


def test_a_photo_in_two_places_comes_once_whichever_place_is_first(tmp_path):
    (tmp_path / "cars").mkdir()
    car, upload = tmp_path / "cars" / "1.jpg", tmp_path / "cars" / "upload"
    car.touch()
    upload.touch()
    folder, car, upload = map(str, (tmp_path / "cars", car, upload))
    assert list(photo_names([folder, car, upload, str(tmp_path)])) == [car, upload]
    assert list(photo_names([upload, car, folder])) == [upload, car]


def test_a_list_is_taken_as_it_is_without_empty_lines(tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_bytes("\ufeffb.jpg\r\n\r\ns3://photos/a\nb.jpg".encode())
    monkeypatch.setattr("sys.stdin", io.StringIO("c.jpg\n"))
    names = list(photo_names([], [str(tmp_path / "list.txt"), "-"]))
    assert names == ["b.jpg", "s3://photos/a", "b.jpg", "c.jpg"]


def test_a_bucket_is_listed_folder_by_folder_and_other_files_are_counted(bucket):
    skipped = Counter()
    found = list(photo_names([bucket], skipped=skipped))
    assert found == [f"memory:///photos/{name}" for name in ("a/1.jpg", "a/2.JPG", "b.jpg")]
    assert skipped == {".txt": 1}
    assert list(photo_names([f"{bucket}/b.jpg"])) == [f"{bucket}/b.jpg"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("memory://nothing", "No photos in memory://nothing. Choose"),
        ("ftps3://a/b", "ftps3://a/b: ftps3:// is unknown. Use a folder, s3://"),
        ("missing", "There is no photo or folder missing"),
    ],
)
def test_a_place_without_photos_gets_one_sentence(place, message):
    with pytest.raises(UserError, match=message):
        list(photo_names([place]))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "Cannot read --list"), (b"\n", "No photos in --list"), (b"\xff\xfe", "not a text")],
)
def test_a_list_that_cannot_be_used_gets_one_sentence(tmp_path, content, message):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(photo_names([], [str(tmp_path / "list.txt")]))
