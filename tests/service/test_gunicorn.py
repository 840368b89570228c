"""The service with gunicorn, while processes start, stop and crash."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException

import cv2
import numpy as np
import pytest

from car_damage import model_store
from car_damage.service.problems import KINDS
from tests import tiny_model
from tests.clients import BLUE, RED
from tests.gunicorn_process import ROOT, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.fixture
def service(models, tmp_path):
    with running(models.parent, tmp_path) as service:
        yield service


@pytest.fixture(scope="module")
def shared(tmp_path_factory, tiny_graph):
    """A service for tests that do not stop or change it."""
    folder = tmp_path_factory.mktemp("shared")
    model_store.use(folder / "models", tiny_model.add_version(folder / "models", tiny_graph))
    with running(folder, folder) as service:
        yield service


@contextmanager
def kept_busy(service, clients: int) -> Iterator[list[tuple[int, dict]]]:
    """Let clients send requests without a pause, and collect each status and answer."""
    gathered, stop = [], threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                gathered.append(service.ask("/predict", BLUE))
            except (OSError, HTTPException):  # includes incomplete answers
                gathered.append((0, {}))

    threads = [threading.Thread(target=keep_asking) for _ in range(clients)]
    for thread in threads:
        thread.start()
    yield gathered
    stop.set()
    for thread in threads:
        thread.join()


def kill_a_worker(service) -> None:
    """Kill a worker and wait for its replacement."""
    victim = min(service.workers())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(service.workers() - {victim}) == 2)


def test_a_killed_worker_is_replaced_and_only_its_own_requests_fail(service):
    before = service.workers()
    with kept_busy(service, clients=4) as gathered:
        for _ in range(2):
            kill_a_worker(service)
    failed = [status for status, _ in gathered if status != 200]
    assert len(failed) <= 2 * 4  # each client had at most one request in each killed worker
    assert service.is_ready()
    assert service.workers() != before


def test_metrics_count_all_workers_even_after_some_were_killed_and_use_no_files(service, tmp_path):
    before = set(tmp_path.iterdir())
    for _ in range(3):
        service.ask("/predict", RED)
    for _ in range(3):
        kill_a_worker(service)
        service.ask("/predict", RED)
    wait_until(service.is_ready)
    assert 'car_damage_predictions_total{prediction="damaged"} 6.0' in service.metrics()
    assert set(tmp_path.iterdir()) == before
    assert service.stop() == 0


def test_workers_keep_their_version_until_a_reload_and_no_request_fails_during_it(
    service, models, tiny_graph
):
    def loaded() -> list[str]:
        """The versions that workers have loaded so far."""
        said = [line["message"].split("answering with model ") for line in service.lines()]
        return [message[1] for message in said if len(message) == 2]

    wait_until(lambda: len(loaded()) == 2)
    new = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff")
    model_store.use(models, new)
    kill_a_worker(service)
    wait_until(lambda: len(loaded()) == 3)
    assert set(loaded()) == {tiny_model.VERSION}
    with kept_busy(service, clients=3) as gathered:
        wait_until(lambda: gathered)
        old = service.workers()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not old & service.workers())
    assert {status for status, _ in gathered} == {200}
    assert {answer["model_version"] for _, answer in gathered} == {tiny_model.VERSION, new}
    assert loaded()[3:] == [new, new]
    assert service.ask("/model")[1]["version"] == new


def test_a_client_that_has_connected_before_a_reload_gets_its_answer(service):
    wait_until(service.is_ready)
    connections = [service.connection() for _ in range(8)]  # so that each worker has some
    for connection in connections:
        connection.connect()
    time.sleep(0.5)  # until the workers have accepted them
    old = service.workers()
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(service.workers() - old) == 2)
    time.sleep(0.5)  # by now the old workers were told to stop
    statuses = [service.ask("/predict", RED, connection)[0] for connection in connections]
    assert statuses == [200] * 8
    wait_until(lambda: not old & service.workers())


def test_a_stopping_service_finishes_its_requests_and_is_not_ready(service):
    slow_photo = cv2.imencode(".png", np.zeros((7000, 7000, 3), np.uint8))[1].tobytes()
    kept = service.connection()
    wait_until(lambda: service.ask("/ready", connection=kept)[0] == 200)  # this worker is ready too
    answers = []
    clients = [
        threading.Thread(target=lambda: answers.append(service.ask("/predict", slow_photo)))
        for _ in range(4)
    ]
    for client in clients:
        client.start()

    wait_until(lambda: "car_damage_photos_in_flight 4.0" in service.metrics())
    service.process.send_signal(signal.SIGTERM)
    status, body = 200, {}
    while status == 200:  # until the signal reaches the workers
        status, body = service.ask("/ready", connection=kept)
    assert (status, body["type"]) == (503, "/problems/stopping")
    for client in clients:
        client.join()
    assert [status for status, _ in answers] == [200] * 4
    assert service.process.wait(60) == 0


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9000\r\n"
CHUNKED = HEAD.replace(b"Content-Length: 9000", b"Transfer-Encoding: chunked") + b"\r\n"


@pytest.fixture
def impatient(models, tmp_path):
    """A service that disconnects stalled clients after 3 seconds instead of 30."""
    change = "from car_damage.service import http_server\nhttp_server.STALLED = 3\n"
    with running(models.parent, tmp_path, change) as service:
        yield service


def connect(service, timeout: float = 60) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout)


def all_from(client: socket.socket) -> bytes:
    """Everything that the service sends until it closes the connection."""
    return b"".join(iter(lambda: client.recv(4096), b""))


def test_stalled_uploads_do_not_delay_others_and_are_disconnected(impatient):
    with ExitStack() as open_sockets:
        stalled = [open_sockets.enter_context(connect(impatient)) for _ in range(64)]
        for number, upload in enumerate(stalled):
            # One in four stalls in its head, the others in their body.
            upload.sendall(HEAD if number % 4 == 0 else HEAD + b"\r\n" + RED[:500])
        assert impatient.ask("/predict", RED)[0] == 200
        stalled[1].recv(1, socket.MSG_PEEK)  # the service has started to disconnect clients
        for _ in range(4):
            connection = impatient.connection()
            connection.timeout = 10
            assert impatient.ask("/predict", RED, connection)[0] == 200
            connection.close()
        said = [all_from(upload) for upload in stalled]
        assert all(response.startswith(b"HTTP/1.1 408 ") for response in said)
        assert not [line for line in impatient.lines() if line["level"] == "error"]


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n", "bad_request"),
        (CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n", "bad_request"),
        (CHUNKED + b"3\r\nab", "upload_stopped"),
        (b"\0\1\r\n\r\n", "bad_request"),
        (b"GET / HTTP/9\r\n\r\n", "bad_request"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", "bad_request"),
    ],
)
def test_a_request_that_is_not_http_gets_a_problem(shared, sent, kind):
    with connect(shared) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        head, body = all_from(client).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % KINDS[kind].status)
    assert json.loads(body)["type"] == f"/problems/{kind}"
    assert b"application/problem+json" in head


def test_a_body_in_chunks_over_the_limit_is_refused(shared):
    status, problem = shared.ask("/predict", iter([bytes(1_000_000)] * 12))
    assert (status, problem["type"]) == (413, "/problems/upload_too_large")


def test_a_body_in_chunks_gets_an_answer(shared):
    with connect(shared) as client:
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (RED[:3], RED[3:], b""))
        client.sendall(CHUNKED.replace(b"image/jpeg", b"application/octet-stream") + chunks)
        client.shutdown(socket.SHUT_WR)
        head, body = all_from(client).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body)["prediction"] == "damaged"


def test_a_client_that_expects_100_continue_gets_it(shared):
    head = HEAD.replace(b"9000", b"%d" % len(RED)) + b"Expect: 100-continue\r\n\r\n"
    with connect(shared) as client:
        client.sendall(head)
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(RED)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_all_log_lines_are_json_even_gunicorn_s(shared):
    shared.ask("/predict", b"no photo")
    wait_until(lambda: any(line.get("refusal") == "not_a_photo" for line in shared.lines()))
    assert all({"time", "level", "message"} <= line.keys() for line in shared.lines())
    assert any(line["message"].startswith("Listening at") for line in shared.lines())


def failed(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command that fails to start the service, and return its outcome."""
    options = {"env": os.environ | variables, "cwd": ROOT, "timeout": 120}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, **options)


GUNICORN = ("-m", "gunicorn", "-c", "gunicorn.conf.py")


def test_gunicorn_exits_if_the_port_is_taken_and_leaves_no_files(tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = failed(*GUNICORN, PORT=port, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert port in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [GUNICORN, ["app.py"]])
def test_a_wrong_setting_stops_the_process_with_an_error_that_names_it(command):
    done = failed(*command, MAX_QUEUE="many")
    assert done.returncode == 2
    assert done.stderr == "error: MAX_QUEUE: 'many' is not a whole number from 32 to 1000\n"
