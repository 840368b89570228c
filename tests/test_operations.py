"""The commands in the first table of docs/operations.md work as they are written."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from car_damage import model_store
from tests import tiny_model
from tests.gunicorn_process import ROOT, Service, free_port, started, wait_until
from tests.programs import program

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OTHER = "20260401-0900-ffff"
BIN = Path(sys.executable).parent
PID = '"$(pgrep -of bin/gunicorn)"'


def table() -> dict[str, dict[str, str]]:
    """Return the command for each task, by where the service runs."""
    lines = re.search(r"^\| where it runs \|(?:.+\n)+", TEXT, re.M)[0].splitlines()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


COMMANDS = {
    (where, task): cell.strip("`") for where, row in table().items() for task, cell in row.items()
}


def test_the_first_table_has_a_command_for_every_task_in_every_place():
    assert TEXT.index("| where it runs |") < TEXT.index("\n## ")
    assert list(table()) == ["Docker", "Docker Compose", "Kubernetes", "Heroku", "a folder"]
    for row in table().values():
        assert list(row) == ["is it up", "its log", "restart", "roll back"]
        assert all(re.fullmatch(r"`[^`]+`", cell) for cell in row.values())


@pytest.mark.parametrize("task", ["is it up", "its log", "restart", "roll back"])
def test_the_commands_for_kubernetes_and_compose_name_existing_objects(task):
    folder = ROOT / "deploy/kubernetes"
    deployment = yaml.safe_load((folder / "base/deployment.yaml").read_text())
    namespace = yaml.safe_load((folder / "overlays/production/namespace.yaml").read_text())
    words = shlex.split(COMMANDS["Kubernetes", task])
    assert words[:3] == ["kubectl", "-n", namespace["metadata"]["name"]]
    if "logs" in words:
        label, _, value = words[words.index("-l") + 1].partition("=")
        assert deployment["spec"]["selector"]["matchLabels"] == {label: value}
    assert "rollout" not in words or words[-1] == f"deployment/{deployment['metadata']['name']}"

    words = shlex.split(COMMANDS["Docker Compose", task].split("&& ")[-1])
    assert words[:3] == ["docker", "compose", "-f"]
    services = yaml.safe_load((ROOT / words[3]).read_text())["services"]
    assert words[-1] in {*services, "ps"}


@pytest.fixture
def service(models, tmp_path, tiny_graph) -> Iterator[Service]:
    """Run the service in its own folder, where an earlier version was in use before."""
    model_store.use(models, tiny_model.add_version(models, tiny_graph, OTHER))
    folder = models.parent
    shutil.copytree(ROOT / "car_damage", folder / "car_damage")
    for name in ("app.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, folder)
    port = free_port()
    words = shlex.split(re.search(r"^nohup (.*?) >>", TEXT, re.M)[1])
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "PORT": str(port), "WEB_CONCURRENCY": "2"}
    command = [str(BIN / words[0]), *words[1:]]
    with started(command, port, folder / "service.log", cwd=folder, env=environment) as service:
        yield service


def typed(service: Service, task: str) -> str:
    """Run the command for a folder with the service's port and PID. Returns what it prints."""
    command = COMMANDS["a folder", task].replace("5000", str(service.port))
    command = command.replace(PID, str(service.process.pid))
    assert "pgrep" not in command
    options = {"cwd": service.log.parent, "capture_output": True, "text": True}
    environment = {"PATH": f"{BIN}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", command], env=environment, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_commands_for_a_folder_do_what_they_say(service):
    assert '"status":"ready"' in typed(service, "is it up")
    assert "Listening at" in typed(service, "its log")

    # Other programs on this machine may run under gunicorn, so compare only our own.
    pgrep = shlex.split(PID.strip('"$()').replace("-of", "-f"))
    found = subprocess.check_output([program("pgrep", "procps"), *pgrep[1:]], text=True)
    assert service.process.pid == min(
        {int(pid) for pid in found.split()} & {service.process.pid, *service.workers()}
    )

    before = service.workers()
    typed(service, "restart")
    wait_until(lambda: not before & service.workers() and service.is_ready())
    assert service.ask("/model")[1]["version"] == OTHER

    before = service.workers()
    assert f"{tiny_model.VERSION} is the current version again" in typed(service, "roll back")
    wait_until(lambda: not before & service.workers() and service.is_ready())
    assert service.ask("/model")[1]["version"] == tiny_model.VERSION
