"""POST /feedback: a person says what a photo really shows."""

import threading

import pytest
from sqlalchemy import delete, insert

from car_damage.records import api
from car_damage.records.tables import forgotten, predictions
from car_damage.service.settings import Key
from tests.clients import problem
from tests.records.answered import add, add_audit, add_unsure, client_with, labels, waiting
from tests.service.test_access import KEY, OTHER, bearer


@pytest.fixture
def client(models, engine, database_url, monkeypatch):
    monkeypatch.setattr(api, "WRITTEN_BY", 0.05)
    return client_with(models, database_url)


def send(client, prediction_id, label="damaged", **options):
    return client.post(
        "/feedback", json={"prediction_id": prediction_id, "label": label}, **options
    )


def test_the_last_word_counts(client, engine):
    this = add(engine)
    for label in ("damaged", "damaged", "not_damaged"):
        stored = send(client, this, label)
        assert stored.status_code == 200
        assert stored.json["prediction_id"] == this
        assert stored.json["label"] == label
    assert labels(engine) == {this: ("not_damaged", False)}


def test_feedback_on_an_unsure_photo_closes_its_review_and_on_an_audit_it_does_not(client, engine):
    unsure, audit = add_unsure(engine), add_audit(engine)
    send(client, unsure)
    send(client, audit)
    assert waiting(engine) == {audit}


def test_feedback_can_come_before_the_answer_is_in_the_database(client, engine, monkeypatch):
    monkeypatch.setattr(api, "WRITTEN_BY", 0.5)
    late = "a" * 32
    threading.Timer(0.1, add, [engine], {"id": late}).start()
    assert send(client, late).status_code == 200


@pytest.mark.parametrize("wrong", ["b" * 32, "nothing", "", "a\0b", "\ud800", "b" * 33])
def test_an_unknown_id_is_refused(client, engine, wrong):
    add(engine)
    assert problem(send(client, wrong)) == (404, "unknown_prediction")
    assert labels(engine) == {}


def test_a_deleted_prediction_is_gone_for_good(client, engine):
    this = add(engine)
    send(client, this)
    with engine.begin() as connection:
        connection.execute(delete(predictions).where(predictions.c.id == this))
        connection.execute(insert(forgotten).values(id=this))
    assert problem(send(client, this)) == (410, "forgotten")
    assert labels(engine) == {}


def test_a_key_sees_only_what_came_under_it_and_an_administrator_sees_all(
    models, engine, database_url, monkeypatch
):
    monkeypatch.setattr(api, "WRITTEN_BY", 0.05)
    keys = {"api_keys": (Key("clerk", KEY),), "admin_keys": (Key("boss", OTHER),)}
    client = client_with(models, database_url, **keys)
    own, foreign = add(engine, owner="clerk"), add(engine, owner="desk")
    assert problem(send(client, own)) == (401, "unauthorized")
    assert send(client, own, headers=bearer(KEY)).status_code == 200
    assert problem(send(client, foreign, headers=bearer(KEY))) == (404, "unknown_prediction")
    assert send(client, foreign, headers=bearer(OTHER)).status_code == 200
    assert labels(engine).keys() == {own, foreign}


def test_without_keys_only_the_service_s_own_computer_may_send_feedback(client, engine):
    this = add(engine)
    elsewhere = {"environ_base": {"REMOTE_ADDR": "10.0.0.7"}}
    assert problem(send(client, this, **elsewhere)) == (403, "local_only")
    website = {"headers": {"Origin": "https://evil.example"}}
    assert problem(send(client, this, **website)) == (403, "local_only")
    assert labels(engine) == {}


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ({"json": {"prediction_id": "b" * 32}}, "label is missing. Add it."),
        ({"json": {"prediction_id": 5, "label": "damaged"}}, "prediction_id is '5'. "),
        (
            {"json": {"prediction_id": "b" * 32, "label": "cannot_tell"}},
            "label is 'cannot_tell'. Input should be 'damaged' or 'not_damaged'.",
        ),
        ({"data": {"label": "damaged"}}, "Send a JSON object, with the header Content-Type: "),
        ({"data": '{"label": "damaged"}', "content_type": "text/plain"}, "Send a JSON object"),
        ({"data": "[" * 9000, "content_type": "application/json"}, "too many levels"),
        ({"json": ["damaged"]}, "Send a JSON object"),
    ],
    ids=["missing", "number", "label", "form", "text", "deep", "list"],
)
def test_a_wrong_body_gets_a_sentence_that_says_what_to_send(client, sent, sentence):
    response = client.post("/feedback", **sent)
    assert problem(response) == (400, "bad_request")
    assert sentence in response.json["detail"]


def test_a_huge_body_is_refused(client):
    assert problem(send(client, "b" * 20_000)) == (413, "upload_too_large")
