"""GET /predictions: the order of long lists, and how they are found."""

import csv
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, true
from sqlalchemy.dialects import sqlite

from car_damage.records import listing
from car_damage.records.tables import predictions
from tests.records.answered import row_of

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def listed(engine, visible, since=None):
    """The ids in a list."""
    lines = "".join(listing.csv_of(engine, visible, since)).splitlines()
    return [row["prediction_id"] for row in csv.DictReader(lines)]


@pytest.fixture
def rows(engine):
    """Rows that several workers wrote, so that their numbers are not in the order of their times.

    Some have the same time.
    """
    minutes = [5, 0, 3, 3, 3, 1, 5, 4]
    made = [
        row_of(time=BEGIN + timedelta(minutes=minute), owner="clerk" if at % 3 else "desk")
        for at, minute in enumerate(minutes)
    ]
    with engine.begin() as connection:
        connection.execute(insert(predictions), made)
    return sorted(made, key=lambda row: row["time"])


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_a_list_begins_with_the_oldest_and_has_each_row_once(engine, rows, monkeypatch, page):
    monkeypatch.setattr(listing, "PAGE", page)
    assert listed(engine, true()) == [row["id"] for row in rows]
    of_clerk = [row["id"] for row in rows if row["owner"] == "clerk"]
    assert listed(engine, predictions.c.owner == "clerk") == of_clerk
    since = BEGIN + timedelta(minutes=3)
    late = [row["id"] for row in rows if row["time"] >= since]
    assert listed(engine, true(), since) == late


@pytest.mark.parametrize(
    ("visible", "index"),
    [(predictions.c.owner == "clerk", "predictions_of_owner"), (true(), "predictions_time")],
)
def test_each_page_of_a_list_is_found_by_an_index(engine, rows, visible, index):
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL plans by its statistics")
    chosen = listing._chosen(visible, None)
    with engine.connect() as connection:
        (last, *_) = connection.execute(chosen).all()
        for page in (chosen, listing._after(chosen, last)):
            statement = page.compile(
                dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
            )
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all())
            assert index in plan
            assert "TEMP B-TREE" not in plan
    assert "time" in plan.partition(index)[2]  # it goes on where the last page ended
