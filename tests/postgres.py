"""A PostgreSQL of a test's own, which the test can stop and start again."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gunicorn_process import free_port
from tests.programs import program

DEBIAN = "/usr/lib/postgresql/*/bin"  # where its packages keep the server's programs
# Nobody needs the data after a crash. Only TCP, because Debian's folder for sockets is not ours.
# Applications keep their connections until the tests' process ends.
SETTINGS = "-c fsync=off -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
SETTINGS += "-c max_connections=1000"


@dataclass
class Postgres:
    """A server with its data in `folder`. It keeps its port when it is stopped and started."""

    pg_ctl: str
    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The address of its only database, as DATABASE_URL takes it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        """Make an empty database that trusts everybody on this computer."""
        self._run("initdb", "-o", "--username=postgres --auth=trust --encoding=UTF8 --no-sync")

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = f"{SETTINGS} -p {self.port}"
        self._run("start", "--wait", "--log", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """End all connections, stop the server, and wait until it is gone."""
        self._run("stop", "--wait", "--mode=fast")

    def is_running(self) -> bool:
        """Whether it has been started and not stopped."""
        return (self.folder / "data" / "postmaster.pid").exists()

    def _run(self, *words: str) -> None:
        command = [self.pg_ctl, *words, "--pgdata", str(self.folder / "data"), "--silent"]
        output = self.folder / "pg_ctl"  # a pipe would stay open as long as the server runs
        with output.open("wb") as file:
            done = subprocess.run(
                command, cwd=self.folder, stdout=file, stderr=subprocess.STDOUT, **other_user()
            )
        assert done.returncode == 0, output.read_text()


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start an empty PostgreSQL. Skips the test if PostgreSQL is not installed."""
    pg_ctl = program("pg_ctl", "postgresql", DEBIAN)
    # Not in tmp_path, which only the user who runs the tests may enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        postgres = Postgres(pg_ctl, Path(name), free_port())
        if user := other_user():
            shutil.chown(name, user["user"])
        postgres.initialise()
        postgres.start()
        try:
            yield postgres
        finally:
            if postgres.is_running():
                postgres.stop()


def other_user() -> dict[str, Any]:
    """Options that run a process as Debian's user for PostgreSQL, which refuses to run as root."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if is_root else {}
