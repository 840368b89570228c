"""A cluster accepts deploy/kubernetes/, it matches the service, and a rollout loses no request."""

import getpass
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cache
from http.client import NotConnected
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from kubernetes_validate import latest_version, validate

from car_damage.service import listening, settings
from tests.clients import client_of
from tests.gunicorn_process import PATIENCE, ROOT, Service, free_port, running, started, wait_until
from tests.photo_files import jpeg, texture
from tests.programs import program

BASE, PRODUCTION, LEARNING = "base", "overlays/production", "overlays/learning"
OLDEST = "1.30"  # the first version whose preStop can sleep without a feature gate
NOTICED = 5  # seconds after a pod is told to stop, until it gets no new connections
CLIENTS = 4
PHOTO = jpeg(texture(seed=1))


@cache
def built(overlay: str) -> list[dict[str, Any]]:
    """Build all objects of the overlay with kustomize."""
    kubectl, folder = program("kubectl", "kubernetes-client"), ROOT / "deploy/kubernetes" / overlay
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def the(kind: str) -> dict[str, Any]:
    """Return production's only object of this kind."""
    (manifest,) = (manifest for manifest in built(PRODUCTION) if manifest["kind"] == kind)
    return manifest


def pod() -> dict[str, Any]:
    """Return the specification of production's pods."""
    return the("Deployment")["spec"]["template"]["spec"]


def container() -> dict[str, Any]:
    """Return the pods' only container."""
    (only,) = pod()["containers"]
    return only


def cron_jobs() -> dict[str, dict[str, Any]]:
    """Return the specification of each CronJob, by the script that it runs."""
    found = [each["spec"] for each in built(LEARNING) if each["kind"] == "CronJob"]
    return {pod_of(job)["containers"][0]["command"][-1]: job for job in found}


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    """Return the specification of a CronJob's pods."""
    return job["jobTemplate"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def gunicorn() -> dict[str, Any]:
    """Return the settings in gunicorn.conf.py."""
    return runpy.run_path(str(ROOT / "gunicorn.conf.py"))


@pytest.mark.parametrize("version", [OLDEST, latest_version()])
@pytest.mark.parametrize("overlay", [BASE, PRODUCTION, LEARNING])
def test_kubernetes_accepts_every_object(overlay, version):
    for manifest in built(overlay):
        # There is no schema for the Prometheus Operator's objects, which the base must not need.
        if overlay == BASE or manifest["kind"] != "ServiceMonitor":
            validate(manifest, version, strict=True)


def test_pods_meet_the_restricted_standard_with_the_image_s_user():
    context = pod()["securityContext"]
    assert context["runAsNonRoot"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    user = f"USER {context['runAsUser']}:{context['runAsGroup']}\n"
    assert user in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert pod()["automountServiceAccountToken"] is False
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    namespace = the("Namespace")["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert the("Deployment")["metadata"]["namespace"] == namespace["name"]


def test_only_tmp_is_writable_and_has_room_for_all_uploads():
    (mount,) = container()["volumeMounts"]
    (volume,) = pod()["volumes"]
    assert (mount["mountPath"], mount["name"]) == ("/tmp", volume["name"])
    limits = container()["resources"]["limits"]
    sizes = (volume["emptyDir"]["sizeLimit"], limits["ephemeral-storage"])
    room, disk = (int(size.removesuffix("Mi")) for size in sizes)
    kept = listening.UPLOADS * settings.Settings.max_upload_mb / listening.SHARE_OF_DISK
    assert kept < room < disk


def test_the_service_reads_the_pod_s_settings_and_runs_one_worker_per_core():
    variables = {variable["name"]: variable.get("value", "") for variable in container()["env"]}
    assert variables.keys() <= settings.VARIABLES.keys()
    chosen = settings.read(variables)
    resources = container()["resources"]
    assert resources["limits"].keys() == resources["requests"].keys() >= {"cpu", "memory"}
    assert resources["limits"]["cpu"] == str(chosen.web_concurrency)
    (port,) = container()["ports"]
    assert port["containerPort"] == chosen.port


def test_a_pod_restarts_only_if_it_hangs_and_finishes_its_requests_before_it_stops(gunicorn):
    liveness = container()["livenessProbe"]
    probes = [container()[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert [probe["httpGet"]["path"] for probe in probes] == ["/health", "/ready", "/health"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > gunicorn["STALLED"]
    sleep = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["terminationGracePeriodSeconds"] > sleep + gunicorn["graceful_timeout"]


def test_the_autoscaler_counts_these_pods_and_a_node_can_be_drained(tmp_path):
    scaler = the("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == the("Deployment")["metadata"]["name"]
    assert "replicas" not in the("Deployment")["spec"]  # they would undo the autoscaler's work
    assert 0 < the("PodDisruptionBudget")["spec"]["maxUnavailable"] < scaler["minReplicas"]
    *_, in_flight = scaler["metrics"]
    reported = client_of(tmp_path).get("/metrics").text
    assert f"# TYPE {in_flight['pods']['metric']['name']} gauge\n" in reported


def test_all_objects_name_the_same_labels_and_ports():
    text = yaml.safe_dump_all(built(PRODUCTION))
    assert len(set(re.findall(r"\bapp\S+: \S+", text))) == 1
    (port,) = the("Service")["spec"]["ports"]
    (endpoint,) = the("ServiceMonitor")["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert [port["targetPort"]] == [port["name"] for port in container()["ports"]]


def test_network_policies_admit_only_named_clients_and_allow_no_outgoing_traffic():
    policies = [found["spec"] for found in built(PRODUCTION) if found["kind"] == "NetworkPolicy"]
    for rule in (rule for policy in policies for rule in policy["ingress"]):
        assert rule["ports"] == [{"port": container()["ports"][0]["name"]}]
        assert rule["from"]  # an empty list would admit everybody
    assert [policy["egress"] for policy in policies if "Egress" in policy["policyTypes"]] == [[]]


def test_the_document_on_deploying_names_every_object_file_and_secret():
    text = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    for path in re.findall(r"deploy/kubernetes/[\w/.-]*\w", text):
        assert (ROOT / path).exists(), path
    for manifest in built(PRODUCTION):
        assert f"| {manifest['kind']} |" in text
    # kustomize does not complain if `images` names an image that the base does not use.
    image = re.search(r"/(\w+):(?!latest)\S+$", container()["image"])[1]
    assert f"docker build -t {image} ." in text
    (key,) = (variable for variable in container()["env"] if variable["name"] == "API_KEYS")
    secret = key["valueFrom"]["secretKeyRef"]
    assert "optional" not in secret  # otherwise a pod without the secret would be open to everybody
    assert f"create secret generic {secret['name']} --from-literal={secret['key']}=" in text


def test_drift_is_checked_each_day_and_retraining_waits_until_it_is_switched_on():
    jobs = cron_jobs()
    assert jobs.keys() == {"drift_check.py", "retrain.py"}
    drift, retraining = jobs["drift_check.py"], jobs["retrain.py"]
    assert re.fullmatch(r"\d+ \d+ \* \* \*", drift["schedule"])
    assert "suspend" not in drift
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", retraining["schedule"])
    assert retraining["suspend"] is True
    for job in jobs.values():  # exit code 3 is drift: a second try would only hide it
        assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
        assert pod_of(job)["restartPolicy"] == "Never"
        assert job["concurrencyPolicy"] == "Forbid"


def test_the_jobs_meet_the_restricted_standard_and_keep_their_results():
    for script, job in cron_jobs().items():
        context = pod_of(job)["securityContext"]
        assert {key: context[key] for key in pod()["securityContext"]} == pod()["securityContext"]
        assert context["fsGroup"] == context["runAsGroup"]  # otherwise it could not write there
        assert pod_of(job)["automountServiceAccountToken"] is False
        steps = [*pod_of(job)["initContainers"], *pod_of(job)["containers"]]
        for step in steps:
            assert step["securityContext"] == container()["securityContext"]
            assert step["image"].split(":")[0].endswith("/car_damage_classifier_train")
            assert step["resources"].keys() == {"requests", "limits"}
        mounts = {mount["mountPath"] for mount in steps[-1]["volumeMounts"]}
        needed = {"/tmp", "/app/models"} | ({"/app/data"} if script == "retrain.py" else set())
        assert mounts == needed
        variables = {variable["name"] for variable in steps[-1]["env"]}
        assert variables == {"DATABASE_URL", "KEEP_PHOTOS"} <= settings.VARIABLES.keys()
    claims = {
        each["metadata"]["name"] for each in built(LEARNING) if each["kind"].endswith("Claim")
    }
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for job in cron_jobs().values()
        for volume in pod_of(job)["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert used == claims


def test_the_document_says_how_to_switch_retraining_on():
    text = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    names = [each["metadata"]["name"] for each in built(LEARNING) if each["kind"] == "CronJob"]
    assert all(f"cronjob/{name}" in text for name in names)


NGINX = """
daemon off;
user {user};
pid nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  scgi_temp_path scgi;
  uwsgi_temp_path uwsgi;
  upstream pods {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location = /pods {{ return 200 "{pods}"; }}
    location / {{
      proxy_pass http://pods;
      proxy_next_upstream off;  # a Service of Kubernetes does not try again either
    }}
  }}
}}
"""


def lead_to(nginx: Service, *pods: int) -> None:
    """Make nginx send new connections to the pods on these ports."""
    write_config(nginx.log.parent, nginx.port, *pods)
    nginx.process.send_signal(signal.SIGHUP)
    wait_until(lambda: nginx.ask("/pods")[1] == [*pods])


def write_config(folder: Path, port: int, *pods: int) -> None:
    # Without max_fails=0, nginx would skip a pod after a failure and hide further failures.
    servers = " ".join(f"server 127.0.0.1:{pod} max_fails=0;" for pod in pods)
    text = NGINX.format(user=getpass.getuser(), servers=servers, port=port, pods=[*pods])
    (folder / "nginx.conf").write_text(text)


def new_pod(folder: Path) -> AbstractContextManager[Service]:
    """Run the service with the included model and the manifest's variables, but without a key."""
    folder.mkdir()
    env = container()["env"]
    variables = {variable["name"]: variable["value"] for variable in env if "value" in variable}
    return running(ROOT, folder, **variables)


def outcomes(service: Service, until: Event, connection: Any = None) -> set[int]:
    """Send photos without a pause, each over a new connection. Returns all status codes.

    If a connection is given, send all photos over it until the service closes it.
    """
    seen = set()
    with suppress(NotConnected):
        while not until.is_set():
            seen.add(service.ask("/predict", PHOTO, connection)[0])
    return seen


def upload_that_ends_after(event: Event) -> Iterator[bytes]:
    """Yield half of the photo at once, and the rest after the event."""
    yield PHOTO[: len(PHOTO) // 2]
    event.wait()
    yield PHOTO[len(PHOTO) // 2 :]


@pytest.mark.skipif(sys.platform != "linux", reason="pods run Linux")
def test_a_rollout_under_load_loses_no_request(tmp_path):
    """Run two services behind nginx, which learns late that one is stopping, as nodes do."""
    pre_stop = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod()["terminationGracePeriodSeconds"]
    assert the("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    stopped, over = Event(), Event()
    with ExitStack() as stack:
        old = stack.enter_context(new_pod(tmp_path / "old"))
        port = free_port()
        write_config(tmp_path, port, old.port)
        command = [program("nginx", "nginx"), "-p", str(tmp_path), "-c", "nginx.conf", "-e", "log"]
        nginx = stack.enter_context(started(command, port, tmp_path / "stdout", "/pods"))
        stack.callback(nginx.stop)
        threads = stack.enter_context(ThreadPoolExecutor(CLIENTS + 2))
        stack.callback(over.set)  # end the threads even if something below fails
        stack.callback(stopped.set)
        clients = [threads.submit(outcomes, nginx, over) for _ in range(CLIENTS)]
        new = stack.enter_context(new_pod(tmp_path / "new"))
        lead_to(nginx, old.port, new.port)

        upload = threads.submit(old.ask, "/predict", upload_that_ends_after(stopped))
        connection = old.connection()
        connection.connect()
        connection.auto_open = 0  # do not reopen the connection once it is closed
        kept = threads.submit(outcomes, old, over, connection)
        time.sleep(NOTICED)
        lead_to(nginx, new.port)
        time.sleep(pre_stop - NOTICED)
        old.process.send_signal(signal.SIGTERM)
        assert kept.result(PATIENCE) == {200}  # it ends when the pod closes the connection
        stopped.set()
        assert old.process.wait(grace - pre_stop) == 0  # after that time the kubelet would kill it
        assert upload.result()[0] == 200

        logged = len(new.lines())
        wait_until(lambda: len(new.lines()) > logged + CLIENTS)  # a line for each photo
        over.set()
        assert set().union(*(client.result() for client in clients)) == {200}
