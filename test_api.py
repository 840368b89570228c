"""Tests of the API's contract, with a tiny model that classifies red photos as damaged.

python -m pytest test_api.py
"""

import base64
import io
import subprocess
import sys
import threading
import tomllib

import numpy as np
import pytest
from PIL import Image

from car_damage import photos, predictor
from car_damage.decision import Decision
from car_damage.manifest import WeightsOrigin
from car_damage.service import queue
from car_damage.service.application import create_app
from car_damage.service.settings import Settings
from tests import tiny_model
from tests.clients import BLUE, RED, client_of, form, problem
from tests.gunicorn_process import ROOT, running
from tests.photo_files import avif, heic, jpeg, texture
from tests.tiny_model import VERSION, plain_photo


@pytest.fixture
def client(models):
    return client_of(models)


@pytest.mark.parametrize(("photo", "prediction"), [(RED, "damaged"), (BLUE, "not_damaged")])
def test_a_photo_in_a_form_gets_an_answer_with_the_documented_members_in_order(
    client, models, photo, prediction
):
    response = client.post("/predict", data=form(photo))
    decoded = photos.decode(photo, at_least=tiny_model.SIZE)
    assert list(response.json.items()) == [
        ("prediction", prediction),
        ("probability", predictor.load(models).predict(decoded).probability),
        ("threshold", 0.5),
        ("review", False),
        ("warnings", []),
        ("model_version", VERSION),
        ("request_id", response.headers["X-Request-ID"]),
    ]


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/x-whatever"])
def test_a_photo_as_the_whole_body_gets_an_answer_with_any_image_type(client, content_type):
    response = client.post("/predict", data=RED, content_type=content_type)
    assert response.json["prediction"] == "damaged"


def test_several_photos_get_answers_in_order_and_an_error_does_not_affect_the_others(client):
    response = client.post("/predict", data=form(RED, b"no photo", RED[:-300], BLUE))
    assert response.status_code == 200
    assert response.json["request_id"] == response.headers["X-Request-ID"]
    first, second, third, fourth = response.json["predictions"]
    assert (first["prediction"], fourth["prediction"]) == ("damaged", "not_damaged")
    assert (second["type"], second["status"]) == ("/problems/not_a_photo", 415)
    assert (third["type"], third["status"]) == ("/problems/truncated", 422)


def test_a_request_with_32_photos_is_accepted_and_one_with_33_is_refused(client):
    assert len(client.post("/predict", data=form(*[BLUE] * 32)).json["predictions"]) == 32
    assert problem(client.post("/predict", data=form(*[BLUE] * 33))) == (413, "too_many_photos")


def seen(answer: dict) -> np.ndarray:
    """The heatmap over the photo, uint8 (height, width, 3)."""
    kind, data = answer["heatmap"].split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_the_heatmap_shows_the_photo_and_the_box_is_around_the_damage(client):
    pixels = plain_photo(red=False, height=600, width=900)
    pixels[:, :300] = plain_photo(red=True)[0, 0]
    photo = jpeg(pixels, quality=95)
    answer = client.post("/predict?heatmap=true", data=form(photo)).json
    assert seen(answer).shape[0] / seen(answer).shape[1] == pytest.approx(2 / 3, abs=0.01)
    box = answer["box"]
    assert (box["left"], box["top"], box["bottom"]) == (0, 0, 600)
    assert box["right"] == pytest.approx(300, abs=900 / tiny_model.CELLS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_box_is_in_pixels_of_the_upright_photo_for_every_orientation(client, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = jpeg(plain_photo(red=True), exif=exif)
    box = client.post("/predict?heatmap=true", data=form(photo)).json["box"]
    assert (box["right"], box["bottom"]) == ((80, 120) if orientation >= 5 else (120, 80))


def test_only_a_request_for_a_heatmap_gets_one_and_without_damage_there_is_no_box(client):
    answer = client.post("/predict", data=form(BLUE)).json
    with_heatmap = client.post("/predict?heatmap=true", data=form(BLUE)).json
    assert seen(with_heatmap).any()
    added = {"box": None, "heatmap": with_heatmap["heatmap"]}
    assert with_heatmap == answer | added | {"request_id": with_heatmap["request_id"]}


def test_a_heatmap_is_never_larger_than_960_pixels(client):
    photo = jpeg(plain_photo(True, 3000, 4000))
    answer = client.post("/predict?heatmap=true", data=form(photo)).json
    assert max(seen(answer).shape) <= 960


@pytest.mark.parametrize("write", [heic, avif])
def test_a_heic_or_avif_photo_gets_an_answer(client, write):
    photo = write(plain_photo(True, 1000, 1500))
    for options in ({"data": form(photo)}, {"data": photo, "content_type": "image/heic"}):
        assert client.post("/predict", **options).json["prediction"] == "damaged"


@pytest.mark.parametrize("write", [heic, avif])
def test_the_client_can_get_a_heic_or_avif_photo_back_as_a_small_jpeg(client, write):
    photo = write(plain_photo(True, 1000, 1500))
    kind, data = client.post("/predict?picture=true", data=form(photo)).json["picture"].split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (960, 640)


def test_the_error_for_a_photo_over_its_format_s_limit_names_the_limit(client):
    photo = heic(plain_photo(True, 4100, 3900), chroma=444, enc_params={"preset": "ultrafast"})
    answer = client.post("/predict", data=form(photo))
    assert problem(answer) == (413, "too_large")
    assert "16.0 megapixels" in answer.json["detail"]
    assert "15 megapixels" in answer.json["detail"]


@pytest.mark.parametrize(
    ("options", "status", "kind"),
    [
        ({"data": {}, "content_type": "multipart/form-data"}, 400, "no_photo"),
        ({}, 400, "no_photo"),
        ({"data": {"image": "car.jpg"}, "content_type": "multipart/form-data"}, 400, "no_photo"),
        ({"data": {"photo": (io.BytesIO(RED), "car.jpg")}}, 400, "no_photo"),
        ({"data": b"", "content_type": "image/jpeg"}, 400, "empty"),
        ({"data": b"hello", "content_type": "application/octet-stream"}, 415, "not_a_photo"),
        ({"json": {"image": "abc"}}, 415, "not_a_photo"),
        ({"data": b"hello", "content_type": "image/jpeg"}, 415, "not_a_photo"),
        ({"data": RED[:500], "content_type": "image/jpeg"}, 422, "truncated"),
        ({"data": jpeg(plain_photo(True, 20, 20)), "content_type": "image/jpeg"}, 422, "too_small"),
        ({"query_string": "heatmap=perhaps", "data": RED}, 400, "bad_request"),
    ],
)
def test_an_invalid_request_is_refused_with_the_reason(client, options, status, kind):
    assert problem(client.post("/predict", **options)) == (status, kind)


def test_the_error_for_a_wrong_query_parameter_shows_its_value(client):
    detail = client.post("/predict?heatmap=perhaps", data=RED).json["detail"]
    assert detail == "The query parameter heatmap is 'perhaps'. Use true or false."


def test_an_unknown_address_or_method_gets_a_problem_too(client):
    assert problem(client.get("/nothing")) == (404, "not_found")
    assert problem(client.get("/static/nothing.js")) == (404, "not_found")
    response = client.get("/predict")
    assert problem(response) == (405, "method_not_allowed")
    assert "POST" in response.headers["Allow"]


def test_an_upload_over_the_limit_is_refused(models):
    client = client_of(models, max_upload_mb=1)
    response = client.post("/predict", data=RED + bytes(1024**2), content_type="image/jpeg")
    assert problem(response) == (413, "upload_too_large")
    assert "1 MB" in response.json["detail"]
    assert problem(client.post("/predict", data=form(bytes(1024**2)))) == (413, "upload_too_large")
    assert client.post("/predict", data=form(RED)).status_code == 200


def test_an_unexpected_error_is_logged_with_its_traceback_and_the_client_sees_no_details(
    client, monkeypatch, caplog
):
    def fail(*_):
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr(queue, "classify", fail)
    response = client.post("/predict", data=form(RED))
    assert problem(response) == (500, "internal_error")
    assert "secret" not in response.text
    logged = next(record for record in caplog.records if record.exc_info)
    assert logged.request_id == response.json["request_id"]
    assert "the secret" in str(logged.exc_info[1])


def test_the_service_is_ready_until_it_is_told_to_stop(client):
    assert client.get("/health").json == {"status": "alive"}
    assert client.get("/ready").json == {"status": "ready", "model_version": VERSION}
    client.application.config["STOPPING"] = lambda: True
    assert problem(client.get("/ready")) == (503, "stopping")
    assert client.post("/predict", data=form(RED)).status_code == 200


@pytest.mark.parametrize(
    ("folder", "version", "reason"),
    [
        ("nothing", None, "There is no model in"),
        ("models", "20260401-0900-eeee", "There is no version 20260401-0900-eeee"),
        ("models", "20260401-0900-ffff", "no model: "),  # its graph is invalid
    ],
)
def test_a_service_without_a_model_is_not_ready_and_only_its_log_says_why(
    models, folder, version, reason, caplog
):
    tiny_model.add_version(models, b"no graph", "20260401-0900-ffff")
    client = client_of(models.parent / folder, version)
    assert client.get("/health").status_code == 200
    for response in (client.get("/ready"), client.get("/model")):
        assert problem(response) == (503, "no_model")
        assert "the service's log says why" in response.json["detail"]
        assert str(models.parent) not in response.text
    assert problem(client.post("/predict", data=form(RED))) == (503, "no_model")
    assert reason in caplog.text


def test_a_photo_waits_for_the_model_while_it_loads(models, monkeypatch):
    loads = threading.Event()
    load = predictor.load

    def load_late(*arguments):
        loads.wait(10)
        return load(*arguments)

    monkeypatch.setattr(predictor, "load", load_late)
    client = create_app(Settings(), models).test_client()
    assert problem(client.get("/ready")) == (503, "no_model")
    threading.Timer(0.1, loads.set).start()
    assert client.post("/predict", data=form(RED)).json["prediction"] == "damaged"


def test_the_model_s_card_has_its_metrics_and_nothing_about_the_training_computer(
    models, tiny_graph
):
    decision = Decision(temperature=2.0, threshold=0.5, review_band=(0.2, 0.8))
    made = {"weights": WeightsOrigin(source="/home/me")}
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", decision, **made)
    card = client_of(models, name).get("/model").json
    assert card["version"] == name
    assert card["review_band"] == [0.2, 0.8]
    assert card["metrics"]["photos"]["accuracy"]["value"] == 0.875
    assert "/home/me" not in str(card)
    assert not {"settings", "files", "libraries"} & card.keys()


def test_openapi_json_has_every_route_and_every_problem(client):
    document = client.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert set(document["paths"]) == {"/predict", "/health", "/ready", "/model", "/metrics"}
    responses = document["paths"]["/predict"]["post"]["responses"]
    statuses = {int(status) for status in responses}
    assert statuses >= {200, 400, 401, 408, 413, 415, 422, 429, 500, 503}
    for status in statuses - {200}:
        assert "application/problem+json" in responses[str(status)]["content"]
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    kinds = {"multipart/form-data", "application/json", "image/*", "application/octet-stream"}
    assert set(body) == kinds


def test_openapi_json_has_only_responses_that_occur_and_readable_operation_ids(client):
    document = client.get("/openapi.json").json
    operations = {path: next(iter(methods.values())) for path, methods in document["paths"].items()}
    announced = {path: set(operation["responses"]) for path, operation in operations.items()}
    del announced["/predict"]
    assert announced == {
        "/health": {"200"},
        "/ready": {"200", "503"},
        "/model": {"200", "503"},
        "/metrics": {"200"},
    }
    assert all(path == f"/{one['operationId']}" for path, one in operations.items())
    unready = operations["/ready"]["responses"]["503"]["content"]["application/problem+json"]
    assert set(unready["examples"]) == {"no_model", "stuck", "stopping"}


def test_openapi_json_has_the_version_of_the_project(client):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert client.get("/openapi.json").json["info"]["version"] == project["version"]


def test_the_examples_in_openapi_json_work_and_have_the_same_members_as_answers(client):
    operation = client.get("/openapi.json").json["paths"]["/predict"]["post"]
    content = operation["requestBody"]["content"]["application/json"]
    examples = operation["responses"]["200"]["content"]["application/json"]["examples"]

    def answer(example: str) -> dict:
        return client.post("/predict", json=content["examples"][example]["value"]).json

    assert list(examples["one"]["value"]) == list(answer("one"))
    assert list(examples["several"]["value"]) == list(answer("several"))
    first = examples["several"]["value"]["predictions"][0]
    assert list(first) == list(answer("several")["predictions"][0])


def test_several_photos_images_in_json_and_the_list_parameter_get_a_list(client):
    def indexes_and_files(response) -> list[tuple[int, str | None]]:
        return [(item["index"], item["file"]) for item in response.json["predictions"]]

    both = {"image": [(io.BytesIO(RED), "a.jpg"), (io.BytesIO(b"no photo"), "b.jpg")]}
    assert indexes_and_files(client.post("/predict", data=both)) == [(0, "a.jpg"), (1, "b.jpg")]
    one = client.post("/predict?list=true", data=form(RED, name="a.jpg"))
    assert indexes_and_files(one) == [(0, "a.jpg")]
    assert indexes_and_files(client.post("/predict?list=true", data=RED)) == [(0, None)]
    bad = client.post("/predict?list=true", data=form(b"no photo", name="a.jpg"))
    assert bad.status_code == 200
    assert bad.json["predictions"][0] | {"detail": ""} == {
        "type": "/problems/not_a_photo",
        "title": "The service cannot read the file as a photo",
        "status": 415,
        "detail": "",
        "request_id": bad.json["request_id"],
        "index": 0,
        "file": "a.jpg",
    }


def test_a_list_gets_503_if_no_photo_has_an_answer_so_that_the_client_tries_again(models):
    client = client_of(models, version="20260401-0900-eeee")  # there is no such version
    assert problem(client.post("/predict", data=form(RED, RED))) == (503, "no_model")
    assert problem(client.post("/predict?list=true", data=form(RED))) == (503, "no_model")


def test_every_address_also_works_with_a_slash_at_the_end(client):
    assert client.post("/predict/", data=form(RED)).json["prediction"] == "damaged"
    assert client.get("/model/").json["version"] == VERSION
    assert client.get("/docs/").headers["Location"] == "../docs"


@pytest.mark.parametrize("path", ["/", "/docs", "/favicon.ico", "/robots.txt", "/openapi.json"])
def test_pages_for_browsers_and_crawlers_work_with_get_and_head(client, path):
    whole, head = client.get(path), client.head(path)
    assert (whole.status_code, head.status_code) == (200, 200)
    assert (bool(whole.data), head.data) == (True, b"")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


def test_threshold_and_review_band_have_four_digits(models, tiny_graph):
    raw = Decision(temperature=1.0, threshold=0.33641999, review_band=(0.05580001, 0.97179999))
    name = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff", raw)
    client = client_of(models, name)
    card = client.get("/model").json
    assert (card["threshold"], card["review_band"]) == (0.3365, [0.0559, 0.9718])
    assert client.post("/predict", data=form(RED)).json["threshold"] == 0.3365


@pytest.mark.parametrize("libraries", [{"tensorflow", "keras"}, {"limits", "flask_cors"}])
def test_the_service_does_not_import_libraries_that_it_does_not_need(libraries):
    code = f"import sys, app; sys.exit(str({libraries} & sys.modules.keys() or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork()")
def test_gunicorn_works_with_the_shipped_model(tmp_path):
    with running(ROOT, tmp_path) as service:
        photo = jpeg(texture(7, 1024, 768))
        status, answer = service.ask("/predict?heatmap=true", photo)
        assert status == 200
        assert 0 <= answer["probability"] <= 1
        assert answer["prediction"] in ("damaged", "not_damaged")
        assert seen(answer).shape[2] == 3
        assert service.ask("/model")[1]["version"] == answer["model_version"]
        assert service.ask("/predict", b"no photo")[1]["type"] == "/problems/not_a_photo"
        assert service.stop() == 0
