import hashlib
import json
import logging
import re
import time

import pytest

from car_damage.service import logs
from tests import tiny_model
from tests.clients import BLUE, RED, client_of, form
from tests.test_predictor import limits_with


@pytest.fixture
def client(models):
    return client_of(models)


def logged(caplog) -> logging.LogRecord:
    return [record for record in caplog.records if record.name == "car_damage.requests"][-1]


@pytest.fixture(autouse=True)
def listening(caplog):
    caplog.set_level("INFO")


def test_a_photo_s_line_tells_all_but_the_photo(client, caplog):
    response = client.post("/predict?heatmap=true", data=form(RED))
    line = vars(logged(caplog))
    assert line["request_id"] == response.json["request_id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict", 200)
    assert (line["photo_bytes"], line["client"]) == (len(RED), "127.0.0.1")
    assert line["photo_sha256"] == hashlib.sha256(RED).hexdigest()
    assert (line["prediction"], line["warnings"]) == ("damaged", [])
    assert line["probability"] == response.json["probability"]
    stages = [line[f"{stage}_ms"] for stage in ("queue", "decode", "fit", "graph", "heatmap")]
    assert all(stage >= 0 for stage in stages)
    assert line["total_ms"] >= sum(stages) * 0.99
    assert "base64" not in str(line)


def test_a_refused_photo_s_line_tells_why_and_which_photo(client, caplog):
    client.post("/predict", data=form(b"no photo"))
    line = vars(logged(caplog))
    assert (line["status"], line["refusal"], line["photo_bytes"]) == (415, "not_a_photo", 8)


def test_several_photos_have_one_line_with_each_of_them(client, caplog):
    client.post("/predict", data=form(RED, b"no photo"))
    first, second = logged(caplog).photos
    assert first["prediction"] == "damaged"
    assert second["refusal"] == "not_a_photo"


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/metrics"])
def test_every_request_has_a_line(client, caplog, path):
    response = client.get(path)
    assert logged(caplog).path == path
    assert logged(caplog).status == response.status_code


def test_a_sane_request_id_is_taken_over(client):
    response = client.get("/health", headers={"X-Request-ID": "order-17.b:2"})
    assert response.headers["X-Request-ID"] == "order-17.b:2"


@pytest.mark.parametrize("wild", ["", "a b", "x" * 65, "<script>", '"}', "é"])
def test_a_wild_request_id_is_replaced(client, wild):
    response = client.get("/health", headers={"X-Request-ID": wild.encode().decode("latin-1")})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


def record(message: str = "hello", **extra) -> logging.LogRecord:
    made = logging.LogRecord("name", logging.INFO, "file", 1, message, (), None)
    vars(made).update(extra)
    return made


def test_a_json_line_has_time_level_message_and_what_it_was_given():
    line = json.loads(logs.JsonFormatter().format(record(status=200, path="/a\nb")))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "message": "hello", "status": 200, "path": "/a\nb"}


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
def test_a_client_cannot_forge_a_line(formatter):
    assert "\n" not in formatter.format(record(path='/a\n{"level": "error"}'))


def test_an_error_s_line_holds_the_traceback():
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError as error:
        made = record(exc_info=(type(error), error, error.__traceback__))
    assert "ZeroDivisionError: why" in json.loads(logs.JsonFormatter().format(made))["traceback"]
    assert "ZeroDivisionError: why" in logs.TextFormatter().format(made)


# Metrics


def counts(client) -> dict[str, float]:
    """Each series with its value."""
    lines = client.get("/metrics").text.splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def grown(client, ask) -> dict[str, float]:
    """By how much each series grows when `ask` is called."""
    before = counts(client)
    ask()
    after = counts(client)
    return {name: value - before.get(name, 0) for name, value in after.items()}


def test_requests_photos_stages_and_probabilities_are_counted(client):
    grew = grown(client, lambda: client.post("/predict", data=form(RED, BLUE)))
    assert grew['car_damage_requests_total{route="/predict",status="200"}'] == 1
    assert grew['car_damage_predictions_total{prediction="damaged"}'] == 1
    assert grew['car_damage_predictions_total{prediction="not_damaged"}'] == 1
    assert grew["car_damage_probability_count"] == 2
    assert grew['car_damage_probability_bucket{le="0.5"}'] == 1
    for stage in ("queue", "decode", "fit", "graph"):
        assert grew[f'car_damage_stage_seconds_count{{stage="{stage}"}}'] == 2


def test_a_photo_that_is_sent_again_for_its_heatmap_counts_as_one_prediction(
    models, tiny_graph, caplog
):
    limits = limits_with(short_side=32)
    version = tiny_model.add_version(
        models, tiny_graph, "20260401-0900-ffff", warning_limits=limits
    )
    client = client_of(models, version)
    grew = grown(client, lambda: client.post("/predict", data=form(RED)))
    counts_of_predictions = {
        'car_damage_predictions_total{prediction="damaged"}',
        "car_damage_probability_count",
        'car_damage_warnings_total{warning="dark"}',
    }
    assert {grew[name] for name in counts_of_predictions} == {1}
    again = "/predict?heatmap=true&repeat=true"
    grew = grown(client, lambda: client.post(again, data=form(RED)))
    assert {grew[name] for name in counts_of_predictions} == {0}
    assert grew['car_damage_requests_total{route="/predict",status="200"}'] == 1
    assert grew["car_damage_answer_seconds_count"] == 1
    assert [vars(line).get("repeat") for line in caplog.records if "prediction" in vars(line)] == [
        None,
        True,
    ]


def test_refusals_are_counted_by_reason(client):
    grew = grown(client, lambda: client.post("/predict", data=form(b"no photo")))
    assert grew['car_damage_refusals_total{reason="not_a_photo"}'] == 1
    grew = grown(client, lambda: client.post("/predict", data=form(RED, RED[:-300])))
    assert grew['car_damage_refusals_total{reason="truncated"}'] == 1


def test_addresses_that_do_not_exist_are_counted_as_one(client):
    grew = grown(client, lambda: [client.get(f"/nothing/{number}") for number in range(3)])
    assert grew['car_damage_requests_total{route="unmatched",status="404"}'] == 3


def test_the_model_the_memory_and_the_photos_in_flight_are_told(client):
    told = counts(client)
    assert told['car_damage_model_info{version="20260311-1402-0a1b"}'] == 1
    assert told["car_damage_photos_in_flight"] == 0
    assert told["car_damage_resident_memory_bytes"] > 1e6


def test_the_time_of_an_answer_is_that_of_its_stages(client, caplog):
    grew = grown(client, lambda: client.post("/predict?heatmap=true", data=form(RED)))
    [line] = [vars(record) for record in caplog.records if "photo_bytes" in vars(record)]
    stages = [line[f"{stage}_ms"] for stage in ("queue", "decode", "fit", "graph", "heatmap")]
    assert grew["car_damage_answer_seconds_count"] == 1
    assert grew["car_damage_answer_seconds_sum"] == pytest.approx(sum(stages) / 1000)


@pytest.mark.parametrize("photos", [(RED, BLUE), (b"no photo",)])
def test_several_photos_and_refused_ones_count_for_no_answer_s_time(client, photos):
    grew = grown(client, lambda: client.post("/predict", data=form(*photos)))
    assert grew["car_damage_answer_seconds_count"] == 0


def test_when_the_process_started_is_told(models):
    before = time.time()
    assert before <= counts(client_of(models))["car_damage_worker_start_time_seconds"]


def test_what_never_happened_is_told_as_0(client):
    told = counts(client)
    assert 'car_damage_requests_total{route="/predict",status="500"}' in told
    assert 'car_damage_warnings_total{warning="unfamiliar"}' in told
    assert 'car_damage_refusals_total{reason="internal_error"}' in told
