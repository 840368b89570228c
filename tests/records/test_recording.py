"""A service that records: what /predict adds, lists, deletion, and a database that goes away."""

import csv
import io

import pytest

from car_damage.records import database, listing, recorder
from car_damage.records.kept_photos import UNSET
from car_damage.service.settings import Key
from tests.clients import BLUE, RED, client_of, form, problem
from tests.photo_files import jpeg
from tests.records.entries import recording_client, wait_until_written
from tests.tiny_model import plain_photo

CLERK, DESK, BOSS = (
    Key("clerk", "Zk3vX9-qLw7pT2bN.R5s"),
    Key("desk", "hT8~cW4_yJ6mQ1dG+F0v"),
    Key("boss", "wB5.nR2xK8sT~qL4mZ7y"),
)
KEYS = {"api_keys": (CLERK, DESK), "admin_keys": (BOSS,)}


def bearer(key):
    return {"Authorization": f"Bearer {key.secret}"}


def ask(client, photo=RED, key=None, query=""):
    """Send a photo; return the answer once it is in the database."""
    headers = {} if key is None else bearer(key)
    response = client.post(f"/predict{query}", data=form(photo), headers=headers)
    assert response.status_code == 200, response.text
    wait_until_written(client)
    return response.json


def listed(client, key=None, query=""):
    headers = {} if key is None else bearer(key)
    response = client.get(f"/predictions{query}", headers=headers)
    assert response.status_code == 200, response.text
    assert response.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(response.text)))


def delete(client, prediction_id, key=None):
    headers = {} if key is None else bearer(key)
    return client.delete(f"/predictions/{prediction_id}", headers=headers)


@pytest.fixture
def client(models, database_url):
    return recording_client(models, database_url)


def test_without_a_database_the_service_is_as_it_was(models):
    client = client_of(models)
    answer = client.post("/predict", data=form(RED)).json
    assert not {"prediction_id", "seen_before"} & answer.keys()
    assert problem(client.get("/predictions")) == (404, "not_found")
    assert "car_damage_records" not in client.get("/metrics").text.replace('reason="records', "")


def test_each_answer_has_an_id_of_its_own_and_a_row(client):
    first, second = ask(client), ask(client, BLUE)
    assert len({first["prediction_id"], second["prediction_id"]}) == 2
    assert len(first["prediction_id"]) == 32
    rows = listed(client)
    assert [row["prediction_id"] for row in rows] == [
        first["prediction_id"],
        second["prediction_id"],
    ]
    assert [row["prediction"] for row in rows] == ["damaged", "not_damaged"]
    assert rows[0]["width"] == "120"
    assert rows[0]["time"].endswith("+00:00")


def test_a_photo_that_is_sent_again_was_seen_before(client):
    answers = [ask(client) for _ in range(3)]
    assert answers[0]["seen_before"] is None
    seen = answers[2]["seen_before"]
    assert (seen["match"], seen["times"]) == ("exact", 2)
    assert seen["prediction_id"] == answers[1]["prediction_id"]
    assert seen["first"] < seen["last"]
    assert [row["time"] for row in listed(client)[:2]] == [
        seen["first"].replace("Z", "+00:00"),
        seen["last"].replace("Z", "+00:00"),
    ]


def test_a_photo_that_the_page_sends_again_for_its_heatmap_is_not_recorded(client):
    ask(client)
    again = ask(client, query="?heatmap=true&repeat=true")
    assert not {"prediction_id", "seen_before"} & again.keys()
    assert len(listed(client)) == 1


def test_several_photos_in_one_request_have_a_row_each_and_those_without_a_result_none(client):
    response = client.post("/predict", data=form(RED, b"no photo at all", BLUE))
    wait_until_written(client)
    items = response.json["predictions"]
    assert ["prediction_id" in item for item in items] == [True, False, True]
    assert len(listed(client)) == 2


def test_the_list_can_begin_at_a_time(client):
    ask(client)
    ask(client, BLUE)
    second = listed(client)[1]
    since = second["time"].replace("+00:00", "Z")
    assert listed(client, query=f"?since={since}") == [second]
    assert listed(client, query="?since=2999-01-01") == []
    assert problem(client.get("/predictions?since=yesterday")) == (400, "bad_request")


def test_a_long_list_comes_page_by_page_and_loses_no_row(client, monkeypatch):
    for _ in range(5):
        ask(client)
    whole = listed(client)
    monkeypatch.setattr(listing, "PAGE", 2)
    assert listed(client) == whole
    # Without a length, so the server sends block by block.
    assert "Content-Length" not in client.get("/predictions").headers


def test_a_deleted_prediction_is_gone_and_a_request_for_it_says_so(client):
    answer = ask(client)
    response = delete(client, answer["prediction_id"])
    assert (response.status_code, response.data) == (204, b"")
    assert problem(delete(client, answer["prediction_id"])) == (410, "forgotten")
    assert listed(client) == []
    assert ask(client)["seen_before"] is None


def test_a_prediction_can_be_deleted_before_it_is_written(client):
    answer = client.post("/predict", data=form(RED)).json
    assert delete(client, answer["prediction_id"]).status_code == 204


def test_a_prediction_whose_photo_waits_for_the_bucket_is_not_unknown(
    models, database_url, tmp_path
):
    folder = tmp_path / "photos"
    client = recording_client(models, database_url, keep_photos=str(folder))
    folder.write_text("a file in the folder's place")
    answer = client.post("/predict", data=form(RED)).json
    response = delete(client, answer["prediction_id"])
    assert problem(response) == (503, "records_unavailable")
    assert "not stored yet" in response.json["detail"]
    folder.unlink()
    wait_until_written(client)
    assert delete(client, answer["prediction_id"]).status_code == 204
    assert problem(delete(client, "f" * 32)) == (404, "unknown_prediction")


def test_a_database_that_is_locked_while_rows_are_written_costs_no_answer(
    models, tmp_path, monkeypatch
):
    monkeypatch.setattr(database, "BUSY", 0.1)
    url = f"sqlite:///{tmp_path / 'records.db'}"
    client = recording_client(models, url)
    with database.writing(database.connect(url)).begin():  # another process holds the lock
        answers = [client.post("/predict", data=form(photo)).json for photo in (RED, BLUE)]
        ids = [answer["prediction_id"] for answer in answers]
        assert problem(delete(client, ids[0])) == (503, "records_unavailable")
    wait_until_written(client)
    assert [row["prediction_id"] for row in listed(client)] == ids
    assert delete(client, ids[0]).status_code == 204


def test_an_unknown_id_is_404(client):
    assert problem(delete(client, "f" * 32)) == (404, "unknown_prediction")
    assert problem(delete(client, "no id")) == (404, "unknown_prediction")


def test_photos_are_kept_only_if_there_is_a_place_for_them(models, database_url, tmp_path):
    folder = tmp_path / "photos"
    client = recording_client(models, database_url, keep_photos=str(folder))
    answer = ask(client)
    (row,) = listed(client)
    kept = folder / row["sha256"][:2] / row["sha256"]
    assert kept.read_bytes() == RED
    delete(client, answer["prediction_id"])
    assert not kept.exists()


def test_a_photo_whose_place_is_not_set_any_more_cannot_be_deleted_and_the_error_says_why(
    models, database_url, tmp_path
):
    folder = tmp_path / "photos"
    keeping = recording_client(models, database_url, keep_photos=str(folder))
    answer = ask(keeping)
    response = delete(recording_client(models, database_url), answer["prediction_id"])
    assert problem(response) == (503, "records_unavailable")
    assert response.json["detail"] == UNSET
    assert delete(keeping, answer["prediction_id"]).status_code == 204


def test_a_key_sees_recognises_and_deletes_only_what_came_under_it(models, database_url):
    client = recording_client(models, database_url, **KEYS)
    of_clerk = ask(client, key=CLERK)
    of_desk = ask(client, key=DESK)
    assert of_desk["seen_before"] is None
    assert [row["key"] for row in listed(client, CLERK)] == ["clerk"]
    assert [row["key"] for row in listed(client, BOSS)] == ["clerk", "desk"]
    assert ask(client, key=BOSS)["seen_before"]["times"] == 2
    unknown = delete(client, of_clerk["prediction_id"], DESK)
    assert problem(unknown) == (404, "unknown_prediction")
    assert delete(client, of_clerk["prediction_id"], CLERK).status_code == 204
    assert delete(client, of_desk["prediction_id"], BOSS).status_code == 204


def test_records_need_a_key_where_there_are_keys(models, database_url):
    client = recording_client(models, database_url, **KEYS)
    assert problem(client.get("/predictions")) == (401, "unauthorized")
    wrong = client.get("/predictions", headers={"Authorization": "Bearer wrong"})
    assert problem(wrong) == (401, "unauthorized")


def test_with_administrators_only_everybody_may_send_photos_but_not_see_records(
    models, database_url
):
    client = recording_client(models, database_url, admin_keys=(BOSS,))
    answers = [ask(client), ask(client)]
    assert all(answer["prediction_id"] for answer in answers)
    assert not any("seen_before" in answer for answer in answers)  # others may have sent it
    assert "car_damage_lookups_missed_total 0.0" in client.get("/metrics").text
    assert problem(client.get("/predictions")) == (401, "unauthorized")
    assert len(listed(client, BOSS)) == 2
    assert ask(client, key=BOSS)["seen_before"]["times"] == 2


FROM_ELSEWHERE = pytest.mark.parametrize(
    "request_of",
    [
        {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}},
        {"headers": {"X-Forwarded-For": "192.0.2.7"}},  # a proxy on this computer
        {"headers": {"Forwarded": "for=192.0.2.7"}},
        {"headers": {"Host": "records.example.org"}},  # a website's name for this computer
        {"headers": {"Origin": "https://example.org"}},  # a website in this computer's browser
    ],
)


@FROM_ELSEWHERE
def test_without_any_key_others_do_not_learn_whether_a_photo_came_before(
    models, tmp_path, request_of
):
    client = recording_client(models, f"sqlite:///{tmp_path / 'records.db'}")
    ask(client)
    answer = client.post("/predict", data=form(RED), **request_of).json
    assert answer["prediction_id"]
    assert "seen_before" not in answer


@FROM_ELSEWHERE
def test_without_any_key_records_are_only_for_the_services_own_computer(
    models, tmp_path, request_of
):
    client = recording_client(models, f"sqlite:///{tmp_path / 'records.db'}")
    response = client.get("/predictions", **request_of)
    assert problem(response) == (403, "local_only")
    assert "set API_KEYS" in response.json["detail"]


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_without_any_key_this_computer_sees_all_records(models, tmp_path, host):
    client = recording_client(models, f"sqlite:///{tmp_path / 'records.db'}")
    ask(client)
    response = client.get("/predictions", headers={"Host": host, "Origin": f"http://{host}"})
    assert response.status_code == 200


def test_all_of_a_share_of_the_sure_answers_goes_to_an_audit(models, database_url):
    """The tiny model has no review band, so all its answers are sure."""
    from sqlalchemy import select

    from car_damage.records.api import ENGINE
    from car_damage.records.tables import predictions

    client = recording_client(models, database_url, audit_share=0.5)
    for side in range(40):
        ask(client, jpeg(plain_photo(red=True, height=80 + side)))
    with client.application.extensions[ENGINE].connect() as connection:
        rows = connection.execute(select(predictions.c.audit, predictions.c.awaits_review)).all()
    assert 5 < sum(row.audit for row in rows) < 35
    assert all(row.audit == row.awaits_review for row in rows)


def test_a_lookup_that_takes_too_long_is_left_out_of_the_answer(models, tmp_path, monkeypatch):
    from time import sleep

    monkeypatch.setattr(recorder, "PATIENCE", 0.01)
    monkeypatch.setattr(recorder, "find_seen_before", lambda *_: sleep(0.3))
    client = recording_client(models, f"sqlite:///{tmp_path / 'records.db'}")
    answer = ask(client)
    assert "seen_before" not in answer
    assert answer["prediction_id"]
    assert "car_damage_lookups_missed_total 1.0" in client.get("/metrics").text


@pytest.mark.slow
def test_a_database_that_goes_away_and_comes_back_costs_no_answer(models, monkeypatch):
    from tests.postgres import running_postgres

    with running_postgres() as postgres:
        client = recording_client(models, postgres.url)
        before = ask(client)
        postgres.stop()
        during = [client.post("/predict", data=form(RED)) for _ in range(10)]
        assert [response.status_code for response in during] == [200] * 10
        assert all(response.json["prediction_id"] for response in during)
        for response in (client.get("/predictions"), delete(client, before["prediction_id"])):
            assert problem(response) == (503, "records_unavailable")
            assert response.headers["Retry-After"]
        postgres.start()
        wait_until_written(client)
        assert len(listed(client)) == 11
        assert delete(client, before["prediction_id"]).status_code == 204
