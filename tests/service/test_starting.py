"""The service starts with every command that people use for a Flask application."""

import json
import os
import socket
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from car_damage.errors import UserError
from car_damage.service.listening import addresses, listening
from tests.clients import RED
from tests.gunicorn_process import ROOT, Service, free_port, started

BIN = Path(sys.executable).parent
needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork()")


def start(
    tmp_path: Path, *words: str, cwd: Path = ROOT, **variables: str
) -> AbstractContextManager:
    """Start the service with this command, with a free port instead of PORT."""
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in words]
    environment = os.environ | {"PORT": str(port), "WEB_CONCURRENCY": "1"} | variables
    options = {"cwd": cwd, "env": environment, "stderr": subprocess.STDOUT}
    return started(command, port, tmp_path / "log", **options)


def answers(service: Service) -> bool:
    return service.ask("/predict", RED)[0] == 200


def logged(service: Service) -> list[dict[str, Any]]:
    """The service's JSON lines, without LiteRT's output."""
    lines = service.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_importing_the_application_does_not_load_a_model_or_tensorflow():
    code = "import app, sys, threading; "
    code += "print(threading.active_count(), 'tensorflow' in sys.modules, 'app' in vars(app))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "1 False False\n", done.stderr


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("gunicorn app:app", marks=needs_fork),
        pytest.param("gunicorn -c gunicorn.conf.py", marks=needs_fork),
        pytest.param("python -m car_damage.service.start -c gunicorn.conf.py", marks=needs_fork),
        "flask --app app run --port PORT",
        "python -m flask run --port PORT",
        "python app.py",
        "python -m waitress --listen 127.0.0.1:PORT app:app",
    ],
)
def test_every_usual_command_starts_the_service_and_warns_of_a_misspelt_setting(tmp_path, command):
    program, *words = command.split()
    with start(tmp_path, str(BIN / program), *words, MAXQUEUE="5") as service:
        assert answers(service)
        said = service.log.read_text()
    assert said.count("MAXQUEUE is not a setting and has no effect. Did you mean MAX_QUEUE?") == 1
    assert "without gunicorn.conf.py" not in said
    assert "Traceback" not in said


@needs_fork
def test_gunicorn_in_another_folder_works_but_warns_without_its_configuration(tmp_path):
    words = ("--chdir", str(ROOT), "--bind", "127.0.0.1:PORT", "app:app")
    with start(tmp_path, str(BIN / "gunicorn"), *words, cwd=tmp_path) as service:
        assert answers(service)
        (line,) = (line for line in logged(service) if "without" in line["message"])
    assert line["level"] == "warning"
    assert line["message"].endswith(f"-c {ROOT / 'gunicorn.conf.py'}")


@needs_fork
def test_gunicorn_in_another_folder_does_not_warn_with_its_configuration(tmp_path):
    words = ("-c", str(ROOT / "gunicorn.conf.py"), "--chdir", str(ROOT), "app:app")
    with start(tmp_path, str(BIN / "gunicorn"), *words, cwd=tmp_path) as service:
        assert answers(service)
        assert not [line for line in logged(service) if line["level"] != "info"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("flask", "--app", "app", "run"), 2),
        pytest.param(("gunicorn", "--chdir", str(ROOT), "-b", "127.0.0.1:0", "app:app"), 4,
                     marks=needs_fork),
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_every_server_with_a_one_line_error(tmp_path, words, code):
    environment = os.environ | {"MAX_QUEUE": "many", "PYTHONPATH": str(ROOT)}
    options = {"cwd": tmp_path, "env": environment, "timeout": 60}
    done = subprocess.run([BIN / words[0], *words[1:]], capture_output=True, text=True, **options)
    assert done.returncode == code
    assert "error: MAX_QUEUE: 'many' is not a whole number from 32 to 1000\n" in done.stderr
    assert "Traceback" not in done.stderr


@needs_fork
def test_the_image_s_command_treats_empty_variables_as_unset(tmp_path):
    words = (sys.executable, "-m", "car_damage.service.start", "-c", "gunicorn.conf.py")
    with start(tmp_path, *words, "--bind", "127.0.0.1:PORT", WEB_CONCURRENCY="") as service:
        assert answers(service)


@pytest.mark.parametrize("value", ["abc", "0", "1.5", "9" * 5000])
def test_the_image_s_command_refuses_a_wrong_number_of_workers_with_a_one_line_error(value):
    command = [sys.executable, "-m", "car_damage.service.start", "-c", "gunicorn.conf.py"]
    environment = os.environ | {"WEB_CONCURRENCY": value}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: WEB_CONCURRENCY: ")
    assert done.stderr.count("\n") == 1


@needs_fork
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--preload"], "Each worker needs its own model. Start without --preload."),
        (["--certfile", "x", "--keyfile", "y"], "The service does no TLS. Put a proxy in front"),
    ],
)
def test_gunicorn_refuses_options_that_the_workers_cannot_honour(options, sentence):
    command = [BIN / "gunicorn", *options, "-b", "127.0.0.1:0", "app:app"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"error: {sentence}" in done.stderr


def test_the_error_for_a_taken_port_has_a_command_with_another_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command, environment = [sys.executable, "app.py"], os.environ | {"PORT": str(port)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    other = port + 1 if port < 65_535 else 5001
    fix = f"PORT={other} python app.py"
    if sys.platform == "win32":
        fix = f"$env:PORT={other}; python app.py"
    assert done.stderr == f"error: port {port} is taken; choose another: {fix}\n"
    assert done.stdout == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_host_the_service_shows_an_address_that_a_phone_can_open(tmp_path, host):
    with start(tmp_path, sys.executable, "app.py", HOST=host) as service:
        line = next(line for line in service.log.read_text().splitlines() if "Open http" in line)
        assert f"http://localhost:{service.port}" in line
        *_, address = addresses(host, service.port)
        assert address in line
        where = address.split("/")[2].split()[0].rpartition(":")[0]
        with socket.create_connection((where, service.port), 10):
            pass
        assert ("on a phone" in line) == ("on a phone" in address)


def test_links_have_brackets_around_ipv6_addresses():
    assert addresses("127.0.0.1", 5000) == ["http://localhost:5000"]
    assert addresses("10.0.0.7", 5000) == ["http://10.0.0.7:5000"]
    assert addresses("::1", 5000) == ["http://[::1]:5000"]
    assert addresses("0.0.0.0", 5000)[0] == "http://localhost:5000"


def test_the_service_refuses_to_listen_on_another_computer_s_address():
    with (
        pytest.raises(UserError, match=r"HOST: '192\.0\.2\.1' is not an address"),
        listening("192.0.2.1", 5000),
    ):
        pass
