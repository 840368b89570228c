"""deploy/monitoring/: Prometheus takes it, its queries find what the service tells, alerts fire.

Prometheus and promtool are those of Debian's package prometheus. Grafana is not run: of the
dashboard, its queries are.
"""

import copy
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from car_damage import model_store
from car_damage.service.problems import KINDS
from tests import tiny_model
from tests.clients import BLUE, RED, client_of
from tests.gunicorn_process import ROOT, Service, free_port, running, wait_until
from tests.programs import program

MONITORING = ROOT / "deploy" / "monitoring"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SCRAPES = 5  # in which the service had answered more, before anything is asked for


@cache
def yaml_file(name: str) -> dict[str, Any]:
    return yaml.safe_load((MONITORING / name).read_text(encoding="utf-8"))


def chapter(title: str) -> str:
    """A part of the document, without its title."""
    return OPERATIONS.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml_file(f"rules/{name}.yml")["groups"] for rule in group["rules"]]


RECORDED = rules("recording")
ALERTS = {alert["alert"]: alert for alert in rules("alerts")}
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/car-damage.json").read_text("utf-8"))
PANELS = {panel["id"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
QUERIES = [
    (panel["title"], target["expr"]) for panel in PANELS.values() for target in panel["targets"]
]
QUERIES += [
    ("in the document", query) for query in re.findall(r"```promql\n(.*?)```", OPERATIONS, re.S)
]


# As files


def test_prometheus_takes_the_configuration_and_the_rules():
    promtool = program("promtool", "prometheus")
    subprocess.run([promtool, "check", "config", MONITORING / "prometheus.yml"], check=True)


@pytest.mark.slow
def test_alerts_fire_and_stay_quiet_on_made_up_series():
    promtool = program("promtool", "prometheus")
    subprocess.run([promtool, "test", "rules", MONITORING / "alerts_test.yml"], check=True)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_series_that_fires_it_and_one_that_does_not(alert):
    cases = [
        case
        for test in yaml_file("alerts_test.yml")["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    ]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


@pytest.mark.parametrize(("name", "alert"), ALERTS.items())
def test_every_alert_says_how_grave_it_is_and_what_to_do(name, alert):
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"].endswith(f"docs/operations.md#{name.lower()}")


def test_the_document_has_a_section_for_each_alert():
    assert re.findall(r"^### (.+)$", chapter("When an alert fires"), re.M) == list(ALERTS)


def test_every_metric_that_is_asked_for_is_told_by_the_service(models):
    asked = " ".join(
        [rule["expr"] for rule in [*RECORDED, *ALERTS.values()]] + [expr for _, expr in QUERIES]
    )
    told = set(re.findall(r"^(\w+)[{ ]", client_of(models).get("/metrics").text, re.M))
    assert set(re.findall(r"(?<!:)\bcar_damage_\w+\b(?!:)", asked)) <= told


def test_what_is_recorded_is_all_that_is_asked_for():
    asked = " ".join([alert["expr"] for alert in ALERTS.values()] + [expr for _, expr in QUERIES])
    asked += " ".join(rule["expr"] for rule in RECORDED)
    assert set(re.findall(r"[a-z_]+:\w+:\w+", asked)) == {rule["record"] for rule in RECORDED}


def test_refused_uploads_are_all_refusals_but_ours_and_those_of_strange_addresses():
    [rule] = [rule for rule in RECORDED if rule["record"].endswith("refused_uploads:increase1h")]
    ours = {kind for kind, about in KINDS.items() if about.status >= 500}
    left_out = re.search(r'reason!~"([\w|]+)"', rule["expr"])[1].split("|")
    assert set(left_out) == ours | {"not_found", "method_not_allowed"}


def test_the_dashboard_asks_the_data_source_that_is_provided():
    [source] = yaml_file("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    asked = {json.dumps(named) for named in named_sources(DASHBOARD)}
    assert asked == {json.dumps({"type": source["type"], "uid": source["uid"]})}
    interval = yaml_file("prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval


def named_sources(part: Any) -> Iterator[dict[str, str]]:
    """Every data source that a part of the dashboard names."""
    if isinstance(part, dict):
        if "datasource" in part:
            yield part["datasource"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from named_sources(inner)


@pytest.mark.parametrize("panel", PANELS.values(), ids=lambda panel: panel["title"])
def test_a_panel_says_in_which_unit_it_counts_and_what_each_line_is(panel):
    assert panel["description"]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        if re.match(r"sum.*\(rate\(\w+_total", target["expr"]):
            assert unit in ("reqps", "suffix:/s")
        assert panel["type"] == "stat" or target["legendFormat"]


def test_a_share_of_no_requests_is_told_in_words_and_not_as_nan():
    shares = [panel for panel in PANELS.values() if panel["type"] == "stat"]
    shares = [panel for panel in shares if "budget_burn" in panel["targets"][0]["expr"]]
    assert len(shares) == 2
    for panel in shares:
        assert panel["targets"][0]["expr"].endswith(" >= 0")  # which NaN is not
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no requests"


def test_the_dashboard_stays_green_for_what_is_only_good_to_know():
    [query] = [expr for title, expr in QUERIES if title == "Alerts"]
    assert 'severity!="info"' in query


def test_no_panel_hides_another():
    assert len(PANELS) == len({panel["id"] for panel in PANELS.values()})
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24  # columns that Grafana has


def test_the_compose_file_is_one():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*check, MONITORING / "compose.yaml"], check=True)


@pytest.mark.parametrize("name", ["car-damage", "prometheus", "grafana"])
def test_every_container_is_pinned_reached_from_here_alone_and_finds_its_files(name):
    service = yaml_file("compose.yaml")["services"][name]
    assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    mounted = [volume.split(":")[0] for volume in service.get("volumes", ())]
    assert all((MONITORING / path).exists() for path in mounted if path.startswith("."))


# With the real Prometheus


@pytest.fixture(scope="module")
def service(tmp_path_factory, tiny_graph) -> Iterator[Service]:
    if sys.platform != "linux":
        pytest.skip("runs gunicorn and looks for its processes in /proc")
    folder = tmp_path_factory.mktemp("service")
    model_store.use(folder / "models", tiny_model.add_version(folder / "models", tiny_graph))
    with running(folder, folder) as service:
        yield service


@pytest.fixture(scope="module")
def ask(service, tmp_path_factory) -> Iterator[Callable[[str], list[float]]]:
    """Ask a Prometheus that has watched the service at work, and still does, for values."""
    with prometheus(service, tmp_path_factory.mktemp("prometheus")) as address, load(service):

        def ask(query: str) -> list[float]:
            found = get(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
            return [float(series["value"][1]) for series in found["data"]["result"]]

        wait_until(lambda: ask("changes(car_damage_answer_seconds_count[10m])") >= [SCRAPES])
        yield ask


@contextmanager
def prometheus(service: Service, folder: Path) -> Iterator[str]:
    """A Prometheus with our configuration, but every second and on this service; its address."""
    binary = program("prometheus", "prometheus")
    config = copy.deepcopy(yaml_file("prometheus.yml"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(MONITORING / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{service.port}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    listen = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={listen}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or answers(f"http://{listen}/-/ready"))
        assert process.poll() is None
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    """Whether a server is there and content."""
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return response.status == 200
    except OSError:
        return False


def get(address: str) -> dict[str, Any]:
    """The JSON at an address."""
    with urllib.request.urlopen(address, timeout=60) as response:
        return json.load(response)


@contextmanager
def load(service: Service) -> Iterator[None]:
    """Send photos, also unusable ones, without a pause."""
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            for photo in (RED, BLUE, b"no photo"):
                with suppress(OSError):  # a test kills a worker
                    service.ask("/predict", photo)

    client = threading.Thread(target=keep_asking)
    client.start()
    try:
        yield
    finally:
        stop.set()
        client.join()


def short(query: str) -> str:
    """A dashboard's query with Grafana's variables replaced, for a service that just started."""
    return query.replace("$job", ".+").replace("$__rate_interval", "1m").replace("$__range", "1m")


def numbers(values: list[float]) -> list[float]:
    """Those that are numbers: what divides 0 by 0 is no data."""
    return [value for value in values if not math.isnan(value)]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "query"), QUERIES)
def test_every_query_of_dashboard_and_document_finds_data(ask, place, query):
    assert numbers(ask(short(query)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "labels"), [(rule["record"], rule.get("labels", {})) for rule in RECORDED]
)
def test_every_recording_rule_finds_data(ask, name, labels):
    chosen = ",".join(f'{label}="{value}"' for label, value in labels.items())
    assert numbers(ask(f"{name}{{{chosen}}}"))


@pytest.mark.slow
def test_a_worker_that_dies_shows(ask, service):
    starts = "changes(car_damage_worker_start_time_seconds[10m])"
    assert ask(starts) == [0, 0]
    os.kill(min(service.workers()), signal.SIGKILL)
    wait_until(lambda: sorted(ask(starts)) == [0, 1])


@pytest.mark.slow
def test_what_was_sent_is_what_prometheus_counts(ask):
    [damaged] = ask('car_damage_predictions_total{prediction="damaged"}')
    assert damaged > 0
    assert ask("job:car_damage_damaged:share6h") == [pytest.approx(0.5, abs=0.2)]
    assert ask("job:car_damage_refused_uploads:share1h") == [pytest.approx(1 / 3, abs=0.15)]


@pytest.mark.slow
def test_the_fields_that_logs_are_asked_for_stand_in_their_lines(service):
    service.ask("/predict", RED)
    service.ask("/predict", b"no photo")
    wait_until(lambda: any(line.get("refusal") == "not_a_photo" for line in service.lines()))
    told = {field for line in service.lines() for field in line}
    watching = chapter("Watching")
    by_name = set(re.findall(r"\$\.(\w+)", watching))  # metric filters
    by_name |= set(re.findall(r"[\[(,] ?\.(\w+)", watching))  # jq
    assert len(by_name) > 5
    assert by_name | insights_fields(watching) <= told


def insights_fields(text: str) -> set[str]:
    """The fields of log lines that the queries for Logs Insights in a document name."""
    queries = " ".join(re.findall(r"```text\n(.*?)```", text, re.S))
    plain = re.sub(r'"[^"]*"|as \w+|@\w+|\w+(?=\()|\d+\w*', " ", queries)
    words = {"fields", "filter", "sort", "limit", "stats", "desc", "and", "by"}  # its own
    return set(re.findall(r"\w+", plain)) - words
