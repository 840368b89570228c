"""deploy/kubernetes/ as a cluster gets it: each overlay built by kustomize."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.programs import program

KUBERNETES = Path(__file__).parents[1] / "deploy" / "kubernetes"
BASE, PRODUCTION = "base", "overlays/production"

Manifest = dict[str, Any]


@cache
def built(overlay: str) -> list[Manifest]:
    """All objects of the overlay."""
    done = subprocess.run(
        [program("kubectl", "kubernetes-client"), "kustomize", KUBERNETES / overlay],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def objects(overlay: str, kind: str) -> list[Manifest]:
    """The overlay's objects of this kind."""
    return [manifest for manifest in built(overlay) if manifest["kind"] == kind]


def the(overlay: str, kind: str) -> Manifest:
    """The overlay's only object of this kind."""
    (manifest,) = objects(overlay, kind)
    return manifest


def pod(overlay: str) -> Manifest:
    """What the Deployment's pods are: labels and all."""
    template: Manifest = the(overlay, "Deployment")["spec"]["template"]
    return template


def container(overlay: str) -> Manifest:
    """The pods' only container."""
    (only,) = pod(overlay)["spec"]["containers"]
    return only
