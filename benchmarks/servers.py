"""The servers that are compared: how each starts, and from which environment."""

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import load
from benchmarks.environments import python_with
from car_damage.parallel import cores

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "benchmarks" / "peers"
CACHE = ROOT / "benchmarks" / ".cache"  # git ignores it
PORT = 5098
PATIENCE = 120  # seconds until a server must have answered
STOP_TIME = 10  # seconds; then a server is killed
TOLERANCE = 0.02  # of a probability; servers shrink photos in different ways
KERAS_TOLERANCE = 0.2  # Keras computes with float32, and the graph may be int8
QUIET = {  # no telemetry from BentoML, and no hints from TensorFlow
    "BENTOML_DO_NOT_TRACK": "True",
    "BENTOML_HOME": str(CACHE / "bentoml"),
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclass(frozen=True)
class Server:
    """A server, with its name in tables, its environment, and its command after `python`.

    Its probabilities may differ by `tolerance` from the graph's.
    """

    name: str
    environment: str
    command: str
    tolerance: float = TOLERANCE


class Timing(NamedTuple):
    """What `load.py` and `floor.py` print."""

    times: list[float]  # seconds of each answer
    in_time: int  # answers within `seconds`
    seconds: float  # of the run
    processor: float  # seconds of the measuring processes' processor time


OURS = Server("this service", "service", "this_service.py")
SERVERS = (
    OURS,
    Server("LitServe", "litserve", "litserve_server.py"),
    Server(
        "BentoML",
        "bentoml",
        f"-m bentoml serve bentoml_server:Classifier --host 127.0.0.1 --port {PORT}",
    ),
    Server("Flask, Keras", "textbook", "textbook.py", KERAS_TOLERANCE),
    Server(
        "gunicorn, Keras",
        "textbook",
        f"-m gunicorn -w {cores()} -b 127.0.0.1:{PORT} textbook:app",
        KERAS_TOLERANCE,
    ),
)


@contextmanager
def running(server: Server, version: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server with the version in this folder. Stops it and its processes at the end."""
    wait_for_port()
    own = {"PYTHONPATH": str(ROOT), "PORT": str(PORT), "VERSION_FOLDER": str(version)}
    own |= {"WEB_CONCURRENCY": str(cores()), "DATABASE_URL": "", "API_KEYS": ""}
    python = python_with(server.environment)
    with log_of(server).open("wb") as log:
        process = subprocess.Popen(
            [python, *server.command.split()],
            cwd=PEERS,
            env=os.environ | QUIET | own,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIME)
        with suppress(ProcessLookupError):  # none of its processes is left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_port() -> None:
    """Wait until the previous server has released the port."""
    end = time.monotonic() + STOP_TIME
    while time.monotonic() < end:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", PORT)) != 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"Another program listens on port {PORT}. Stop it first.")


def log_of(server: Server) -> Path:
    """Return the file of a server's output."""
    return CACHE / f"{server.name}.log"


def seconds_until_ready(
    server: Server, process: subprocess.Popen[bytes], photo: load.Photo
) -> float:
    """Wait until a server that was just started classifies a photo correctly."""
    begun = time.perf_counter()
    while True:
        connection = load.connect(PORT)
        try:
            load.ask(connection, photo, server.tolerance)
            return time.perf_counter() - begun
        except (OSError, http.client.HTTPException, load.WrongAnswer) as error:  # no model yet
            if process.poll() is not None or time.perf_counter() - begun > PATIENCE:
                raise SystemExit(f"The server does not get ready: {error}. See {CACHE}.") from error
        finally:
            connection.close()
        time.sleep(0.02)


def under_load(server: Server, clients: int, seconds: float, photos: Path) -> Timing:
    """Let clients send photos to a running server, from a process of their own."""
    arguments = str(PORT), str(clients), str(seconds), str(photos), str(server.tolerance)
    return _timing(_start("benchmarks/load.py", *arguments))


def floor(processes: int, seconds: float, graph: Path, photos: Path) -> Timing:
    """Answer photos in this many processes at once, without a server."""
    arguments = "benchmarks/floor.py", str(graph), str(seconds), str(photos)
    running = [_start(*arguments) for _ in range(processes)]
    for process in running:
        process.stdout.readline()  # it is warm
    for process in running:
        process.stdin.write(b"\n")
        process.stdin.flush()
    timings = [_timing(process) for process in running]
    times = [each for timing in timings for each in timing.times]
    elapsed = statistics.mean(timing.seconds for timing in timings)
    return Timing(times, len(times), elapsed, sum(timing.processor for timing in timings))


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [python_with(OURS.environment), *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _timing(process: subprocess.Popen[bytes]) -> Timing:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"The measurement failed: {process.args}")
    return Timing(**json.loads(output))
