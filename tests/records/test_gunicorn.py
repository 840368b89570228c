"""A service with several workers that records."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from car_damage.records import database
from car_damage.records.tables import predictions
from tests.gunicorn_process import Service, running, wait_until
from tests.photo_files import jpeg
from tests.postgres import Postgres, running_postgres
from tests.tiny_model import plain_photo

CLIENTS = 4


class Load:
    """Clients that send photos without a pause, and what they got."""

    def __init__(self, service: Service):
        self.ids: list[str | None] = []
        self.statuses: set[int] = set()
        self.ending = False
        self._service, self._numbers = service, itertools.count()

    def send(self) -> None:
        """Send photos of different sizes until the end."""
        connection = self._service.connection()
        while not self.ending:
            photo = jpeg(plain_photo(red=True, width=100 + next(self._numbers) % 200))
            status, answer = self._service.ask("/predict", photo, connection)
            self.statuses.add(status)
            self.ids.append(answer.get("prediction_id"))

    def has_sent(self, count: int) -> bool:
        """Whether so many answers have come."""
        return len(self.ids) >= count


@contextmanager
def under_load(service: Service) -> Iterator[Load]:
    """Send photos from several clients while the block runs."""
    load = Load(service)
    threads = [threading.Thread(target=load.send) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    yield load
    load.ending = True
    for thread in threads:
        thread.join()


def recorded(url: str) -> set[str]:
    """The ids in the database."""
    engine = database.connect(url)
    with engine.connect() as connection:
        found = set(connection.scalars(select(predictions.c.id)))
    engine.dispose()
    return found


def test_answers_that_came_just_before_the_stop_are_recorded(models: Path, tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'records.db'}"
    with running(models.parent, tmp_path, DATABASE_URL=url) as service:
        with under_load(service) as load:
            wait_until(lambda: load.has_sent(50))
        assert service.stop() == 0
    assert load.statuses == {200}
    assert recorded(url) == set(load.ids)


@pytest.mark.slow
def test_a_database_that_goes_away_under_load_costs_neither_an_answer_nor_a_record(
    models: Path, tmp_path: Path
):
    with running_postgres() as postgres:
        database.migrate(postgres.url)
        with running(models.parent, tmp_path, DATABASE_URL=postgres.url) as service:
            with under_load(service) as load:
                _interrupt(postgres, load)
                answered = len(load.ids)
                wait_until(lambda: load.has_sent(answered + 100))
            wait_until(lambda: "records_waiting 0.0" in service.metrics())
            assert service.stop() == 0
        assert load.statuses == {200}
        assert recorded(postgres.url) == set(load.ids)


def _interrupt(postgres: Postgres, load: Load) -> None:
    """Stop the database, and start it again after some answers without it."""
    wait_until(lambda: load.has_sent(100))
    postgres.stop()
    answered = len(load.ids)
    wait_until(lambda: load.has_sent(answered + 200))
    postgres.start()
