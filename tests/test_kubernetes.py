"""deploy/kubernetes/: what the API server would refuse, and what it would take but nobody wants."""

import re
import runpy
from pathlib import Path

import pytest
from kubernetes_validate import latest_version, validate
from kubernetes_validate.utils import ValidationError

from car_damage.service import metrics, settings
from tests.manifests import BASE, KUBERNETES, PRODUCTION, built, container, objects, pod, the

ROOT = Path(__file__).parents[1]
OLDEST = "1.30"  # the first whose preStop can sleep without a feature gate
OPERATORS = "monitoring.coreos.com/v1"  # no schema of Kubernetes itself
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

either = pytest.mark.parametrize("overlay", [BASE, PRODUCTION])


@pytest.fixture(scope="module")
def gunicorn() -> dict:
    """gunicorn's settings, as its file makes them."""
    return runpy.run_path(str(ROOT / "gunicorn.conf.py"))


def selects(labels: dict[str, str], manifest: dict) -> bool:
    """Whether a selector with these labels takes the manifest."""
    return labels.items() <= manifest["metadata"]["labels"].items()


def size(quantity: str) -> int:
    """Bytes of a quantity such as 256Mi."""
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def seconds(probe: dict) -> int:
    """How long a probe must fail until it counts."""
    return probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)


@either
@pytest.mark.parametrize("version", [OLDEST, latest_version()])
def test_kubernetes_takes_every_object(overlay, version):
    for manifest in built(overlay):
        if manifest["apiVersion"] != OPERATORS:
            validate(manifest, version, strict=True)


def test_a_typo_would_be_noticed():
    deployment = the(BASE, "Deployment")
    spelt_wrong = deployment | {"spec": deployment["spec"] | {"minReadySecond": 3}}
    with pytest.raises(ValidationError, match="minReadySecond"):
        validate(spelt_wrong, latest_version(), strict=True)


def test_a_cluster_without_prometheus_takes_the_base():
    assert OPERATORS not in {manifest["apiVersion"] for manifest in built(BASE)}


@either
def test_pods_may_do_no_more_than_the_restricted_standard_allows(overlay):
    spec = pod(overlay)["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"]
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container(overlay)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_production_s_namespace_holds_pods_to_that_standard():
    namespace = the(PRODUCTION, "Namespace")["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [manifest for manifest in built(PRODUCTION) if manifest["kind"] != "Namespace"]
    assert {manifest["metadata"]["namespace"] for manifest in others} == {namespace["name"]}


@either
def test_only_tmp_can_be_written_to_and_holds_all_uploads_at_once(overlay, gunicorn):
    (mount,) = container(overlay)["volumeMounts"]
    (volume,) = pod(overlay)["spec"]["volumes"]
    assert (mount["mountPath"], mount["name"]) == ("/tmp", volume["name"])
    uploads = gunicorn["threads"] * settings.Settings.max_upload_mb * 2**20
    room = size(volume["emptyDir"]["sizeLimit"])
    assert uploads < room < size(container(overlay)["resources"]["limits"]["ephemeral-storage"])


@either
def test_pods_have_requests_and_limits_and_one_model_a_core(overlay):
    resources = container(overlay)["resources"]
    assert resources["limits"].keys() == resources["requests"].keys()
    assert resources["limits"].keys() >= {"cpu", "memory"}
    variables = {variable["name"]: variable for variable in container(overlay)["env"]}
    assert variables["WEB_CONCURRENCY"]["value"] == resources["limits"]["cpu"]


@either
def test_variables_are_ones_that_the_service_reads(overlay):
    env = container(overlay)["env"]
    assert {variable["name"] for variable in env} <= settings.VARIABLES.keys()
    settings.read({variable["name"]: variable.get("value", "") for variable in env})


@either
def test_the_container_listens_where_the_service_does(overlay):
    (port,) = container(overlay)["ports"]
    assert port["containerPort"] == settings.Settings.port
    (service_port,) = the(overlay, "Service")["spec"]["ports"]
    assert service_port["targetPort"] == port["name"]


@either
def test_probes_ask_whether_it_lives_and_whether_it_is_ready(overlay):
    probes = {
        name: container(overlay)[f"{name}Probe"] for name in ("startup", "readiness", "liveness")
    }
    (port,) = container(overlay)["ports"]
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {port["name"]}
    assert {name: probe["httpGet"]["path"] for name, probe in probes.items()} == {
        "startup": "/health",
        "readiness": "/ready",
        "liveness": "/health",
    }


@either
def test_stalled_uploads_on_every_thread_restart_no_pod(overlay, gunicorn):
    assert seconds(container(overlay)["livenessProbe"]) > gunicorn["STALLED"]


@either
def test_a_pod_has_time_to_finish_what_it_accepted(overlay, gunicorn):
    sleep = container(overlay)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod(overlay)["spec"]["terminationGracePeriodSeconds"]
    assert sleep > 0
    assert grace > sleep + gunicorn["graceful_timeout"]


@either
def test_a_rollout_takes_no_pod_away_before_its_successor_is_ready(overlay):
    deployment = the(overlay, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in deployment  # it would undo what the autoscaler has done


@either
def test_every_selector_finds_the_pods(overlay):
    selectors = [
        the(overlay, "Deployment")["spec"]["selector"]["matchLabels"],
        the(overlay, "Service")["spec"]["selector"],
        the(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(
            policy["spec"]["podSelector"]["matchLabels"]
            for policy in objects(overlay, "NetworkPolicy")
        ),
        *(
            constraint["labelSelector"]["matchLabels"]
            for constraint in pod(overlay)["spec"]["topologySpreadConstraints"]
        ),
    ]
    assert all(selects(labels, pod(overlay)) for labels in selectors)


@either
def test_pods_are_spread_over_zones_and_nodes(overlay):
    constraints = pod(overlay)["spec"]["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in constraints} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }


@either
def test_the_autoscaler_scales_this_deployment_and_a_node_can_be_drained(overlay):
    scaler = the(overlay, "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": the(overlay, "Deployment")["metadata"]["name"],
    }
    budget = the(overlay, "PodDisruptionBudget")["spec"]
    assert 0 < budget["maxUnavailable"] < scaler["minReplicas"] <= scaler["maxReplicas"]


def test_production_scales_on_cpu_and_on_a_gauge_that_the_service_tells():
    cpu, in_flight = the(PRODUCTION, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert cpu["resource"]["name"] == "cpu"
    name = in_flight["pods"]["metric"]["name"]
    text, _ = metrics.Metrics().exposition()
    assert f"# TYPE {name} gauge" in text.decode().splitlines()


@either
def test_only_callers_of_the_service_reach_pods_and_pods_reach_nobody(overlay):
    policies = objects(overlay, "NetworkPolicy")
    (port,) = container(overlay)["ports"]
    rules = [rule for policy in policies for rule in policy["spec"]["ingress"]]
    assert all(rule["ports"] == [{"port": port["name"]}] for rule in rules)
    assert all(rule["from"] for rule in rules)  # an empty list would let in everybody
    assert any(
        "Egress" in policy["spec"]["policyTypes"] and policy["spec"]["egress"] == []
        for policy in policies
    )
    assert not any(policy["spec"].get("egress") for policy in policies)


def test_prometheus_finds_the_service_and_is_let_in():
    service, monitor = the(PRODUCTION, "Service"), the(PRODUCTION, "ServiceMonitor")["spec"]
    (endpoint,) = monitor["endpoints"]
    (port,) = service["spec"]["ports"]
    assert selects(monitor["selector"]["matchLabels"], service)
    assert endpoint.keys() == {"port", "path", "interval"}
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    let_in = [
        source["namespaceSelector"]["matchLabels"]
        for policy in objects(PRODUCTION, "NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        for source in rule["from"]
        if "namespaceSelector" in source
    ]
    assert {"kubernetes.io/metadata.name": "monitoring"} in let_in


def test_production_takes_the_image_from_a_registry_in_one_version():
    # kustomize says nothing when `images` names one that the base does not use
    repository, _, tag = container(PRODUCTION)["image"].rpartition(":")
    assert repository.endswith(f"/{container(BASE)['image']}")
    assert tag not in ("", "latest")


def test_production_is_never_open_to_all_by_mistake():
    keys = next(v for v in container(PRODUCTION)["env"] if v["name"] == "API_KEYS")
    assert keys["valueFrom"]["secretKeyRef"].keys() == {"name", "key"}  # not optional


def test_operations_names_what_is_there():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"deploy/kubernetes/[\w/.-]*\w", text))
    assert named >= {"deploy/kubernetes/base", "deploy/kubernetes/overlays/production"}
    assert all((ROOT / path).exists() for path in named)
    assert f"docker build -t {container(BASE)['image']} ." in text
    secret = next(v for v in container(PRODUCTION)["env"] if v["name"] == "API_KEYS")
    assert f"create secret generic {secret['valueFrom']['secretKeyRef']['name']} " in text
    for kind in {manifest["kind"] for manifest in built(PRODUCTION)}:
        assert f"| {kind} |" in text, KUBERNETES
