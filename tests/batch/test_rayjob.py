"""KubeRay accepts deploy/kubernetes/batch/, and its command exists."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate import latest_version, validate

import predict

ROOT = Path(__file__).parents[2]
JOB = yaml.safe_load((ROOT / "deploy/kubernetes/batch/rayjob.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((Path(__file__).parent / "rayjob.schema.json").read_text(encoding="utf-8"))
CLUSTER = JOB["spec"]["rayClusterSpec"]
TEMPLATES = [
    group["template"] for group in (CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"])
]


def test_the_job_has_only_fields_that_kuberay_knows():
    assert [error.message for error in Draft202012Validator(SCHEMA).iter_errors(JOB)] == []
    wrong = json.loads(json.dumps(JOB).replace('"groupName"', '"name"'))
    assert list(Draft202012Validator(SCHEMA).iter_errors(wrong))


@pytest.mark.parametrize("template", TEMPLATES)
def test_kubernetes_accepts_the_pods(template: dict[str, Any]):
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {"name": "pod", **template["metadata"]}
    validate(pod, latest_version(), strict=True)


def test_the_command_has_options_that_exist_and_joins_the_cluster():
    python, script, *arguments = shlex.split(JOB["spec"]["entrypoint"])
    assert (python, script) == ("python", "/app/predict.py")
    args = predict.build_parser().parse_args(arguments)
    predict.check_options(args)
    assert args.cluster == "auto"
    assert args.out.startswith("s3://")


def test_the_nodes_have_the_pinned_ray_and_the_image_s_user():
    pins = (ROOT / "requirements-cluster.txt").read_text(encoding="utf-8")
    assert f"\nray=={CLUSTER['rayVersion']} " in pins
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "ARG CLUSTER\n" in dockerfile
    for template in TEMPLATES:
        context = template["spec"]["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in dockerfile
        (container,) = template["spec"]["containers"]
        assert re.search(r"/car_damage_classifier:(?!latest)\S+$", container["image"])
        assert {"readinessProbe", "livenessProbe"} <= container.keys()
