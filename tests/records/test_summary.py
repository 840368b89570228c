"""GET /feedback/summary: how right the answers were, from a biased sample of labels."""

import math
import sqlite3

import numpy as np
import pytest
from sqlalchemy import insert

from car_damage.records.summary import Stratum, estimate
from car_damage.records.tables import feedback, predictions
from car_damage.service.settings import Key
from tests.records.answered import add, add_audit, add_unsure, client_with, row_of
from tests.service.test_access import KEY, bearer

OTHER_LABEL = {"damaged": "not_damaged", "not_damaged": "damaged"}


@pytest.fixture
def client(models, engine, database_url):
    return client_with(models, database_url)


def label(engine, prediction_id, label, in_review=True):
    with engine.begin() as connection:
        row = connection.execute(
            predictions.select().where(predictions.c.id == prediction_id)
        ).one()
        values = {"time": row.time, "given_by": "", "in_review": in_review}
        connection.execute(insert(feedback).values(prediction=row.number, label=label, **values))


def summary(client, **options):
    response = client.get("/feedback/summary", **options)
    assert response.status_code == 200, response.json
    return response.json["weeks"]


def test_each_stratum_counts_with_its_share_of_all_photos():
    # Half of the photos are unsure. All of them are labelled, and half of these answers are right.
    found = estimate([Stratum(100, 50, 50), Stratum(100, 100, 50)])
    assert found.accuracy == pytest.approx(0.75)
    share = 52 / 54
    half = 1.96 * math.sqrt(0.25 * share * (1 - share) / 50 * 0.5)
    assert found.low == pytest.approx(0.75 - half, abs=1e-4)
    assert found.high == pytest.approx(0.75 + half, abs=1e-4)


def test_the_interval_allows_for_everything_in_a_stratum_without_labels():
    found = estimate([Stratum(90, 90, 90), Stratum(10, 0, 0)])
    assert found == (None, pytest.approx(0.9), pytest.approx(1.0))


def test_a_completely_labelled_week_has_an_exact_accuracy(client, engine):
    for probability, right in ((0.9, True), (0.8, False), (0.55, False), (0.52, True)):
        new = add_audit if probability > 0.7 else add_unsure
        label(engine, new(engine, probability), "damaged" if right else "not_damaged")
    (week,) = summary(client)
    assert (week["accuracy"], week["low"], week["high"]) == (0.5, 0.5, 0.5)
    assert week["reason"] is None
    assert week["promised"] == pytest.approx((0.9 + 0.8 + 0.55 + 0.52) / 4, abs=1e-4)
    assert week["unsure"] == {"photos": 2, "labelled": 2, "correct": 1}
    assert week["audited"] == {"photos": 2, "labelled": 2, "correct": 1}


def test_feedback_on_sure_answers_outside_audits_does_not_change_the_accuracy(client, engine):
    for _ in range(4):
        label(engine, add_audit(engine), "damaged")
    complaint, pending = add(engine), add_audit(engine)
    label(engine, complaint, "not_damaged", in_review=False)
    label(engine, pending, "not_damaged", in_review=False)
    (week,) = summary(client)
    assert week["accuracy"] == 1
    assert week["audited"] == {"photos": 6, "labelled": 4, "correct": 4}
    assert week["volunteered"] == {"photos": 1, "labelled": 1, "correct": 0}


def test_a_photo_on_which_a_person_cannot_tell_counts_as_unlabelled(client, engine):
    for word in ("cannot_tell", "damaged"):
        label(engine, add_audit(engine), word)
    (week,) = summary(client)
    assert week["cannot_tell"] == 1
    assert week["audited"] == {"photos": 2, "labelled": 1, "correct": 1}


def test_without_an_audit_there_is_no_accuracy_but_a_reason(client, engine):
    for _ in range(8):
        add(engine)
    label(engine, add_unsure(engine, 0.6), "damaged")
    label(engine, add_unsure(engine, 0.4), "not_damaged")
    (week,) = summary(client)
    assert week["accuracy"] is None
    assert "AUDIT_SHARE" in week["reason"]
    assert (week["low"], week["high"]) == (0.2, 1)


def test_unsure_answers_unlike_all_reviewed_ones_leave_the_accuracy_open(client, engine):
    label(engine, add_unsure(engine, 0.52), "damaged")
    add_unsure(engine, 0.8)  # the review takes the most unsure first
    (week,) = summary(client)
    assert week["accuracy"] is None
    assert "as 1 unsure answer was reviewed" in week["reason"]
    assert (week["low"], week["high"]) == (0.5, 1)


def test_each_version_and_week_has_its_own_row_newest_first(client, engine):
    for week, version in (("2026-W47", "a"), ("2026-W48", "a"), ("2026-W48", "b")):
        add(engine, week=week, model_version=version)
    found = [(row["week"], row["model_version"]) for row in summary(client)]
    assert found == [("2026-W48", "b"), ("2026-W48", "a"), ("2026-W47", "a")]


def test_a_key_sees_the_accuracy_only_of_what_came_under_it(models, engine, database_url):
    client = client_with(models, database_url, api_keys=(Key("clerk", KEY),))
    add(engine, owner="clerk")
    add(engine, owner="desk")
    (week,) = summary(client, headers=bearer(KEY))
    assert week["photos"] == 1


def test_the_interval_contains_the_true_accuracy_and_the_plain_mean_of_the_labels_is_off(
    client, engine
):
    """Simulates weeks in which the model is overconfident, and the review is not complete."""
    truths, plain_means = [], []
    rng = np.random.default_rng(0)
    file = engine.url.database
    if engine.dialect.name != "sqlite":
        pytest.skip("one database is enough")
    for number in range(60):
        truth, mean = simulate_week(file, f"W{number:03}", rng)
        truths.append(truth)
        plain_means.append(mean)
    weeks = {week["week"]: week for week in summary(client)}
    found = [weeks[f"W{number:03}"] for number in range(60)]
    covered = np.mean(
        [week["low"] <= truth <= week["high"] for week, truth in zip(found, truths, strict=True)]
    )
    assert 0.9 <= covered <= 1
    assert np.mean([week["high"] - week["low"] for week in found]) < 0.12
    known = [
        week["accuracy"] - truth
        for week, truth in zip(found, truths, strict=True)
        if week["accuracy"] is not None
    ]
    assert len(known) > 30
    assert abs(np.mean(known)) < 0.01
    assert np.mean(truths) - np.mean(plain_means) > 0.1


def simulate_week(file: str, week: str, rng: np.random.Generator) -> tuple[float, float]:
    """Add a week's photos and labels. Return the true accuracy, and the mean of the labels."""
    photos = 800
    probability = np.round(rng.beta(0.25, 0.25, photos), 4)
    said = probability >= 0.5
    sure_right = np.maximum(probability, 1 - probability)
    right = rng.random(photos) < 0.5 + (sure_right - 0.5) * 0.9
    review = (probability > 0.06) & (probability < 0.94)
    audit = ~review & (rng.random(photos) < 0.15)
    sureness = np.abs(probability - 0.5)
    by_client = ~audit & (rng.random(photos) < np.where(right, 0.01, 0.3))
    todo = np.flatnonzero(review & ~by_client)
    todo = todo[np.argsort(sureness[todo])][: int(0.9 * len(todo))]
    reviewed = np.zeros(photos, bool)
    reviewed[todo] = True
    reviewed |= audit & (rng.random(photos) < 0.8)
    rows, words = [], []
    for index in range(photos):
        row = row_of(
            float(probability[index]),
            week=week,
            review=bool(review[index]),
            audit=bool(audit[index]),
        )
        rows.append(row | {"time": "2026-11-28 00:00:00.000000"})
        if reviewed[index] or by_client[index]:
            word = row["prediction"] if right[index] else OTHER_LABEL[row["prediction"]]
            words.append((row["id"], word, bool(reviewed[index])))
    assert said.any()
    with sqlite3.connect(file) as connection:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        connection.executemany(f"INSERT INTO predictions ({names}) VALUES ({marks})", rows)
        connection.executemany(
            "INSERT INTO feedback SELECT number, ?2, time, '', ?3 FROM predictions WHERE id = ?1",
            words,
        )
    labelled = reviewed | by_client
    return float(right.mean()), float(right[labelled].mean())
