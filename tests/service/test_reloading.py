"""The service keeps running during an operator's changes, even wrong ones."""

import fcntl
import os
import signal
import sys
from pathlib import Path

import pytest

from car_damage import model_store
from tests import tiny_model
from tests.clients import RED
from tests.gunicorn_process import ROOT, Service, free_port, running, started, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

OTHER = "20260401-0900-ffff"
# models/how says whether the version `OTHER` hangs or crashes when it is loaded.
BREAKABLE = """
import os, time
from car_damage import predictor
from car_damage.service import reloading
reloading.TIME_LIMIT = 2
real = getattr(predictor, "real", predictor.load)
predictor.real = real
def load(models, version=None, threads=1):
    how = (models / "how").read_text() if (models / "how").exists() else ""
    if how == "hangs":
        time.sleep(60)
    if how == "crashes":
        os.abort()
    return real(models, version, threads)
predictor.load = load
"""


def refusals(service: Service) -> list[str]:
    said = [line["message"].split("the old workers keep running: ") for line in service.lines()]
    return [message[1] for message in said if len(message) == 2]


def reload(service: Service) -> str:
    """Start a reload that is refused, and return the reason."""
    before, workers = len(refusals(service)), service.workers()
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(refusals(service)) > before)
    assert service.ask("/predict", RED)[0] == 200
    assert service.workers() == workers
    return refusals(service)[-1]


def test_a_reload_that_would_fail_keeps_the_old_workers_and_logs_the_reason(
    models, tmp_path, tiny_graph
):
    tiny_model.add_version(models, tiny_graph, OTHER)
    with running(models.parent, tmp_path, BREAKABLE, WEB_CONCURRENCY="1") as service:

        def refused(path: Path, content: str) -> str:
            whole = path.read_text() if path.exists() else ""
            path.write_text(content)
            why = reload(service)
            path.write_text(whole)
            return why

        config, manifest = tmp_path / "changed.conf.py", models / OTHER / "model.json"
        assert "does not contain a version name" in refused(models / "current", "")
        model_store.use(models, OTHER)
        assert "it is not a JSON object" in refused(manifest, "[]")
        assert "ended by SIGABRT" in refused(models / "how", "crashes")
        assert "within 2 seconds" in refused(models / "how", "hangs")
        assert "SyntaxError" in refused(config, "(")
        other = "wsgi_app = 'app:app'\nworker_class = 'none.Such'"
        assert "none.Such" in refused(config, other)
        old = service.workers()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not old & service.workers())
        wait_until(service.is_ready)
        assert service.ask("/model")[1]["version"] == OTHER
        assert service.stop() == 0


def test_the_service_works_without_its_temporary_folder_and_without_a_log_reader(tmp_path):
    log = tmp_path / "log"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    change = "from car_damage.service import log_writer\n"
    change += "log_writer.StdoutHandler.writer._limit = 5_000\n"
    config = tmp_path / "changed.conf.py"
    config.write_text(change + (ROOT / "gunicorn.conf.py").read_text())
    port = free_port()
    environment = {"PORT": str(port), "WEB_CONCURRENCY": "1", "PYTHONPATH": str(ROOT)}
    environment |= {"TMPDIR": str(tmp_path / "missing")}
    command = [sys.executable, "-m", "gunicorn", "-c", str(config)]
    with started(command, port, log, cwd=ROOT, env=os.environ | environment) as service:
        connection = service.connection()
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)  # bytes
        for _ in range(60):
            assert service.ask("/health", connection=connection)[0] == 200
        assert service.ask("/predict", RED)[0] == 200
        lost = [line for line in service.metrics().splitlines() if "lines_lost_total" in line][-1]
        assert float(lost.split()[1]) > 0
        service.process.send_signal(signal.SIGHUP)
        old = service.workers()
        wait_until(lambda: not old & service.workers())
        wait_until(service.is_ready)
        os.set_blocking(reader, True)
        assert os.read(reader, 2**20).startswith(b'{"time"')
    os.close(reader)
