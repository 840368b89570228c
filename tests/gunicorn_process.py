"""The service as it runs in production: gunicorn as a process of its own, on a free port."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds for what takes one or two on an idle machine


class Service:
    """A running gunicorn with the version in use in `models/` in `folder`."""

    def __init__(self, folder: Path, log: Path, config: Path, **variables: str):
        self.port = free_port()
        self._log = log
        if folder != ROOT:
            config = with_models(folder / "models", config, log.parent)
        environment = os.environ | {
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(log.parent),  # a killed process leaves its metrics there
            **variables,
        }
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", str(config)],
                cwd=folder,
                env=environment,
                stdout=file,
                stderr=subprocess.DEVNULL,
            )

    def connection(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(
        self, path: str, photo: bytes | Iterator[bytes] | None = None, connection: Any = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a request, with a photo as its body, in chunks, or none."""
        own = connection or self.connection()
        method, headers = ("GET", {}) if photo is None else ("POST", {"Content-Type": "image/jpeg"})
        own.request(method, path, photo, headers)
        response = own.getresponse()
        body = json.loads(response.read())
        if connection is None:
            own.close()
        return response.status, body

    def is_ready(self) -> bool:
        """Whether /ready says so; False also while nobody listens."""
        try:
            return self.ask("/ready")[0] == 200
        except OSError:
            assert self.process.poll() is None, self._log.read_text()
            return False

    def workers(self) -> set[int]:
        """The process ids of the workers."""
        pid = self.process.pid
        return {int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def stop(self) -> int:
        """Ask it to stop and wait; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def with_models(models: Path, config: Path, folder: Path) -> Path:
    """A configuration in `folder` that is as `config`, but for the folder of the models."""
    changed = folder / "models.conf.py"
    change = f"import pathlib\nfrom car_damage import paths\npaths.MODELS = pathlib.{models!r}\n"
    changed.write_text(change + config.read_text())
    return changed


@contextmanager
def running(
    folder: Path, tmp_path: Path, config: Path = ROOT / "gunicorn.conf.py", **variables: str
) -> Iterator[Service]:
    """A service that is ready; killed at the end if it still runs."""
    service = Service(folder, tmp_path / "log", config, **variables)
    try:
        wait_until(service.is_ready)
        yield service
    finally:
        service.process.kill()
        service.process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that is sure to come."""
    for _ in range(PATIENCE * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited for {PATIENCE} seconds in vain")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
