"""Prometheus accepts deploy/monitoring/, queries find the service's metrics, and alerts fire.

Grafana does not run here, but the queries of its dashboard do.
"""

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from car_damage import model_store
from car_damage.service.openapi import OF_RECORDS
from car_damage.service.problems import KINDS
from tests import tiny_model
from tests.clients import BLUE, RED
from tests.gunicorn_process import ROOT, Service, free_port, running, started, wait_until
from tests.programs import program
from tests.records.entries import recording_client

MONITORING = ROOT / "deploy" / "monitoring"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SCRAPES = 5  # that saw new answers, before a test queries anything


def yaml_file(name: str) -> dict[str, Any]:
    return yaml.safe_load((MONITORING / name).read_text(encoding="utf-8"))


def chapter(title: str) -> str:
    """Return a chapter of the document, without its title."""
    return OPERATIONS.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml_file(f"rules/{name}.yml")["groups"] for rule in group["rules"]]


RECORDED = rules("recording")
ALERTS = {alert["alert"]: alert for alert in rules("alerts")}
DASHBOARD = (MONITORING / "grafana/dashboards/car-damage.json").read_text(encoding="utf-8")
PANELS = json.loads(DASHBOARD)["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
QUERIES += re.findall(r"```promql\n(.*?)```", OPERATIONS, re.DOTALL)
for rule in RECORDED:
    labels = ",".join(f'{label}="{value}"' for label, value in rule.get("labels", {}).items())
    QUERIES.append(f"{rule['record']}{{{labels}}}")


@pytest.mark.parametrize("command", ["check config prometheus.yml", "test rules alerts_test.yml"])
def test_prometheus_accepts_the_configuration_and_alerts_fire_only_on_their_series(command):
    promtool = program("promtool", "prometheus")
    subprocess.run([promtool, *command.split()], cwd=MONITORING, check=True)


def test_each_alert_fires_on_one_series_and_stays_quiet_on_another():
    fired: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for test in yaml_file("alerts_test.yml")["tests"]:
        for case in test["alert_rule_test"]:
            fired[case["alertname"]].add(bool(case["exp_alerts"]))
    assert fired == {name: {True, False} for name in ALERTS}


def test_each_alert_links_to_a_section_that_says_how_urgent_it_is():
    sections = dict(re.findall(r"^### (\w+)\n\n(\w+)", chapter("Alerts"), re.MULTILINE))
    assert sections == {name: alert["labels"]["severity"].title() for name, alert in ALERTS.items()}
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook_url"].endswith(f"docs/operations.md#{name.lower()}")


def test_the_service_reports_every_metric_that_an_alert_uses(models, tmp_path):
    asked = " ".join(rule["expr"] for rule in [*RECORDED, *ALERTS.values()])
    client = recording_client(models, f"sqlite:///{tmp_path / 'records.db'}")
    reported = set(re.findall(r"^(\w+)[{ ]", client.get("/metrics").text, re.M))
    assert set(re.findall(r"(?<!:)\bcar_damage_\w+\b(?!:)", asked)) <= reported


def test_refused_uploads_do_not_count_the_service_s_own_faults_or_wrong_addresses():
    [rule] = [rule for rule in RECORDED if rule["record"].endswith("refused_uploads:increase1h")]
    ours = {kind for kind, about in KINDS.items() if about.status >= 500}
    left_out = re.search(r'reason!~"([\w|]+)"', rule["expr"])[1].split("|")
    assert set(left_out) == ours | {"not_found", "method_not_allowed"} | OF_RECORDS


def test_the_dashboard_uses_the_provisioned_data_source_with_the_scrape_interval():
    [source] = yaml_file("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    asked = re.findall(r'"datasource": \{\s*"type": "(\w+)",\s*"uid": "(\w+)"', DASHBOARD)
    assert set(asked) == {(source["type"], source["uid"])}
    interval = yaml_file("prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval


@pytest.mark.parametrize(("name", "container"), yaml_file("compose.yaml")["services"].items())
def test_a_container_is_pinned_and_reachable_only_from_this_computer_and_finds_its_files(
    name, container
):
    assert "build" in container or re.search(r":v?\d+\.\d+\.\d+$", container["image"])
    assert all(port.startswith("127.0.0.1:") for port in container["ports"])
    mounted = [volume.split(":")[0] for volume in container.get("volumes", ())]
    assert all((MONITORING / path).exists() for path in mounted if path.startswith("."))


@pytest.fixture(scope="module")
def service(tmp_path_factory, tiny_graph) -> Iterator[Service]:
    if sys.platform != "linux":
        pytest.skip("runs gunicorn and looks for its processes in /proc")
    folder = tmp_path_factory.mktemp("service")
    model_store.use(folder / "models", tiny_model.add_version(folder / "models", tiny_graph))
    with running(folder, folder, DATABASE_URL=f"sqlite:///{folder / 'records.db'}") as service:
        yield service


@pytest.fixture(scope="module")
def ask(service, tmp_path_factory) -> Iterator[Callable[[str], list[float]]]:
    """Query a Prometheus that watches the service while it answers photos."""
    folder, stop = tmp_path_factory.mktemp("prometheus"), Event()
    with prometheus(service, folder) as server, ThreadPoolExecutor() as threads:

        def ask(query: str) -> list[float]:
            _, found = server.ask(f"/api/v1/query?{urlencode({'query': query})}")
            values = [float(series["value"][1]) for series in found["data"]["result"]]
            return [value for value in values if not math.isnan(value)]  # 0 / 0 means no data

        threads.submit(send_photos, service, stop)
        try:
            wait_until(lambda: ask("changes(car_damage_answer_seconds_count[10m])") >= [SCRAPES])
            yield ask
        finally:
            stop.set()


def send_photos(service: Service, stop: Event) -> None:
    """Send usable and unusable photos without a pause."""
    while not stop.is_set():
        for photo in (RED, BLUE, b"no photo"):
            with suppress(OSError):  # a test kills a worker
                service.ask("/predict", photo)


def prometheus(service: Service, folder: Path) -> AbstractContextManager[Service]:
    """Run Prometheus with our configuration, but scrape this service every second."""
    config = yaml_file("prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{service.port}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    # Debian's default for the data is one folder for the whole machine.
    files = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [program("prometheus", "prometheus"), *files, listen]
    return started(command, port, folder / "log", "/-/ready", cwd=folder)


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_in_the_rules_the_dashboard_and_the_document_finds_data(ask, query):
    # Grafana's variables, for a service that has just started
    short = {"$job": ".+", "$__rate_interval": "1m", "$__range": "1m"}
    assert ask(re.sub(r"\$\w+", lambda variable: short[variable[0]], query))


def test_prometheus_sees_that_a_worker_was_replaced(ask, service):
    starts = "changes(car_damage_worker_start_time_seconds[10m])"
    assert ask(starts) == [0, 0]
    os.kill(min(service.workers()), signal.SIGKILL)
    wait_until(lambda: sorted(ask(starts)) == [0, 1])


def test_prometheus_counts_the_photos_that_were_sent(ask):
    [damaged] = ask('car_damage_predictions_total{prediction="damaged"}')
    assert damaged > 0
    assert ask("job:car_damage_damaged:share6h") == [pytest.approx(0.5, abs=0.2)]
    assert ask("job:car_damage_refused_uploads:share1h") == [pytest.approx(1 / 3, abs=0.15)]


def test_log_lines_have_the_fields_that_the_document_filters_by(service):
    service.ask("/predict", b"no photo")
    wait_until(lambda: any(line.get("refusal") == "not_a_photo" for line in service.lines()))
    logged = {field for line in service.lines() for field in line}
    filtered = set(re.findall(r"(?:\$|[\[(,] ?)\.(\w+)", chapter("Monitoring")))
    assert filtered >= {"path", "status", "refusal"}
    assert filtered <= logged
