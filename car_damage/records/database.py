"""Connect to the database, and bring its tables up to date."""

import logging
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from car_damage.errors import UserError
from car_damage.records.outages import cause

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATE = "python -m car_damage.records migrate"
BUSY = 5  # seconds that SQLite waits for another process's transaction
CONNECTING = 5  # seconds until PostgreSQL counts as gone
STATEMENT = 10  # seconds that PostgreSQL may work on one statement
PSYCOPG = {
    "connect_timeout": CONNECTING,
    # TCP itself would wait for a quarter of an hour for a server that is gone, and for two hours
    # if the server owes a reply.
    "tcp_user_timeout": 1000 * STATEMENT,
    "keepalives_idle": STATEMENT,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # A pooler may give each transaction another connection, so no statement is prepared.
    "prepare_threshold": None,
}
IN_MEMORY = (None, "", ":memory:")  # each connection would have its own tables
# File systems that a restarted container begins anew.
LOST_AT_RESTART = {"overlay", "aufs", "tmpfs", "ramfs"}
MOUNTS = Path("/proc/self/mountinfo")

logger = logging.getLogger(__name__)


def parsed(address: str) -> URL:
    """Read a DATABASE_URL; Heroku's `postgres://` counts as PostgreSQL. Raises `UserError`."""
    try:
        url = make_url(address)
    except (SQLAlchemyError, ValueError):  # the cause may contain the password
        raise UserError("DATABASE_URL cannot be read; is its port a number?") from None
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database in IN_MEMORY:
        raise UserError("DATABASE_URL: SQLite needs a file, such as sqlite:///data/records.db")
    return url


def connect(address: str) -> Engine:
    """Return an engine for DATABASE_URL. It connects only when it is used."""
    url = parsed(address)
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args={"timeout": BUSY})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(url, connect_args=PSYCOPG, pool_pre_ping=True, pool_timeout=CONNECTING)
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def connect_to_look_up(address: str) -> Engine:
    """Return an engine for lookups, which must be fast and may fail.

    It saves PostgreSQL the round trips that begin and end a transaction, and that ask whether a
    connection still works. So the first lookups after a restart of the server fail.
    """
    url = parsed(address)
    if url.drivername == "sqlite":
        return connect(address)
    engine = create_engine(url, connect_args=PSYCOPG, isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", _set_up_postgresql)
    return engine


def writing(engine: Engine) -> Engine:
    """Return the same engine for transactions that write.

    SQLite then locks at once. A transaction that reads first and locks later can fail.
    """
    return engine.execution_options(writes=True)


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can have ON CONFLICT, which each database has on its own."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def prepare(address: str) -> None:
    """Create or update the tables of an SQLite file; check those of PostgreSQL.

    Raises `UserError` if the tables are missing or old, or the file cannot be used. A PostgreSQL
    that is not reachable is only logged, because the service works without it.
    """
    url = parsed(address)
    if url.drivername == "sqlite":
        if sentence := loss_at_restart(Path(url.database or "")):
            logger.warning(sentence)
        migrate(address)
        return
    engine = connect(address)
    try:
        _check_tables(engine)
    except SQLAlchemyError as error:
        logger.warning("the database is not reachable, so nothing is recorded: %s", cause(error))
    finally:
        engine.dispose()


def open_existing(address: str) -> Engine:
    """Return an engine for a command that reads what a service has recorded.

    Updates the tables of an SQLite file. Raises `UserError` if the database is missing or
    unreachable, or if PostgreSQL's tables are old.
    """
    url = parsed(address)
    if url.drivername == "sqlite":
        if not Path(url.database or "").is_file():
            raise UserError(f"DATABASE_URL: there is no file {url.database}. Check its name.")
        migrate(address)
    engine = connect(address)
    try:
        _check_tables(engine)
    except SQLAlchemyError as error:
        raise UserError(f"DATABASE_URL cannot be used: {cause(error)}") from None
    return engine


def migrate(address: str) -> None:
    """Bring the tables up to date. Raises `UserError` if that fails."""
    engine = writing(connect(address))
    try:
        with engine.begin() as connection:
            if _is_behind(connection):
                alembic = config()
                alembic.attributes["connection"] = connection
                command.upgrade(alembic, "head")
    except SQLAlchemyError as error:
        raise UserError(f"DATABASE_URL cannot be used: {cause(error)}") from None
    finally:
        engine.dispose()


def loss_at_restart(file: Path) -> str | None:
    """Return a warning if the next start of the container will begin without this file."""
    folder = file.absolute().parent
    if not MOUNTS.exists() or _file_system_of(folder) not in LOST_AT_RESTART:
        return None
    return (
        f"DATABASE_URL: {file} is in a folder that a restarted container begins anew. Use a volume "
        "or PostgreSQL, or all records will be lost."
    )


def config() -> Config:
    """Return Alembic's configuration, which needs no file."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return made


def _is_behind(connection: Connection) -> bool:
    """Whether the tables are older than this code. Newer ones fit, because changes only add."""
    found = MigrationContext.configure(connection).get_current_heads()
    scripts = ScriptDirectory.from_config(config())
    known = {script.revision for script in scripts.walk_revisions()}
    return not found or (set(found) <= known and set(found) != set(scripts.get_heads()))


def _check_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        if _is_behind(connection):
            raise UserError(f"the tables in DATABASE_URL are missing or old. Run: {MIGRATE}")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _set_up_postgresql(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{STATEMENT}s'")
    connection.commit()


def _file_system_of(folder: Path) -> str:
    """Return the type of the file system that a folder is on: that of its longest mount point."""
    found = {}
    for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        found[left.split()[4]] = right.split()[0]
    points = [point for point in found if folder.is_relative_to(point)]
    return found[max(points, key=len)] if points else ""
