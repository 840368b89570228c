"""What the Dockerfile puts into the image and, if $IMAGE names a built image, how it works."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from werkzeug import Request, Response

from car_damage import model_store
from car_damage.service import probe, settings
from tests.clients import serving
from tests.gunicorn_process import PATIENCE, ROOT, Service, free_port, started
from tests.photo_files import jpeg, texture

SCRIPT = ["bash", str(ROOT / "scripts" / "image.sh")]
ADDED = 350_000_000  # bytes that we may add to the base image
VERSION = model_store.current(ROOT / "models")

built = pytest.mark.skipif("IMAGE" not in os.environ, reason="IMAGE does not name an image")


def of(stage: str, word: str) -> list[str]:
    """Return the rest of each line that starts with `word`, in a stage of the Dockerfile."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    lines = text.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
    return re.findall(rf"^{word} +(.+)$", lines, re.MULTILINE)


def test_the_service_gets_its_packages_and_files_but_does_not_own_them():
    (lists,) = of("packages", "COPY")
    assert lists == "requirements-serve.txt requirements-buckets.txt requirements-cluster.txt ./"
    *files, photos = of("serve", "COPY")
    assert files == ["--from=packages /venv /venv", "--from=app /app /app"]
    assert photos.endswith(" /photos /photos")  # only what it stores
    assert of("serve", "RUN") == []
    assert not any("chown" in line for line in of("app", "COPY"))
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", of("serve", "USER")[0])  # numbers, for Kubernetes
    assert of("serve", "CMD") == [  # without a shell, which would not pass on signals
        '["python", "-m", "car_damage.service.start", "-c", "gunicorn.conf.py"]'
    ]


def test_the_service_starts_with_the_files_in_the_image(tmp_path):
    *_, programs, package = of("app", "COPY")
    for name in programs.split()[:-1]:
        for path in ROOT.glob(name):
            shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / package.split()[0], tmp_path / "car_damage")
    *_, leave_out = of("app", "RUN")
    for name in re.findall(r"car_damage/\w+", leave_out):
        shutil.rmtree(tmp_path / name)
    command = [sys.executable, "-c", "import app, car_damage.model_store; print(app.__file__)"]
    imported = subprocess.check_output(command, cwd=tmp_path, text=True)
    assert imported.strip() == str(tmp_path / "app.py")


def test_the_image_s_bytecode_is_made_from_modules_that_exist():
    (imports,) = re.findall(r'/python -c "(.*?)"', of("packages", "RUN")[0])
    subprocess.run([sys.executable, "-c", imports], check=True)


def test_only_listed_files_get_into_an_image_and_nothing_about_the_training_photos():
    text = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    let_in = [line[1:] for line in lines if line.startswith("!")]
    of_ours = [name for name in let_in if not name.startswith("models/*/")]  # those are the user's
    of_new_versions = {"models/pretrained/*/reference.npz"}  # the included one has none
    assert {name for name in of_ours if not list(ROOT.glob(name))} <= of_new_versions
    assert lines[0] == "*"
    assert {"models/*/*", "models/sample", "models/training-*"} <= set(lines)
    of_models = {Path(name).name for name in let_in if name.startswith("models/")} - {"*"}
    names = {"LICENSE", "NOTICE.md", "model.json", "model.keras", "model.tflite"}
    # Hashes and numbers only, and the service's stage deletes both.
    assert of_models == names | {"trained_on.txt", "reference.npz"}
    private = {"data", "tests", "test_api.py", "docs", "benchmarks", "deploy", ".git", ".env"}
    assert not private & {name.partition("/")[0] for name in let_in}


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_the_service_directly_and_not_through_a_proxy(
    status, healthy, monkeypatch
):
    @Request.application
    def service(request: Request) -> Response:
        return Response(status=status if request.path == "/ready" else 404)

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(service) as address:
        assert probe.is_ready(urlsplit(address).port) is healthy


@pytest.mark.parametrize(("text", "port"), [("", 5000), (" ", 5000), ("8080", 8080), (None, 5000)])
def test_the_health_check_reads_the_port_as_the_service_does(monkeypatch, text, port):
    monkeypatch.delenv("PORT", raising=False)
    if text is not None:
        monkeypatch.setenv("PORT", text)
    assert probe.port() == port == settings.read(os.environ).port


def test_the_health_check_fails_if_nothing_answers():
    assert not probe.is_ready(free_port())


def script(*words: str) -> str:
    """Run `scripts/image.sh` with these words. Returns what it prints."""
    return subprocess.check_output([*SCRIPT, *words], text=True).strip()


@contextmanager
def running(folder: Path) -> Iterator[tuple[Service, Callable[[str], str]]]:
    """Run the image. Yields the service, and a function that runs a command in its container."""
    port = free_port()
    name = f"car-damage-{port}"
    options = ["--network", "host", "--env", f"PORT={port}", "--env", "WEB_CONCURRENCY=2"]
    command = [*SCRIPT, "run", "--name", name, *options]
    engine = script("engine")

    def output_of(command: str) -> str:
        words = [engine, "exec", name, "sh", "-c", command]
        return subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout.strip()

    try:
        with started(command, port, folder / "log") as service:
            yield service, output_of
    finally:
        subprocess.run([engine, "rm", "--force", name], capture_output=True)


@pytest.fixture(scope="module")
def container(tmp_path_factory) -> Iterator[tuple[Service, Callable[[str], str]]]:
    with running(tmp_path_factory.mktemp("image")) as container:
        yield container


@built
def test_the_image_answers_photos_on_a_read_only_file_system_with_512_mb(container):
    service, _ = container
    for seed in range(20):
        status, answer = service.ask("/predict", jpeg(texture(seed, 1024, 768)))
        assert (status, answer["model_version"]) == (200, VERSION)
    large = jpeg(texture(0)) + bytes(9_000_000)
    assert service.ask("/predict", large)[0] == 200


@built
def test_the_image_runs_gunicorn_first_and_not_as_root_and_is_healthy(container):
    _, output_of = container
    assert "gunicorn" in output_of("cat /proc/1/cmdline").split("\0")
    assert output_of("id -u") == "10001"
    (about,) = json.loads(script("inspect"))
    check = (about | about["Config"])["Healthcheck"]["Test"]  # where Podman and Docker keep it
    assert output_of(f"{' '.join(check[1:])} && echo healthy") == "healthy"


@built
def test_the_image_contains_only_what_the_service_needs(container):
    _, output_of = container
    found = set(output_of("cd /app && find . -type f ! -name '*.pyc'").split())
    code = {name for name in found if name.startswith("./car_damage/")}
    kept = ("LICENSE", "NOTICE.md", "model.json", "model.tflite")
    assert found - code <= {
        *(f"./{name}" for name in ("LICENSE", "app.py", "gunicorn.conf.py", "predict.py")),
        *(f"./models/{name}" for name in ("current", *(f"{VERSION}/{name}" for name in kept))),
    }
    tools = ("gcc", "cc", "curl", "/venv/bin/pip")
    assert output_of("; ".join(f"command -v {tool}" for tool in tools)) == ""
    packages = set(output_of("ls /venv/lib/python3.12/site-packages").split())
    assert {"flask", "numpy", "cv2"} <= packages
    assert not {"tensorflow", "keras", "sklearn", "pytest", "pip"} & packages


@built
def test_the_image_has_bytecode_of_all_that_the_service_imports(container):
    _, output_of = container
    program = """
import sys
from pathlib import Path
import app, gunicorn.app.wsgiapp, car_damage.service.rates, car_damage.service.worker
app.app.test_client().get("/openapi.json")
cached = [getattr(module, "__cached__", None) or "" for module in sys.modules.values()]
missing = [path for path in cached if path.startswith("/venv") and not Path(path).exists()]
print("missing:", *[path for path in missing if "testing" not in path])
"""
    assert output_of(f"cd /app && python -c '{program}'").endswith("missing:")


@built
def test_the_image_adds_less_than_350_mb_to_the_base():
    assert int(script("size")) < ADDED


@built
def test_the_image_stops_on_sigterm(tmp_path):
    with running(tmp_path) as (service, _):
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE) == 0
        assert "Shutting down: Master" in [line["message"] for line in service.lines()]
