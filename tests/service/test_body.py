"""Bodies as clients send them, right or nearly: each is answered, or told what to change."""

import base64
import io
import json

import pytest

from car_damage.service import json_body
from tests.clients import BLUE, RED, client_of, problem

TEXT = base64.b64encode(RED).decode()
URL_SAFE = base64.urlsafe_b64encode(RED).decode().rstrip("=")
IN_LINES = base64.encodebytes(RED).decode()
BOUNDARY = b"--x\r\nContent-Disposition: form-data; name=image; filename=a.jpg\r\n\r\n"
FORM = BOUNDARY + RED + b"\r\n--x--\r\n"


@pytest.fixture
def client(models):
    return client_of(models)


def send(client, data: bytes | str, content_type: str | None = None, **options):
    return client.post("/predict", data=data, content_type=content_type, **options)


def told(response) -> str:
    """The sentence of a refusal."""
    problem(response)
    return response.json["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"),
        *("application/json", "multipart/form-data", "multipart/form-data; boundary=x", "nonsense"),
    ],
)
def test_a_photo_as_the_body_is_answered_whatever_type_it_claims(client, content_type):
    assert send(client, RED, content_type).json["prediction"] == "damaged"


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_json_is_read_as_json_whatever_type_it_claims(client, content_type):
    body = json.dumps({"image": TEXT})
    assert send(client, "\ufeff \n" + body, content_type).json["prediction"] == "damaged"


def test_a_photo_that_is_larger_than_any_form_field_may_be_is_answered(client):
    large = RED + bytes(1_000_000)
    answer = send(client, large, "application/x-www-form-urlencoded").json
    assert answer["prediction"] == "damaged"


@pytest.mark.parametrize("data", [RED, json.dumps({"image": TEXT}).encode(), FORM])
def test_a_body_of_unknown_length_is_read_to_its_end(client, data):
    content_type = "multipart/form-data; boundary=x" if data is FORM else None
    response = client.post(
        "/predict",
        input_stream=io.BytesIO(data),
        content_type=content_type,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.json["prediction"] == "damaged"


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused_and_told_how_to_send_it(client, encoding):
    response = send(client, RED, "image/jpeg", headers={"Content-Encoding": encoding})
    assert problem(response) == (415, "compressed")
    assert "without Content-Encoding" in told(response)
    same = send(client, RED, "image/jpeg", headers={"Content-Encoding": "identity"})
    assert same.status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        IN_LINES,
        IN_LINES.replace("\n", "\r\n"),
        URL_SAFE,
        f"data:image/jpeg;base64,{TEXT}",
        f"data:;base64,{URL_SAFE}",
        f"DATA:image/jpeg;name=car.jpg;BASE64,{IN_LINES}",
        f"  {TEXT}\n",
    ],
)
def test_a_photo_in_json_is_answered_in_every_way_that_base64_is_written(client, text):
    answer = client.post("/predict", json={"image": text}).json
    assert answer["prediction"] == "damaged"
    assert "predictions" not in answer
    listed = client.post("/predict", json={"images": [text]}).json["predictions"]
    assert listed[0]["probability"] == answer["probability"]


def test_base64_with_line_breaks_may_stand_in_json_as_a_shell_puts_it_there(client):
    body = '{"image": "' + IN_LINES + '"}'
    assert send(client, body, "application/json").json["prediction"] == "damaged"


def test_photos_in_json_are_answered_in_order_and_an_error_spoils_no_other(client):
    blue = base64.b64encode(BLUE).decode()
    texts = [TEXT, "no base64!", "http://x.example/car.jpg", TEXT[:400], blue]
    items = client.post("/predict", json={"images": texts}).json["predictions"]
    assert [item.get("prediction") for item in items] == [
        "damaged",
        None,
        None,
        None,
        "not_damaged",
    ]
    assert [item.get("status") for item in items] == [None, 415, 400, 422, None]
    assert [(item["index"], item["file"]) for item in items] == [(n, None) for n in range(5)]


def test_32_photos_in_json_are_taken_and_33_refused(client):
    blue = base64.b64encode(BLUE).decode()
    answer = client.post("/predict", json={"images": [blue] * 32}).json
    assert len(answer["predictions"]) == 32
    refused = client.post("/predict", json={"images": [blue] * 33})
    assert problem(refused) == (413, "too_many_photos")


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        ({}, "no_photo", "The JSON is empty."),
        ({"images": []}, "no_photo", "The list images is empty"),
        ({"photo": TEXT}, "no_photo", "The JSON has 'photo'; its member must be called image or"),
        ({"image": TEXT, "images": [TEXT]}, "bad_request", "both image and images"),
        ({"image": [TEXT]}, "bad_request", "image is not text"),
        ({"image": None}, "bad_request", "image is not text"),
        ({"images": TEXT}, "bad_request", "images is not a list"),
        ({"images": [TEXT, 7]}, "bad_request", "images[1] is not text"),
        ([TEXT], "bad_request", "not an object"),
        (TEXT, "bad_request", "not an object"),
        ({"image": ""}, "empty", "empty"),
        ({"image": "abc?"}, "not_a_photo", "image is not base64"),
        ({"image": "ä" + TEXT}, "not_a_photo", "image is not base64"),
        ({"image": TEXT + "A"}, "not_a_photo", "image is not base64"),
        ({"image": f"data:image/jpeg,{TEXT}"}, "not_a_photo", ";base64"),
        ({"image": "C:\\photos\\car.jpg"}, "no_photo", "image is the name of a file"),
        ({"image": "https://x.example/car.jpg"}, "no_photo", "send the photo itself"),
        ({"image_url": "https://x.example/1"}, "no_photo", "'image_url' is the address"),
        ({"images": [0] * 20_000}, "bad_request", "more than 10000 values"),
    ],
)
def test_json_that_is_nearly_right_is_told_what_is_wrong(client, content, kind, sentence):
    response = client.post("/predict", json=content)
    assert problem(response)[1] == kind
    assert sentence in told(response)


@pytest.mark.parametrize("body", ["{image: 1}", '{"image": "', "[" * 5000, '{"image": "\\ud83d'])
def test_json_that_cannot_be_read_is_told_so(client, body):
    response = send(client, body, "application/json")
    assert problem(response) == (400, "bad_request")
    assert "The JSON cannot be read" in told(response)


def test_text_that_claims_to_be_json_is_told_that_it_is_none(client):
    assert "cannot be read" in told(send(client, "image", "application/json"))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "application/octet-stream", None],
)
def test_json_above_the_limit_is_told_how_large_a_photo_the_limit_leaves(models, content_type):
    client = client_of(models, max_upload_mb=1)
    response = send(client, json.dumps({"image": "A" * 1024**2}).encode(), content_type)
    assert problem(response) == (413, "upload_too_large")
    assert "0.75 MB" in told(response)
    largest = base64.b64encode(RED + bytes(int(0.74 * 1024**2) - len(RED))).decode()
    assert client.post("/predict", json={"image": largest}).status_code == 200


def test_one_json_at_a_time_is_in_memory(client, monkeypatch):
    held = []
    parsed = json_body._parsed
    monkeypatch.setattr(
        json_body,
        "_parsed",
        lambda body: held.append(json_body.ONE_AT_A_TIME.locked()) or parsed(body),
    )
    client.post("/predict", json={"image": TEXT})
    assert held == [True]
    assert not json_body.ONE_AT_A_TIME.locked()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"file": (io.BytesIO(RED), "a.jpg")}, "a file in 'file'; its field must be called image"),
        ({"image": "car.jpg"}, "name of a file. With curl, put @ before the name"),
        ({"image": "/home/me/My Cars/car.HEIC"}, "name of a file"),
        ({"image": TEXT}, "The form field image is base64 text"),
        ({"image": IN_LINES}, "The form field image is base64 text"),
        ({"image": f"data:image/jpeg;base64,{TEXT}"}, "is base64 text"),
        ({"image": "https://x.example/car.jpg"}, "send the photo itself"),
        ({"image": "hello"}, "has text and no file"),
        ({"note": "hello"}, "The form has no photo"),
    ],
)
def test_a_form_that_is_nearly_right_is_told_what_is_wrong(client, fields, sentence):
    response = client.post("/predict", data=fields, content_type="multipart/form-data")
    assert problem(response) == (400, "no_photo")
    assert sentence in told(response)


def test_a_form_field_with_a_whole_photo_in_base64_is_told_to_use_json(client):
    response = client.post(
        "/predict", data={"image": "A" * 200_000}, content_type="multipart/form-data"
    )
    assert problem(response) == (413, "upload_too_large")
    assert "sent as JSON" in told(response)


@pytest.mark.parametrize(
    ("content_type", "sentence"),
    [
        ("multipart/form-data", "has no boundary. Do not set the header Content-Type yourself"),
        ("multipart/form-data; boundary=y", "The boundary in the Content-Type is not the form's"),
        ("application/json", "The body is a form, but its Content-Type is application/json"),
        ("image/jpeg", "The body is a form, but its Content-Type is image/jpeg"),
        (None, "The body is a form, but its Content-Type is missing"),
    ],
)
def test_a_form_whose_header_was_set_by_hand_is_told_to_let_the_client_do_it(
    client, content_type, sentence
):
    response = send(client, FORM, content_type)
    assert problem(response) == (400, "bad_request")
    assert sentence in told(response)


def test_a_form_may_begin_with_a_text_for_people_as_its_standard_allows(client):
    body = b"This is a form with a photo.\r\n" + FORM
    answer = send(client, body, "multipart/form-data; boundary=x").json
    assert answer["prediction"] == "damaged"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("car.jpg", "The body is the name of a file."),
        ("@photos/car.jpg", "The body is the name of a file."),
        ("image=@car.jpg", "The field image is the name of a file."),
        ("image=car.jpg&heatmap=true", "The field image is the name of a file."),
        ("url=https%3A%2F%2Fx.example%2Fcar.jpg", "The field url is the address of a photo"),
        ("https://x.example/car?id=3", "The body is the address of a photo"),
        (TEXT, "The body is base64 text"),
        ("image=" + TEXT, "The field image is base64 text"),
        ("hello=you", "The body is a form without files."),
    ],
)
def test_text_as_the_body_is_told_how_to_send_a_photo(client, body, sentence):
    response = send(client, body, "application/x-www-form-urlencoded")
    assert problem(response) == (400, "no_photo")
    assert sentence in told(response)


def test_a_name_as_the_body_is_told_so_even_if_it_claims_to_be_a_photo(client):
    assert "name of a file" in told(send(client, "car.jpg", "image/jpeg"))


def test_a_photo_that_lost_bytes_to_curl_is_told_which_option_keeps_them(client):
    lost = bytes(byte for byte in RED if byte not in b"\0\r\n")  # as curl -d @car.jpg sends it
    response = send(client, lost, "application/x-www-form-urlencoded")
    assert problem(response) == (422, "truncated")
    assert "--data-binary" in told(response)


def test_a_long_text_is_looked_through_in_no_time(client):
    for text in (" " * 90_000 + "!", "A" * 90_000 + "!", "data:" * 18_000):
        fields = {"image": "x" + text}
        response = client.post("/predict", data=fields, content_type="multipart/form-data")
        assert "has text and no file" in told(response)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_json_of_a_windows_program_is_read_or_refused_but_never_fails(client, encoding):
    body = json.dumps({"image": TEXT}).encode(encoding)
    assert send(client, body, "application/json").status_code in (200, 400, 415)
