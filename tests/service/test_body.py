"""Request bodies with and without mistakes: each gets an answer, or an error that says the fix."""

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


def detail(response) -> str:
    """The sentence of an error."""
    problem(response)
    return response.json["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"),
        *("application/json", "multipart/form-data", "multipart/form-data; boundary=x", "nonsense"),
    ],
)
def test_a_photo_as_the_body_gets_an_answer_with_any_content_type(client, content_type):
    assert send(client, RED, content_type).json["prediction"] == "damaged"


@pytest.mark.parametrize(
    "content_type", [None, "application/json", "application/x-www-form-urlencoded", "text/plain"]
)
def test_json_is_read_as_json_with_any_content_type(client, content_type):
    body = json.dumps({"image": TEXT})
    assert send(client, "\ufeff \n" + body, content_type).json["prediction"] == "damaged"


def test_a_photo_as_the_body_may_be_larger_than_a_form_field(client):
    large = RED + bytes(1_000_000)
    answer = send(client, large, "application/x-www-form-urlencoded").json
    assert answer["prediction"] == "damaged"


@pytest.mark.parametrize("data", [RED, json.dumps({"image": TEXT}).encode(), FORM])
def test_a_body_of_unknown_length_is_read_completely(client, data):
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
def test_the_error_for_a_compressed_body_says_how_to_send_it(client, encoding):
    response = send(client, RED, "image/jpeg", headers={"Content-Encoding": encoding})
    assert problem(response) == (415, "compressed")
    assert "without Content-Encoding" in detail(response)
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
def test_a_photo_in_json_may_use_any_variant_of_base64(client, text):
    answer = client.post("/predict", json={"image": text}).json
    assert answer["prediction"] == "damaged"
    assert "predictions" not in answer
    listed = client.post("/predict", json={"images": [text]}).json["predictions"]
    assert listed[0]["probability"] == answer["probability"]


def test_base64_in_json_may_have_unescaped_line_breaks_as_from_a_shell(client):
    body = '{"image": "' + IN_LINES + '"}'
    assert send(client, body, "application/json").json["prediction"] == "damaged"


def test_photos_in_json_get_answers_in_order_and_an_error_does_not_affect_the_others(client):
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


def test_json_with_32_photos_is_accepted_and_with_33_is_refused(client):
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
        ({"photo": TEXT}, "no_photo", "The JSON has the member 'photo'. Call it image, or images"),
        ({"image": TEXT, "images": [TEXT]}, "bad_request", "both image and images"),
        ({"image": [TEXT]}, "bad_request", "image is a list, not a string"),
        ({"image": None}, "bad_request", "image is null, not a string"),
        ({"images": TEXT}, "bad_request", "images is a string, not a list"),
        ({"images": [TEXT, 7]}, "bad_request", "images[1] is a number, not a string"),
        ([TEXT], "bad_request", "The JSON is a list, not an object"),
        (TEXT, "bad_request", "The JSON is a string, not an object"),
        ({"image": ""}, "empty", "empty"),
        ({"image": "abc?"}, "not_a_photo", "image is not valid base64"),
        ({"image": "ä" + TEXT}, "not_a_photo", "image is not valid base64"),
        ({"image": TEXT + "A"}, "not_a_photo", "image is not valid base64"),
        ({"image": f"data:image/jpeg,{TEXT}"}, "not_a_photo", ";base64"),
        ({"image": "my car.jpg"}, "no_photo", "image is a file name ('my car.jpg'), not a photo"),
        ({"image": "C:\\photos\\car.jpg"}, "no_photo", "image is a file name"),
        ({"image": "https://x.example/car.jpg"}, "no_photo", "Send the photo itself"),
        ({"image_url": "https://x.example/1"}, "no_photo", "'image_url' is an address ('https://"),
        ({"images": [0] * 20_000}, "bad_request", "more than 10000 values"),
    ],
)
def test_the_error_for_json_with_a_mistake_says_what_is_wrong(client, content, kind, sentence):
    response = client.post("/predict", json=content)
    assert problem(response)[1] == kind
    assert sentence in detail(response)


@pytest.mark.parametrize("body", ["{image: 1}", '{"image": "', "[" * 5000, '{"image": "\\ud83d'])
def test_the_error_for_invalid_json_says_so(client, body):
    response = send(client, body, "application/json")
    assert problem(response) == (400, "bad_request")
    assert "The JSON cannot be read" in detail(response)


def test_the_error_for_text_that_is_sent_as_json_says_that_it_is_invalid(client):
    assert "cannot be read" in detail(send(client, "image", "application/json"))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "application/octet-stream", None],
)
def test_the_error_for_too_much_json_says_how_large_a_photo_in_base64_can_be(models, content_type):
    client = client_of(models, max_upload_mb=1)
    response = send(client, json.dumps({"image": "A" * 1024**2}).encode(), content_type)
    assert problem(response) == (413, "upload_too_large")
    assert "0.75 MB" in detail(response)
    largest = base64.b64encode(RED + bytes(int(0.74 * 1024**2) - len(RED))).decode()
    assert client.post("/predict", json={"image": largest}).status_code == 200


def test_only_one_json_body_is_in_memory_at_a_time(client, monkeypatch):
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
        ({"file": (io.BytesIO(RED), "a.jpg")}, "in the field 'file'. Call the field image"),
        ({"image": "car.jpg"}, "a file name ('car.jpg'), not a photo. With curl, put @ before"),
        ({"image": "/home/me/My Cars/car.HEIC"}, "a file name"),
        ({"image": TEXT}, "The form field image is base64 text"),
        ({"image": IN_LINES}, "The form field image is base64 text"),
        ({"image": f"data:image/jpeg;base64,{TEXT}"}, "is base64 text"),
        ({"image": "https://x.example/car.jpg"}, "Send the photo itself"),
        ({"image": "hello"}, "has text, not a file"),
        ({"note": "hello"}, "The form has no photo"),
    ],
)
def test_the_error_for_a_form_with_a_mistake_says_what_is_wrong(client, fields, sentence):
    response = client.post("/predict", data=fields, content_type="multipart/form-data")
    assert problem(response) == (400, "no_photo")
    assert sentence in detail(response)


def test_the_error_for_a_form_field_with_a_photo_in_base64_recommends_json(client):
    response = client.post(
        "/predict", data={"image": "A" * 200_000}, content_type="multipart/form-data"
    )
    assert problem(response) == (413, "upload_too_large")
    assert "Send base64 as JSON" in detail(response)


@pytest.mark.parametrize(
    ("content_type", "sentence"),
    [
        ("multipart/form-data", "has no boundary. Do not set the header Content-Type yourself"),
        ("multipart/form-data; boundary=y", "The boundary in the Content-Type differs from the"),
        ("application/json", "The body is a form, but its Content-Type is application/json"),
        ("image/jpeg", "The body is a form, but its Content-Type is image/jpeg"),
        (None, "The body is a form, but its Content-Type is missing"),
    ],
)
def test_the_error_for_a_form_with_a_wrong_content_type_says_what_is_wrong(
    client, content_type, sentence
):
    response = send(client, FORM, content_type)
    assert problem(response) == (400, "bad_request")
    assert sentence in detail(response)


def test_a_form_may_start_with_other_text_as_its_standard_allows(client):
    body = b"This is a form with a photo.\r\n" + FORM
    answer = send(client, body, "multipart/form-data; boundary=x").json
    assert answer["prediction"] == "damaged"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("car.jpg", "The body is a file name ('car.jpg'), not a photo."),
        ("@photos/car.jpg", "The body is a file name ('@photos/car.jpg')"),
        ("image=@car.jpg", "The field image is a file name ('@car.jpg')"),
        ("image=car.jpg&heatmap=true", "The field image is a file name ('car.jpg')"),
        ("url=https%3A%2F%2Fx.example%2Fcar.jpg", "The field url is an address ('https://x."),
        ("https://x.example/car?id=3", "The body is an address ('https://x.example/car?id=3')"),
        (TEXT, "The body is base64 text"),
        ("image=" + TEXT, "The field image is base64 text"),
        ("hello=you", "The body is a form without files."),
    ],
)
def test_the_error_for_text_as_the_body_says_how_to_send_a_photo(client, body, sentence):
    response = send(client, body, "application/x-www-form-urlencoded")
    assert problem(response) == (400, "no_photo")
    assert sentence in detail(response)


def test_the_error_for_a_file_name_as_the_body_says_so_even_with_an_image_type(client):
    assert "a file name" in detail(send(client, "car.jpg", "image/jpeg"))


def test_the_error_for_a_photo_that_lost_bytes_in_curl_names_the_option_that_keeps_them(client):
    lost = bytes(byte for byte in RED if byte not in b"\0\r\n")  # as curl -d @car.jpg sends it
    response = send(client, lost, "application/x-www-form-urlencoded")
    assert problem(response) == (422, "truncated")
    assert "--data-binary" in detail(response)


def test_a_long_text_is_searched_quickly(client):
    for text in (" " * 90_000 + "!", "A" * 90_000 + "!", "data:" * 18_000):
        fields = {"image": "x" + text}
        response = client.post("/predict", data=fields, content_type="multipart/form-data")
        assert "has text, not a file" in detail(response)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_json_in_another_encoding_is_read_or_refused_without_an_internal_error(client, encoding):
    body = json.dumps({"image": TEXT}).encode(encoding)
    assert send(client, body, "application/json").status_code in (200, 400, 415)
