"""The tables: migrations up and down, SQLite files that a restart loses, wrong addresses."""

import os
import socket
import struct
import subprocess
import sys
import threading

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from car_damage.errors import UserError
from car_damage.records import database
from car_damage.records.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_uses(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing_and_all_migrations_can_be_taken_back(engine, database_url):
    database.migrate(database_url)
    with database.writing(engine).begin() as connection:
        config = database.config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    database.migrate(database_url)
    assert metadata.tables.keys() < set(inspect(engine).get_table_names())


def test_sqlite_gets_its_tables_at_the_start_of_the_service(tmp_path):
    url = f"sqlite:///{tmp_path / 'records.db'}"
    database.prepare(url)
    assert inspect(database.connect(url)).has_table("predictions")


@pytest.mark.slow
def test_postgresql_without_tables_is_refused_with_the_command_that_makes_them(postgres):
    with pytest.raises(UserError, match=database.MIGRATE.replace(".", "[.]")):
        database.prepare(postgres.url)


def test_a_database_that_is_not_reachable_does_not_keep_the_service_from_starting(caplog):
    database.prepare("postgresql://service:hunter2@localhost:9/records")
    (record,) = caplog.records
    assert record.message.startswith("the database is not reachable, so nothing is recorded")
    assert "hunter2" not in caplog.text


def welcome(server):
    """Let one client in, as PostgreSQL does."""
    client = server.accept()[0]
    with client, client.makefile("rwb") as file:
        length, version = struct.unpack("!ii", file.read(8))
        while length == 8:  # the client asks for encryption
            client.sendall(b"N")
            length, version = struct.unpack("!ii", file.read(8))
        assert version == 3 << 16
        file.read(length - 8)
        client.sendall(struct.pack("!cii", b"R", 8, 0) + struct.pack("!cic", b"Z", 5, b"I"))
        file.read(1)  # until the client leaves


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="other names on this system")
def test_a_postgresql_server_that_loses_its_power_during_a_statement_is_noticed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=welcome, args=(server,), daemon=True).start()
        where = {"host": "127.0.0.1", "port": server.getsockname()[1], "user": "service"}
        with (
            psycopg.connect(**where, **database.PSYCOPG) as connection,
            socket.socket(fileno=os.dup(connection.fileno())) as its,
        ):
            names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            idle, interval, probes = (
                its.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names
            )
            assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert idle + interval * probes <= 30  # seconds


def test_tables_of_a_newer_version_are_used_as_they_are(engine, database_url):
    with database.writing(engine).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.migrate(database_url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_folder_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="DATABASE_URL cannot be used: unable to open database"):
        database.prepare(f"sqlite:///{tmp_path / 'missing' / 'records.db'}")


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("postgresql://service:hunter2@localhost:port/records", "is its port a number?"),
        ("sqlite:///:memory:", "SQLite needs a file"),
    ],
)
def test_the_error_for_an_unusable_address_does_not_show_its_password(address, fault):
    with pytest.raises(UserError) as refused:
        database.parsed(address)
    assert fault in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_herokus_address_is_understood():
    url = database.parsed("postgres://u:p@host:5432/d")
    assert url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("system", "is_lost"), [("overlay", True), ("tmpfs", True), ("ext4", False)]
)
def test_a_file_that_the_next_container_would_not_have_is_warned_about(
    tmp_path, monkeypatch, system, is_lost
):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"2 1 0:30 / {tmp_path} rw,relatime shared:1 - {system} {system} rw\n"
    )
    monkeypatch.setattr(database, "MOUNTS", mounts)
    sentence = database.loss_at_restart(tmp_path / "records.db")
    assert (sentence is not None) == is_lost
    assert sentence is None or "Use a volume or PostgreSQL" in sentence


def test_the_command_migrates_and_says_when_there_is_nothing_to_do(tmp_path):
    def run(**environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "car_damage.records", "migrate"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return done.stdout

    assert run() == "DATABASE_URL is not set, so there are no tables to bring up to date.\n"
    url = f"sqlite:///{tmp_path / 'records.db'}"
    assert run(DATABASE_URL=url) == "The tables are up to date.\n"
    assert inspect(database.connect(url)).has_table("predictions")
