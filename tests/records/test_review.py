"""The review: who gets which photo, and what an answer does."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask, g
from sqlalchemy import delete, select

from car_damage.records import api, database, reviewing
from car_damage.records.tables import predictions
from car_damage.service.access import Caller
from car_damage.service.settings import Key
from tests.clients import RED, form, problem
from tests.records.answered import (
    add,
    add_audit,
    add_unsure,
    client_with,
    keep,
    labels,
    waiting,
)
from tests.records.entries import wait_until_written
from tests.service.test_access import KEY, OTHER, bearer

ANNA, BEN = "anna-anna", "ben-ben-ben"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def client(models, engine, database_url, folder, monkeypatch):
    monkeypatch.setattr(api, "WRITTEN_BY", 0.05)
    monkeypatch.setattr(reviewing, "AUDITS_FIRST", 0)
    keep(engine, folder)
    return client_with(models, database_url, keep_photos=str(folder))


def following(client, reviewer=ANNA, **options):
    """The next photo."""
    response = client.post("/review/next", json={"reviewer": reviewer}, **options)
    assert response.status_code == 200, response.json
    return response.json["photo"]


def answer(client, prediction_id, label="damaged", reviewer=ANNA, **options):
    body = {"reviewer": reviewer, "label": label}
    return client.post(f"/review/{prediction_id}", json=body, **options)


def undo(client, prediction_id, reviewer=ANNA):
    return client.post(f"/review/{prediction_id}/undo", json={"reviewer": reviewer})


def ids_for(client, *reviewers):
    return [(following(client, reviewer) or {}).get("prediction_id") for reviewer in reviewers]


def test_the_most_unsure_photo_comes_first_with_what_the_model_said(client, engine):
    add(engine)  # a sure one, which needs no review
    less, most = add_unsure(engine, 0.7), add_unsure(engine, 0.48, warnings="dark blurred")
    photo = following(client)
    assert photo["prediction_id"] == most
    assert photo["picture"].startswith("data:image/jpeg;base64,")
    said = photo["answer"]
    assert said["heatmap"].startswith("data:image/png;base64,")
    assert (said["prediction"], said["probability"]) == ("not_damaged", 0.48)
    assert said["warnings"] == ["dark", "blurred"]
    answer(client, most)
    assert ids_for(client, ANNA) == [less]
    answer(client, less)
    assert following(client) is None


def test_an_answer_is_stored_and_closes_the_review(client, engine):
    for label in ("damaged", "not_damaged", "cannot_tell"):
        this = add_unsure(engine)
        following(client)
        assert answer(client, this, label).json["label"] == label
        assert labels(engine)[this] == (label, True)
        assert waiting(engine) == set()


def test_an_audit_hides_the_model_s_answer_until_the_person_has_chosen(client, engine):
    this = add_audit(engine, 0.95, warnings="dark")
    photo = following(client)
    assert photo["audit"]
    assert photo["answer"] is None
    assert "0.95" not in str(photo)
    assert "heatmap" not in photo
    said = answer(client, this, "not_damaged").json["answer"]
    assert (said["prediction"], said["probability"]) == ("damaged", 0.95)
    assert said["heatmap"].startswith("data:image/png;base64,")


def test_in_an_audit_the_first_answer_counts_because_the_model_s_is_shown_after_it(client, engine):
    this = add_audit(engine)
    following(client)
    answer(client, this, "not_damaged")
    assert answer(client, this, "not_damaged").status_code == 200  # the response was lost
    assert problem(answer(client, this, "damaged")) == (409, "taken")
    assert problem(undo(client, this)) == (409, "taken")
    assert labels(engine) == {this: ("not_damaged", True)}


def test_one_in_five_photos_is_an_audit_as_long_as_there_are_some(client, engine, monkeypatch):
    monkeypatch.setattr(reviewing, "AUDITS_FIRST", 0.2)
    draws = iter([0.19, 0.2, 0.9, 0.1])
    monkeypatch.setattr(reviewing.random, "random", lambda: next(draws))
    for _ in range(2):
        add_audit(engine)
        add_unsure(engine)
    kinds = []
    for _ in range(4):
        photo = following(client)
        kinds.append(photo["audit"])
        answer(client, photo["prediction_id"])
    assert kinds == [True, False, False, True]


def test_a_client_s_later_correction_does_not_take_an_audit_s_review_away(client, engine):
    this = add_audit(engine)
    following(client)
    answer(client, this, "damaged")
    client.post("/feedback", json={"prediction_id": this, "label": "not_damaged"})
    assert labels(engine) == {this: ("not_damaged", True)}


def test_a_photo_that_was_just_answered_can_be_reviewed(models, engine, database_url, folder):
    client = client_with(models, database_url, keep_photos=str(folder), audit_share=1.0)
    said = client.post("/predict", data=form(RED)).json
    wait_until_written(client)
    photo = following(client)
    assert photo["prediction_id"] == said["prediction_id"]
    answer(client, said["prediction_id"], "damaged")
    (week,) = client.get("/feedback/summary").json["weeks"]
    assert (week["accuracy"], week["photos"]) == (1, 1)


def test_two_people_get_different_photos_and_a_reload_returns_the_same_one(client, engine):
    first, second = add_unsure(engine, 0.5), add_unsure(engine, 0.6)
    assert ids_for(client, ANNA, BEN, ANNA, BEN) == [first, second, first, second]
    assert ids_for(client, "carl-carl") == [None]
    assert problem(answer(client, first, reviewer=BEN)) == (409, "taken")
    assert labels(engine) == {}


def test_the_response_says_how_many_photos_wait(client, engine):
    for _ in range(3):
        add_unsure(engine)
    add_unsure(engine, sha256="0" * 64)  # answered while no photos were kept
    counts = []
    for reviewer in (ANNA, BEN, ANNA):
        body = client.post("/review/next", json={"reviewer": reviewer}).json
        counts.append(body["waiting"])
    assert counts == [3, 2, 2]


def test_what_one_person_leaves_open_comes_back(client, engine, monkeypatch):
    monkeypatch.setattr(reviewing, "LEASE", timedelta(seconds=-1))  # it is over at once
    this = add_unsure(engine)
    assert ids_for(client, ANNA, BEN) == [this, this]
    assert answer(client, this, reviewer=ANNA).status_code == 200
    assert problem(answer(client, this, reviewer=BEN)) == (409, "taken")


def test_a_closed_page_gives_its_photo_back_but_a_reloaded_one_keeps_it(
    client, engine, monkeypatch
):
    this = add_unsure(engine)
    for reload, got in ((60, None), (-1, this)):
        monkeypatch.setattr(reviewing, "RELOAD", timedelta(seconds=reload))
        assert ids_for(client, ANNA) == [this]
        client.post("/review/release", json={"reviewer": ANNA})
        assert ids_for(client, BEN) == [got]


def test_the_last_answer_can_be_undone_by_the_same_person_only(client, engine):
    this = add_unsure(engine)
    following(client)
    answer(client, this, "not_damaged")
    assert problem(undo(client, this, BEN)) == (409, "taken")
    assert undo(client, this).status_code == 204
    assert labels(engine) == {}
    assert ids_for(client, BEN, ANNA) == [None, this]
    assert answer(client, this, "damaged").status_code == 200


def test_an_undo_does_not_delete_what_a_client_said_after_the_review(client, engine):
    this = add_unsure(engine)
    following(client)
    answer(client, this, "not_damaged")
    client.post("/feedback", json={"prediction_id": this, "label": "damaged"})
    assert problem(undo(client, this)) == (409, "taken")
    assert labels(engine) == {this: ("damaged", True)}
    assert waiting(engine) == set()


def test_an_undo_does_not_delete_what_a_client_said_while_the_reviewer_only_looked(client, engine):
    this = add_unsure(engine)
    following(client)
    client.post("/feedback", json={"prediction_id": this, "label": "damaged"})
    assert problem(undo(client, this)) == (409, "taken")
    assert labels(engine) == {this: ("damaged", False)}


def test_an_undo_whose_response_was_lost_can_be_sent_again(client, engine):
    this = add_unsure(engine)
    following(client)
    answer(client, this, "not_damaged")
    assert [undo(client, this).status_code for _ in range(2)] == [204, 204]
    assert waiting(engine) == {this}


def test_reviewers_at_once_never_get_the_same_photo(engine, folder):
    keep(engine, folder)
    photos = {add_unsure(engine, 0.5 + number / 100) for number in range(12)}
    got, start = [], threading.Barrier(4)

    def review(name: str) -> None:
        with Flask("reviews").app_context():
            g.caller = Caller("", True, "127.0.0.1")
            start.wait()
            for number in range(3):
                with database.writing(engine).begin() as connection:
                    claimed = reviewing.claim(connection, f"{name}-{number}")
                got.append(claimed.row.id)

    threads = [threading.Thread(target=review, args=[f"person-{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(photos)


def test_a_photo_that_somebody_holds_cannot_be_claimed_even_after_both_have_found_it(engine):
    add_unsure(engine)
    now = datetime.now(UTC)
    with database.writing(engine).begin() as connection:
        number = connection.scalar(select(predictions.c.number))
        got = [reviewing._lease(connection, number, who, now) for who in (ANNA, BEN, ANNA)]
    assert got == [True, False, True]


def test_a_key_reviews_only_what_came_under_it(models, engine, database_url, folder):
    keys = {"api_keys": (Key("clerk", KEY),), "admin_keys": (Key("boss", OTHER),)}
    keep(engine, folder)
    client = client_with(models, database_url, keep_photos=str(folder), **keys)
    foreign, own = add_unsure(engine, 0.5, owner="desk"), add_unsure(engine, 0.6, owner="clerk")
    refused = client.post("/review/next", json={"reviewer": ANNA})
    assert problem(refused) == (401, "unauthorized")
    assert following(client, headers=bearer(KEY))["prediction_id"] == own
    assert problem(answer(client, foreign, headers=bearer(KEY))) == (404, "unknown_prediction")
    assert following(client, BEN, headers=bearer(OTHER))["prediction_id"] == foreign


def test_a_photo_whose_file_is_missing_is_left_out_and_logged(client, engine, folder, caplog):
    missing = add_unsure(engine, 0.5, sha256="7" * 64)
    fine = add_unsure(engine, 0.6)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO kept_photos SELECT '" + "7" * 64 + "', written FROM kept_photos LIMIT 1"
        )
    assert ids_for(client, ANNA) == [fine]
    assert missing in caplog.text
    answer(client, fine)
    assert ids_for(client, ANNA, BEN) == [None, None]


def test_without_kept_photos_the_review_says_how_to_keep_them(models, engine, database_url):
    refused = client_with(models, database_url).post("/review/next", json={"reviewer": ANNA})
    assert problem(refused) == (409, "photos_not_kept")
    assert "KEEP_PHOTOS" in refused.json["detail"]


def test_the_metrics_do_not_count_a_photo_again_that_is_reviewed(client, engine):
    def counted() -> list[str]:
        lines = client.get("/metrics").text.splitlines()
        return [line for line in lines if line.startswith("car_damage_predictions_total")]

    before = counted()
    add_unsure(engine)
    following(client)
    assert counted() == before


def test_a_photo_that_was_deleted_while_somebody_looked_at_it_is_unknown(client, engine):
    this = add_unsure(engine)
    following(client)
    with engine.begin() as connection:
        connection.execute(delete(predictions))
    assert problem(answer(client, this)) == (404, "unknown_prediction")


def test_the_queue_is_found_by_its_index(engine):
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by its statistics")
    found = select(predictions.c.number).where(
        reviewing._is_waiting(), predictions.c.owner == "clerk"
    )
    statement = found.order_by(predictions.c.sureness).compile(engine)
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", ("clerk",)).all()
    assert "predictions_to_review" in str(plan)
    assert "TEMP B-TREE" not in str(plan)
