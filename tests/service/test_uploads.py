"""Hostile and strange uploads: each gets the right status, and the service works afterwards."""

import errno
import io
import os
import tempfile
import zlib

import pytest
from PIL import Image

from car_damage import model_store
from tests import tiny_model
from tests.clients import BLUE, RED, client_of, form, problem
from tests.photo_files import jpeg, texture
from tests.test_photos import png_chunk, png_header
from tests.tiny_model import plain_photo


@pytest.fixture(scope="module")
def client(tmp_path_factory, tiny_graph):
    models = tmp_path_factory.mktemp("models")
    model_store.use(models, tiny_model.add_version(models, tiny_graph))
    return client_of(models)


@pytest.fixture(autouse=True)
def works_afterwards(client):
    yield
    answers = client.post("/predict", data=form(RED, BLUE)).json["predictions"]
    assert [answer["prediction"] for answer in answers] == ["damaged", "not_damaged"]


def saved(mode: str, file_format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(plain_photo(red=True)).convert(mode).save(file, file_format)
    return file.getvalue()


def bomb() -> bytes:
    """A small PNG with a comment of 64 MB when decompressed."""
    whole = saved("RGB", "PNG")
    comment = png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(64_000_000), 9))
    return whole[:33] + comment + whole[33:]


HOSTILE = {
    "empty": (b"", 400),
    "html": (b"<!DOCTYPE html><html><script>alert(1)</script></html>", 415),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"/>', 415),
    "zip": (b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(100), 415),
    "51 megapixels": (png_header(10_000, 5_100), 413),
    "bomb": (bomb(), 422),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("way", ["form", "body"])
def test_a_file_that_is_not_a_usable_photo_is_refused(client, name, way):
    data, status = HOSTILE[name]
    options = {"data": form(data)} if way == "form" else {"data": data, "content_type": "image/png"}
    assert problem(client.post("/predict?heatmap=true", **options))[0] == status


@pytest.mark.parametrize(
    "kind", ["CMYK JPEG", "L JPEG", "P PNG", "RGBA PNG", "RGB WEBP", "P GIF", "RGB BMP", "RGB TIFF"]
)
def test_a_photo_with_an_unusual_format_gets_an_answer(client, kind):
    photo = saved(*kind.split())
    assert client.post("/predict?heatmap=true", data=form(photo)).status_code == 200


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "C:\\car.jpg", "a\tb\x07.jpg", "x" * 5000, "", "car\u202egpj.exe"]
)
def test_a_file_name_has_no_effect(client, caplog, name):
    with caplog.at_level("INFO"):
        response = client.post("/predict", data=form(RED, name=name or "."))
    assert response.json["prediction"] == "damaged"
    assert "passwd" not in response.text + " ".join(str(vars(line)) for line in caplog.records)


@pytest.mark.parametrize(
    "fields", [{f"field{number}": "x" for number in range(1000)}, {"note": "x" * 2_000_000}]
)
def test_a_form_with_too_much_data_outside_photos_is_refused(client, fields):
    response = client.post("/predict", data={**fields, **form(RED)})
    assert problem(response) == (413, "upload_too_large")


@pytest.mark.parametrize("boundary", ["; boundary=x", ""])
@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\n", b"--x\r\nContent-Disposition: form-data"]
)
def test_an_incomplete_form_is_refused(client, body, boundary):
    response = client.post("/predict", data=body, content_type="multipart/form-data" + boundary)
    assert problem(response)[0] == 400


@pytest.mark.parametrize("content_type", ["image/jpeg", "multipart/form-data; boundary=x"])
def test_an_upload_of_200_megabytes_is_refused_before_it_is_read(client, content_type):
    upload = {"wsgi.input": io.RawIOBase(), "CONTENT_LENGTH": "200000000"}  # cannot be read
    response = client.post("/predict", content_type=content_type, environ_overrides=upload)
    assert problem(response) == (413, "upload_too_large")


def test_a_photo_s_answer_does_not_depend_on_other_photos(client):
    photos = [jpeg(texture(seed, 300, 200)) for seed in range(6)]
    alone = [client.post("/predict?heatmap=true", data=form(photo)).json for photo in photos]
    together = client.post(
        "/predict?heatmap=true",
        data=form(*(part for photo in photos for part in (photo, photo[:-400]))),
    ).json["predictions"]
    assert [answer["heatmap"] for answer in together[::2]] == [one["heatmap"] for one in alone]
    assert all(answer["type"] == "/problems/truncated" for answer in together[1::2])


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.ENOENT, errno.EMFILE])
@pytest.mark.parametrize("way", ["form", "body"])
def test_the_client_can_retry_an_upload_that_cannot_be_stored(client, monkeypatch, reason, way):
    def fail(*_, **__):
        raise OSError(reason, os.strerror(reason))

    large = RED + bytes(1_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", fail)
        response = client.post("/predict", data=form(large) if way == "form" else large)
    assert problem(response) == (503, "no_disk")
    assert response.headers["Retry-After"]
