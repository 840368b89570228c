"""Helpers to run the service as in production: gunicorn in its own process, on a free port."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds; on an idle machine, one or two are enough


@dataclass
class Service:
    """A running service that listens on a port and writes its log to a file."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def connection(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(
        self, path: str, photo: bytes | Iterator[bytes] | None = None, connection: Any = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a request with a photo as its body, in chunks, or none. Return status and JSON."""
        own = connection or self.connection()
        method, headers = ("GET", {}) if photo is None else ("POST", {"Content-Type": "image/jpeg"})
        own.request(method, path, photo, headers)
        response = own.getresponse()
        body = json.loads(response.read())
        if connection is None:
            own.close()
        return response.status, body

    def get(self, path: str) -> http.client.HTTPResponse:
        """Send a GET request and return the response."""
        connection = self.connection()
        connection.request("GET", path)
        return connection.getresponse()

    def metrics(self) -> str:
        """The text of /metrics."""
        return self.get("/metrics").read().decode()

    def is_ready(self, path: str = "/ready") -> bool:
        """Whether this path returns 200. False while nothing listens on the port."""
        try:
            return self.get(path).status == 200
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    def workers(self) -> set[int]:
        """The process ids of the workers."""
        pid = self.process.pid
        return {int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def connections(self) -> list[int]:
        """The number of clients' connections of each worker, in ascending order."""
        table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        open_here = {
            f"socket:[{row[9]}]"
            for row in table
            if row[1].endswith(f":{self.port:04X}") and row[3] == "01"  # established
        }
        return sorted(len(open_here & open_files(pid)) for pid in self.workers())

    def lines(self) -> list[dict[str, Any]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        """Stop the service and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def open_files(pid: int) -> set[str]:
    """The files and sockets that a process has open; empty if the process has ended."""
    found = set()
    with suppress(FileNotFoundError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed in the meantime
                found.add(os.readlink(descriptor))
    return found


@contextmanager
def started(
    command: list[str], port: int, log: Path, ready: str = "/ready", **options: Any
) -> Iterator[Service]:
    """Start a service, wait until it answers `ready`, and kill it at the end if it still runs."""
    with log.open("wb") as file:
        service = Service(subprocess.Popen(command, stdout=file, **options), port, log)
    try:
        wait_until(lambda: service.is_ready(ready))
        yield service
    finally:
        service.process.kill()
        service.process.wait()


def running(
    folder: Path, tmp_path: Path, change: str = "", **variables: str
) -> AbstractContextManager[Service]:
    """Run gunicorn with the model in `folder`; `change` is Python code before its configuration.

    `tmp_path` is its folder for temporary files.
    """
    port = free_port()
    defaults = {"WEB_CONCURRENCY": "2", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    environment = os.environ | defaults | {"PORT": str(port)} | variables
    config = ROOT / "gunicorn.conf.py"
    if folder != ROOT:
        change += "from pathlib import *\nfrom car_damage import paths\n"
        change += f"paths.MODELS = {folder / 'models'!r}\n"
        (tmp_path / "changed.conf.py").write_text(change + config.read_text())
        config = tmp_path / "changed.conf.py"
    command = [sys.executable, "-m", "gunicorn", "-c", str(config)]
    return started(command, port, tmp_path / "log", cwd=folder, env=environment)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that will certainly happen."""
    for _ in range(PATIENCE * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"it did not happen within {PATIENCE} seconds")


def free_port() -> int:
    """Find a port on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
