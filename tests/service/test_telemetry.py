import hashlib
import json
import logging
import re
import time

import pytest

from car_damage.service import logs
from car_damage.service.metrics import STAGES
from tests import tiny_model
from tests.clients import BLUE, RED, client_of, form
from tests.test_predictor import LIMITS


@pytest.fixture
def client(models):
    return client_of(models)


@pytest.fixture
def logged(caplog):
    """A function that returns the fields of the last request's log line."""
    caplog.set_level("INFO", "car_damage.requests")
    return lambda: vars(caplog.records[-1])


def test_a_photo_s_log_line_has_everything_but_the_photo_itself(client, logged):
    response = client.post("/predict?heatmap=true&repeat=true", data=form(RED))
    line = logged()
    assert line["request_id"] == response.json["request_id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict", 200)
    assert (line["photo_bytes"], line["client"]) == (len(RED), "127.0.0.1")
    assert line["photo_sha256"] == hashlib.sha256(RED).hexdigest()
    assert (line["prediction"], line["review"], line["warnings"]) == ("damaged", False, [])
    assert line["probability"] == response.json["probability"]
    assert (line["model_version"], line["repeat"]) == (tiny_model.VERSION, True)
    stages = [line[f"{stage}_ms"] for stage in STAGES]
    assert all(stage >= 0 for stage in stages)
    assert line["total_ms"] >= sum(stages) * 0.99
    assert counts(client)["car_damage_answer_seconds_sum"] == pytest.approx(sum(stages) / 1000)
    assert "base64" not in str(line)


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/metrics"])
def test_every_request_has_a_log_line(client, logged, path):
    response = client.get(path)
    assert (logged()["path"], logged()["status"]) == (path, response.status_code)
    assert logged().get("refusal") == ("not_found" if path == "/nothing" else None)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("order-17.b:2", True), ("x" * 64, True)]
    + [(wild, False) for wild in ("", "a b", "x" * 65, "<script>", '"}', "é")],
)
def test_only_a_plain_request_id_is_kept(client, asked, kept):
    response = client.get("/health", headers={"X-Request-ID": asked.encode().decode("latin-1")})
    expected = re.escape(asked) if kept else "[0-9a-f]{32}"
    assert re.fullmatch(expected, response.headers["X-Request-ID"])


def record(**entries) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "hello", "levelname": "INFO", **entries})


def test_a_json_line_has_time_level_message_and_extra_fields():
    line = json.loads(logs.JsonFormatter().format(record(status=200, path="/a\nb")))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "message": "hello", "status": 200, "path": "/a\nb"}


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
def test_a_client_cannot_forge_a_log_line(formatter):
    assert "\n" not in formatter.format(record(path='/a\n{"level": "error"}'))


def test_an_error_s_log_line_has_the_traceback():
    made = record(exc_info=(ZeroDivisionError, ZeroDivisionError("why"), None))
    assert "ZeroDivisionError: why" in json.loads(logs.JsonFormatter().format(made))["traceback"]
    assert "ZeroDivisionError: why" in logs.TextFormatter().format(made)


def counts(client) -> dict[str, float]:
    """Each metric series with its value."""
    series = re.findall("^([^#].*) (.*)$", client.get("/metrics").text, re.MULTILINE)
    return {name: float(value) for name, value in series}


def test_requests_photos_stages_and_refusals_are_counted_and_logged(client, logged):
    client.post("/predict", data=form(RED, BLUE, RED[:-300]))
    red, _, short = logged()["photos"]
    assert red["prediction"] == "damaged"
    assert (short["refusal"], short["photo_bytes"]) == ("truncated", len(RED) - 300)
    client.post("/predict", data=form(b"no photo"))
    for number in range(3):
        client.get(f"/nothing/{number}")
    counted = counts(client)
    assert counted['car_damage_requests_total{route="/predict",status="200"}'] == 1
    assert counted['car_damage_requests_total{route="unmatched",status="404"}'] == 3
    assert counted['car_damage_predictions_total{prediction="damaged"}'] == 1
    assert counted['car_damage_predictions_total{prediction="not_damaged"}'] == 1
    assert counted["car_damage_probability_count"] == 2
    assert counted['car_damage_probability_bucket{le="0.5"}'] == 1
    assert counted['car_damage_refusals_total{reason="not_a_photo"}'] == 1
    assert counted['car_damage_refusals_total{reason="truncated"}'] == 1
    for stage, photos in zip(STAGES, (4, 4, 2, 2, 0), strict=True):
        assert counted[f'car_damage_stage_seconds_count{{stage="{stage}"}}'] == photos
    assert (
        counted["car_damage_answer_seconds_count"] == 0
    )  # only requests with one answered photo count


def test_sending_a_photo_again_for_its_heatmap_counts_as_one_prediction(models, tiny_graph):
    version = tiny_model.add_version(
        models, tiny_graph, "20260401-0900-ffff", warning_limits=LIMITS
    )
    client = client_of(models, version)
    for again in ("", "&repeat=true"):
        client.post(f"/predict?heatmap=true{again}", data=form(RED))
    counted = counts(client)
    assert counted['car_damage_predictions_total{prediction="damaged"}'] == 1
    assert counted["car_damage_probability_count"] == 1
    assert counted['car_damage_warnings_total{warning="dark"}'] == 1
    assert counted['car_damage_requests_total{route="/predict",status="200"}'] == 2
    assert counted["car_damage_answer_seconds_count"] == 2


def test_a_new_process_shows_its_model_memory_and_start_and_counts_of_zero(models):
    before = time.time()
    counted = counts(client_of(models))
    assert counted[f'car_damage_model_info{{version="{tiny_model.VERSION}"}}'] == 1
    assert counted["car_damage_photos_in_flight"] == 0
    assert counted["car_damage_resident_memory_bytes"] > 1e6
    assert counted["car_damage_worker_start_time_seconds"] >= before
    assert counted['car_damage_requests_total{route="/predict",status="500"}'] == 0
    assert counted['car_damage_warnings_total{warning="unfamiliar"}'] == 0
    assert counted['car_damage_refusals_total{reason="internal_error"}'] == 0
