"""The checks before a commit and the jobs after a push, tested without a network."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
WORKFLOWS = [path.read_text(encoding="utf-8") for path in ROOT.glob(".github/workflows/*")]
JOBS: dict[str, dict[str, Any]] = {
    name: job for text in WORKFLOWS for name, job in yaml.safe_load(text)["jobs"].items()
}
STEPS = [step for job in JOBS.values() for step in job["steps"]]


@pytest.mark.parametrize(
    "command",
    [
        "check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/main.yml",
        "check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml",
        "check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml",
        "check-jsonschema --builtin-schema vendor.compose-spec deploy/monitoring/compose.yaml",
        "zizmor --offline --no-progress --persona=auditor .github",
        "pre-commit validate-config",
        "hadolint Dockerfile",
    ],
)
def test_each_checker_accepts_the_files(command):
    checked(*command.split())


def checked(program: str, *words: str | Path) -> None:
    """Run a checker of this environment in the repository and assert that it finds nothing."""
    found = shutil.which(program, path=Path(sys.executable).parent)
    if found is None:
        assert "CI" not in os.environ, "install requirements-dev.txt"
        pytest.skip(f"{program} has no wheel for this system")
    done = subprocess.run([found, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_nothing_in_scripts_and_steps(tmp_path):
    scripts = [ROOT / ".ci/run", *ROOT.glob("*.sh"), *ROOT.glob("scripts/*.sh")]
    for number, step in enumerate(step for step in STEPS if "run" in step):
        scripts.append(tmp_path / f"step-{number}.sh")
        scripts[-1].write_text(f"#!/usr/bin/env bash\n{step['run']}", encoding="utf-8")
    checked("shellcheck", "--external-sources", *scripts)


def test_actions_are_pinned_by_commit_and_name_their_version():
    text = "".join(WORKFLOWS)
    pins = re.findall(r"\buses: (\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$", text, re.MULTILINE)
    assert len(pins) == text.count("uses:")
    assert len(set(pins)) == len({action for action, _, _ in pins}), "one commit of each"


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_a_pull_request_can_only_read_and_gets_no_secrets(job):
    if job["permissions"] != {"contents": "read"} or "secrets." in str(job):
        assert job["if"].startswith(("github.event_name == 'push'", "github.ref_type == 'tag'"))
        assert job["environment"]


def test_ci_tests_every_supported_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    versions = [f"3.{minor}" for minor in range(100) if allowed.contains(f"3.{minor}.99")]
    assert JOBS["test"]["strategy"]["matrix"]["python"] == versions
    assert [step["run"] for step in JOBS["test"]["steps"] if "run" in step] == [".ci/run"]


# Replaces skopeo. Writes to a log where it copies to, and a digest if asked for one.
SKOPEO = """skopeo() {
  echo "${*: -1}" >> log
  [ "$2" != --digestfile ] || echo sha256:0123 > "$3"
}
"""


@pytest.mark.parametrize(
    ("kind", "ref", "tags"),
    [
        ("branch", "main", ["main"]),
        ("tag", "v1.2.3", ["1.2.3", "latest"]),
        ("tag", "v1.2.3-rc.1", ["1.2.3-rc.1"]),
    ],
)
def test_the_tags_of_an_image_follow_from_the_branch_or_tag_that_was_pushed(
    tmp_path, kind, ref, tags
):
    (script,) = [step["run"] for step in STEPS if step.get("id") == "push"]
    variables = {
        "IMAGE": "image",
        "GITHUB_REPOSITORY_OWNER": "Owner",
        "GITHUB_SHA": "abc",
        "GITHUB_REF_TYPE": kind,
        "GITHUB_REF_NAME": ref,
        "GITHUB_OUTPUT": "output",
    }
    command = ["bash", "-euo", "pipefail", "-c", SKOPEO + script]
    subprocess.run(command, cwd=tmp_path, env=os.environ | variables, check=True)
    name = "ghcr.io/owner/image"
    copies = (tmp_path / "log").read_text().splitlines()
    assert copies == [f"docker://{name}:{tag}" for tag in ["abc", *tags]]
    output = (tmp_path / "output").read_text().splitlines()
    assert output == [f"name={name}", f"tags={' '.join(tags)}", "digest=sha256:0123"]
