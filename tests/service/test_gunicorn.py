"""What must hold when the service runs under gunicorn, and processes come and go."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from car_damage import model_store
from tests import tiny_model
from tests.clients import BLUE, RED
from tests.gunicorn_process import ROOT, running, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]


@pytest.fixture
def service(models, tmp_path):
    with running(models.parent, tmp_path) as service:
        yield service


@pytest.fixture(scope="module")
def shared(tmp_path_factory, tiny_graph):
    """A service for the tests that neither stop nor change it."""
    folder = tmp_path_factory.mktemp("shared")
    model_store.use(folder / "models", tiny_model.add_version(folder / "models", tiny_graph))
    with running(folder, folder) as service:
        yield service


@pytest.fixture(scope="module")
def slow_photo() -> bytes:
    """A photo that takes long to decode: 49 megapixels."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((7000, 7000, 3), np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def test_a_killed_worker_comes_back_and_only_its_own_requests_fail(service):
    failed, stop = [], threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                status, _ = service.ask("/predict", BLUE)
            except (OSError, HTTPException):  # also an answer that breaks off
                status = 0
            if status != 200:
                failed.append(status)

    clients = [threading.Thread(target=keep_asking) for _ in range(4)]
    for client in clients:
        client.start()
    before = service.workers()
    for _ in range(2):
        victim = min(service.workers())
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda gone=victim: len(service.workers() - {gone}) == 2)
    stop.set()
    for client in clients:
        client.join()
    assert len(failed) <= 2 * len(clients)  # each client had one request at the most in a victim
    assert service.is_ready()
    assert service.workers() != before


def test_metrics_count_all_workers_and_their_files_do_not_pile_up(models, tmp_path):
    with running(models.parent, tmp_path) as service:
        folder = next(tmp_path.glob("car-damage-metrics-*"))
        for _ in range(3):
            service.ask("/predict", RED)
        files = {file.name for file in folder.iterdir()}
        for _ in range(3):
            victim = min(service.workers())
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda gone=victim: len(service.workers() - {gone}) == 2)
            service.ask("/predict", RED)
        wait_until(service.is_ready)
        assert files
        assert {file.name for file in folder.iterdir()} <= files | {
            f"{kind}_{slot}.db"
            for kind in ("counter", "histogram", "gauge_liveall", "gauge_livemax", "gauge_livesum")
            for slot in (0, 1)
        }
        connection = service.connection()
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        assert 'car_damage_predictions_total{prediction="damaged"} 6.0' in text
        assert service.stop() == 0
        assert not folder.exists()


def test_workers_serve_the_version_chosen_at_the_start_until_a_reload_which_refuses_no_request(
    service, models, tiny_graph
):
    refused, seen, stop = [], set(), threading.Event()

    def loaded() -> list[str]:
        """The version that each worker has loaded so far."""
        said = [line["message"].split("answering with model ") for line in service.lines()]
        return [message[1] for message in said if len(message) == 2]

    def keep_asking() -> None:
        while not stop.is_set():
            status, body = service.ask("/predict", BLUE)
            seen.add(body.get("model_version"))
            if status != 200:
                refused.append(body)

    wait_until(lambda: len(loaded()) == 2)
    new = tiny_model.add_version(models, tiny_graph, "20260401-0900-ffff")
    model_store.use(models, new)
    os.kill(min(service.workers()), signal.SIGKILL)
    wait_until(lambda: len(loaded()) == 3)
    assert set(loaded()) == {tiny_model.VERSION}
    clients = [threading.Thread(target=keep_asking) for _ in range(3)]
    for client in clients:
        client.start()
    wait_until(lambda: seen)
    old = service.workers()
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not old & service.workers())
    stop.set()
    for client in clients:
        client.join()
    assert refused == []
    assert seen == {tiny_model.VERSION, new}
    assert loaded()[3:] == [new, new]
    assert service.ask("/model")[1]["version"] == new


def test_a_stop_finishes_what_was_accepted_and_is_not_ready_meanwhile(service, slow_photo):
    kept = service.connection()
    wait_until(lambda: service.ask("/ready", connection=kept)[0] == 200)  # this worker, too
    answers = []
    clients = [
        threading.Thread(target=lambda: answers.append(service.ask("/predict", slow_photo)))
        for _ in range(4)
    ]
    for client in clients:
        client.start()

    def accepted() -> bool:
        connection = service.connection()
        connection.request("GET", "/metrics")
        return b"car_damage_photos_in_flight 4.0" in connection.getresponse().read()

    wait_until(accepted)
    service.process.send_signal(signal.SIGTERM)
    status, body = 200, {}
    while status == 200:  # the signal is on its way to the workers
        status, body = service.ask("/ready", connection=kept)
    assert (status, body["type"]) == (503, "/problems/stopping")
    for client in clients:
        client.join()
    assert [status for status, _ in answers] == [200] * 4
    assert service.process.wait(60) == 0


def impatient(folder: Path) -> Path:
    """gunicorn's configuration, with clients cut off after 3 seconds instead of 30."""
    config = folder / "gunicorn.conf.py"
    config.write_text(
        "from car_damage.service import worker\n"
        "worker.STALLED = 3\n" + (ROOT / "gunicorn.conf.py").read_text()
    )
    return config


def test_stalled_uploads_hold_nobody_up_and_are_cut_off(models, tmp_path):
    config = impatient(tmp_path)
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9000\r\n"
    )
    with running(models.parent, tmp_path, config) as service, ExitStack() as open_sockets:
        stalled = []
        for number in range(64):
            upload = open_sockets.enter_context(
                socket.create_connection(("127.0.0.1", service.port), timeout=60)
            )
            # One in four stalls before its headers end, the others in their body.
            upload.sendall(head if number % 4 == 0 else head + b"\r\n" + RED[:500])
            stalled.append(upload)
        assert service.ask("/predict", RED)[0] == 200
        stalled[1].recv(1, socket.MSG_PEEK)  # the cutting off has begun; no client closes yet
        for _ in range(4):
            connection = service.connection()
            connection.timeout = 10
            assert service.ask("/predict", RED, connection)[0] == 200
            connection.close()
        for number, upload in enumerate(stalled):
            said = b"".join(iter(lambda upload=upload: upload.recv(4096), b""))
            if number % 4:
                assert said.startswith(b"HTTP/1.1 408 ")
        assert not [line for line in service.lines() if line["level"] == "error"]


@pytest.mark.parametrize("begun", ["body", "head"])
def test_an_upload_that_drips_is_cut_off(models, tmp_path, begun):
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9000\r\n"
    )
    with (
        running(models.parent, tmp_path, impatient(tmp_path)) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=0.5) as upload,
    ):
        upload.sendall(head + b"\r\n" if begun == "body" else head)
        said = None
        while said is None:  # a byte each half second, so that it never stalls
            upload.sendall(b"x")
            with suppress(TimeoutError):
                said = upload.recv(4096)
        assert said.startswith(b"HTTP/1.1 408 " if begun == "body" else b"")


@pytest.mark.parametrize(
    "chunks", [b"zz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"3\r\nab"]
)
def test_a_body_in_broken_chunks_is_the_client_s_fault(shared, chunks):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        )
        client.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: client.recv(4096), b""))
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
    assert b"application/problem+json" in said


@pytest.mark.parametrize(
    "sent", [b"\0\1\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_is_told_as_a_problem_too(shared, sent):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as client:
        client.sendall(sent)
        said = b"".join(iter(lambda: client.recv(4096), b""))
    head, body = said.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["type"] == "/problems/bad_request"
    assert b"application/problem+json" in head


def test_a_body_in_chunks_above_the_limit_is_refused(shared):
    status, problem = shared.ask("/predict", iter([bytes(1_000_000)] * 12))
    assert (status, problem["type"]) == (413, "/problems/upload_too_large")


def test_log_lines_are_json_whoever_writes_them(shared):
    shared.ask("/predict", RED)
    shared.ask("/predict", b"no photo")
    wait_until(lambda: sum("photo_bytes" in line for line in shared.lines()) >= 2)
    lines = shared.lines()
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    assert any(line["message"].startswith("Listening at") for line in lines)
    answered = next(line for line in lines if line.get("photo_bytes") == len(RED))
    assert answered.keys() >= {
        "request_id",
        "method",
        "path",
        "status",
        "total_ms",
        "queue_ms",
        "decode_ms",
        "fit_ms",
        "graph_ms",
        "photo_bytes",
        "photo_sha256",
        "probability",
        "warnings",
        "model_version",
        "client",
    }
    assert next(line for line in lines if line.get("photo_bytes") == 8)["status"] == 415


def test_a_port_that_is_taken_ends_it_and_leaves_nothing_behind(tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")],
            env=os.environ | {"PORT": port, "TMPDIR": str(tmp_path)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert port in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_variable_stops_the_process_with_its_name(models):
    for command in (
        ["-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py")],
        [str(ROOT / "app.py")],
    ):
        done = subprocess.run(
            [sys.executable, *command],
            env=os.environ | {"MAX_QUEUE": "many"},
            cwd=models.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr == "error: MAX_QUEUE: 'many' is not a whole number, 32 to 10000\n"
