"""Kept photos: a folder or a bucket, whole files only, and errors that say what to do."""

import hashlib
import os
import time

import fsspec
import pytest

from car_damage.errors import UserError
from car_damage.records import kept_photos
from car_damage.records.kept_photos import KeptPhotos, PhotosUnavailable

PHOTO = b"the bytes of a photo"
SHA256 = hashlib.sha256(PHOTO).hexdigest()


@pytest.fixture(params=["folder", "bucket"])
def address(request, tmp_path):
    yield str(tmp_path) if request.param == "folder" else "memory://claims/photos"
    fsspec.filesystem("memory").store.clear()


def test_a_photo_comes_back_and_is_named_by_its_sha256(address):
    photos = KeptPhotos(address)
    assert photos.read(SHA256) is None
    photos.write(SHA256, PHOTO)
    photos.write(SHA256, PHOTO)
    assert photos.has(SHA256)
    assert photos.read(SHA256) == PHOTO
    files = fsspec.open_files(f"{address}/**")
    assert [file.path.rpartition("/")[2] for file in files] == [SHA256]
    photos.delete(SHA256)
    photos.delete(SHA256)
    assert not photos.has(SHA256)


def test_a_file_that_is_not_whole_is_never_given_out(tmp_path):
    photos = KeptPhotos(str(tmp_path))
    photos.write(SHA256, PHOTO)
    (tmp_path / SHA256[:2] / SHA256).write_bytes(PHOTO[:5])
    assert photos.read(SHA256) is None


def test_a_folder_that_is_gone_is_an_outage(tmp_path):
    file = tmp_path / "photos"
    photos = KeptPhotos(str(file))
    file.write_text("a file in the folder's place")
    with pytest.raises(PhotosUnavailable, match="KEEP_PHOTOS cannot be reached"):
        photos.write(SHA256, PHOTO)


def test_a_bucket_that_does_not_exist_is_an_outage(monkeypatch):
    def missing(*_):
        raise FileNotFoundError("The specified bucket does not exist")  # as s3fs does

    photos = KeptPhotos("memory://claims/photos")
    monkeypatch.setattr(type(photos._system), "pipe_file", missing)
    with pytest.raises(PhotosUnavailable, match="bucket does not exist"):
        photos.write(SHA256, PHOTO)


@pytest.mark.parametrize("step", ["pipe_file", "mv"])
def test_a_photo_that_cannot_be_written_leaves_no_partial_file(tmp_path, monkeypatch, step):
    def full_disk(_, file, *__):
        with open(file, "wb") as partial:
            partial.write(PHOTO[:5])
        raise OSError("No space left on device")

    photos = KeptPhotos(str(tmp_path))
    monkeypatch.setattr(type(photos._system), step, full_disk)
    with pytest.raises(PhotosUnavailable, match="No space left"):
        photos.write(SHA256, PHOTO)
    assert list((tmp_path / SHA256[:2]).iterdir()) == []


def test_what_a_killed_process_wrote_of_a_photo_is_deleted_with_it(tmp_path):
    photos = KeptPhotos(str(tmp_path))
    photos.write(SHA256, PHOTO)
    folder = tmp_path / SHA256[:2]
    of_killed, of_writer = (folder / f"{SHA256}.{name}.partial" for name in ("00ff", "11ff"))
    of_other = folder / f"{'f' * 64}.22ff.partial"
    for file in (of_killed, of_writer, of_other):
        file.write_bytes(PHOTO[:5])
    long_ago = time.time() - 2 * kept_photos.ABANDONED
    for file in (of_killed, of_other):
        os.utime(file, (long_ago, long_ago))
    photos.delete(SHA256)
    assert {*folder.iterdir()} == {of_writer, of_other}


def test_a_folder_is_made_and_tried_at_the_start(tmp_path):
    kept_photos.check(str(tmp_path / "a" / "b"))
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the service cannot write to"):
        kept_photos.check(str(tmp_path / "file" / "photos"))


def test_a_bucket_without_its_client_names_the_packages(monkeypatch):
    def missing(_):
        raise ImportError

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(UserError, match=r"Run: pip install -r requirements-buckets\.txt"):
        kept_photos.check("s3://claims/photos")


def test_an_unknown_protocol_is_refused():
    with pytest.raises(UserError, match="cupboard:// is unknown"):
        kept_photos.check("cupboard://claims")
