"""A database for each test: SQLite, and also PostgreSQL under the marker `slow`."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from car_damage.records import database
from tests.postgres import Postgres, running_postgres

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests of a process; each test makes its own database in it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'records.db'}"
    url: str = request.getfixturevalue("postgres").url
    name = f"test_{next(_numbers)}"
    server = create_engine(database.parsed(url), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    return url.rpartition("/")[0] + f"/{name}"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine for the database, with all tables."""
    database.migrate(database_url)
    made = database.connect(database_url)
    yield made
    made.dispose()
