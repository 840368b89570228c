"""Kept photos: a folder or a bucket, whole files only, and errors that say what to do."""

import hashlib

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
