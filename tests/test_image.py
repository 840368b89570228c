"""The image, built and run by scripts/image.sh where Docker or Podman is here.

$IMAGE names an image that is built already, to test the very one that ships.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from uuid import uuid4

import pytest

from car_damage import model_store
from tests.gunicorn_process import ROOT, free_port
from tests.photo_files import jpeg, texture

SCRIPT = ROOT / "scripts" / "image.sh"
PATIENCE = 300  # seconds
ADDED = 350_000_000  # bytes: what the base image may grow by

pytestmark = pytest.mark.slow


def script(*words: str, image: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """`scripts/image.sh` with these words, for this image."""
    return subprocess.run(
        ["bash", str(SCRIPT), *words],
        env=os.environ | ({"IMAGE": image} if image else {}),
        capture_output=True,
        text=True,
        check=check,
    )


@pytest.fixture(scope="module")
def engine() -> str:
    found = script("engine", check=False)
    if found.returncode:
        assert not os.environ.get("IMAGE"), found.stderr  # who names an image wants it tried
        pytest.skip(found.stderr.strip())
    return found.stdout.strip()


@pytest.fixture(scope="module")
def image(engine) -> str:
    """The image's name; it is built first unless $IMAGE is."""
    if os.environ.get("IMAGE"):
        return os.environ["IMAGE"]
    (base,) = re.findall("^ARG BASE=(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for get_it in (["image", "inspect", base], ["pull", base]):
        if subprocess.run([engine, *get_it], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip(f"{engine} has no {base} and cannot pull it")
    name = "car_damage_classifier:tested"
    built = script("build", image=name, check=False)
    assert built.returncode == 0, built.stderr
    return name


class Container:
    """A container that runs, on this computer's own network."""

    def __init__(self, engine: str, image: str, log: Path):
        self.name = f"car-damage-{uuid4().hex[:8]}"
        self.port = free_port()
        self.log = log
        self._engine = engine
        options = ["--network", "host", "--env", f"PORT={self.port}", "--env", "WEB_CONCURRENCY=2"]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                ["bash", str(SCRIPT), "run", "--name", self.name, *options],
                env=os.environ | {"IMAGE": image},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def ask(self, path: str, photo: bytes | None = None) -> tuple[int, dict]:
        """Status and JSON of a request."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        method, headers = ("GET", {}) if photo is None else ("POST", {"Content-Type": "image/jpeg"})
        connection.request(method, path, photo, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as its user."""
        return subprocess.run(
            [self._engine, "exec", self.name, *command], capture_output=True, text=True
        )

    def wait_until_ready(self) -> None:
        for _ in range(PATIENCE):
            try:
                if self.ask("/ready")[0] == 200:
                    return
            except (OSError, HTTPException):
                assert self.process.poll() is None, self.log.read_text()
            time.sleep(1)
        raise AssertionError("the service did not become ready")


@contextmanager
def running(engine: str, image: str, log: Path) -> Iterator[Container]:
    container = Container(engine, image, log)
    try:
        container.wait_until_ready()
        yield container
    finally:
        subprocess.run([engine, "rm", "--force", container.name], capture_output=True)
        container.process.wait()


@pytest.fixture(scope="module")
def container(engine, image, tmp_path_factory) -> Iterator[Container]:
    """One for the tests that do not stop it."""
    with running(engine, image, tmp_path_factory.mktemp("image") / "log") as container:
        yield container


def test_it_answers_photos_where_nothing_can_be_written_and_512_mb_are_all(container):
    for seed in range(20):
        status, answer = container.ask("/predict", jpeg(texture(seed, 1024, 768)))
        assert status == 200
        assert answer["model_version"] == model_store.current(ROOT / "models")


def test_a_large_upload_finds_room(container):
    assert container.ask("/predict", jpeg(texture(0)) + bytes(9_000_000))[0] == 200


def test_its_health_check_calls_it_healthy(container):
    assert container.execute("python", "-m", "car_damage.service.probe").returncode == 0


def test_gunicorn_is_the_first_process_and_not_root(container):
    words = container.execute("cat", "/proc/1/cmdline").stdout.split("\0")
    assert "/venv/bin/gunicorn" in words
    assert container.execute("id", "-u").stdout.strip() == "10001"


def test_it_holds_what_answering_needs_and_nothing_else(container):
    found = container.execute(
        "sh", "-c", "cd /app && find . -type f ! -name '*.pyc'"
    ).stdout.split()
    version = model_store.current(ROOT / "models")
    assert {name for name in found if name.startswith("./models/")} <= {
        "./models/current",
        *(f"./models/{version}/{name}" for name in ("LICENSE", "NOTICE.md")),
        *(f"./models/{version}/{name}" for name in ("model.json", "model.tflite")),
    }
    assert {name.split("/")[1] for name in found} <= {
        "LICENSE",
        "app.py",
        "car_damage",
        "gunicorn.conf.py",
        "models",
        "predict.py",
    }
    for tool in ("gcc", "cc", "curl", "/venv/bin/pip"):
        assert container.execute("sh", "-c", f"command -v {tool}").returncode != 0, tool
    packages = container.execute("ls", "/venv/lib/python3.12/site-packages").stdout.split()
    assert {"flask", "numpy", "cv2"} <= set(packages)
    assert not {"tensorflow", "keras", "sklearn", "pytest", "pip"} & set(packages)


def test_we_add_less_than_350_mb_to_the_base(image):
    assert int(script("size", image=image).stdout) < ADDED


def test_its_settings_are_those_of_the_dockerfile(image):
    (about,) = json.loads(script("inspect", image=image).stdout)
    config = about["Config"]
    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["gunicorn", "-c", "gunicorn.conf.py"]
    assert list(config["ExposedPorts"]) == ["5000/tcp"]
    assert config["Labels"]["org.opencontainers.image.title"] == "Car damage classifier"
    check = (about | config)["Healthcheck"]  # Podman's place, and Docker's
    assert check["Test"] == ["CMD", "python", "-m", "car_damage.service.probe"]


def test_it_stops_when_it_is_told_to(engine, image, tmp_path):
    with running(engine, image, tmp_path / "log") as container:
        container.process.send_signal(signal.SIGTERM)
        assert container.process.wait(PATIENCE) == 0
        assert '"message": "Shutting down: Master"' in container.log.read_text()
