"""The PostgreSQL that tests start keeps its data and its address while it is away."""

import psycopg
import pytest

from tests.postgres import running_postgres

pytestmark = pytest.mark.slow


def test_a_postgresql_goes_away_and_comes_back_with_its_data():
    with running_postgres() as postgres:
        with psycopg.connect(postgres.url) as connection:
            connection.execute("CREATE TABLE car AS SELECT 'damaged' AS label")
        postgres.stop()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(postgres.url)
        postgres.start()
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT label FROM car").fetchall() == [("damaged",)]
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(postgres.url)
    assert not postgres.folder.exists()


def test_a_test_may_leave_its_postgresql_stopped():
    with running_postgres() as postgres:
        postgres.stop()
    assert not postgres.folder.exists()
