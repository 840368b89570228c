"""What runs before a commit and after a push: the files that say so, checked without a network."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
DEPENDABOT = ROOT / ".github/dependabot.yml"
COMPOSE_FILES = sorted((ROOT / "deploy").glob("**/*compose.yaml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.dependabot": [DEPENDABOT],
    "vendor.compose-spec": COMPOSE_FILES,
}
READ_ONLY = {"contents": "read"}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment in the project's folder."""
    program = Path(sys.executable).with_name(str(command[0]))
    return subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs() -> list[tuple[str, dict[str, Any]]]:
    """Every job of every workflow, with its name."""
    return [job for path in WORKFLOWS for job in load(path)["jobs"].items()]


def steps() -> list[tuple[str, dict[str, Any]]]:
    """Every step, with its job's name."""
    return [(name, step) for name, job in jobs() for step in job["steps"]]


def reaches_further_than_reading(job: dict[str, Any]) -> bool:
    return "write" in job["permissions"].values() or "secrets." in str(job)


@pytest.mark.parametrize("schema", [name for name, files in SCHEMAS.items() if files])
def test_the_file_is_as_its_reader_expects(schema):
    result = run("check-jsonschema", "--builtin-schema", schema, *SCHEMAS[schema])
    assert result.returncode == 0, result.stdout + result.stderr


def test_zizmor_finds_nothing_to_attack():
    result = run("zizmor", "--offline", "--no-progress", "--persona=auditor", ".github")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_hooks_before_a_commit_can_be_read():
    result = run("pre-commit", "validate-config")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_hooks_fetch_nothing_and_are_pinned_like_all_else():
    asked_for = (ROOT / "requirements/dev.in").read_text(encoding="utf-8")
    for repository in load(ROOT / ".pre-commit-config.yaml")["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            assert re.search(rf"^{hook['entry'].split()[0]}(-py)?$", asked_for, re.MULTILINE)


def test_shellcheck_finds_nothing_in_scripts_and_steps(tmp_path):
    scripts = [ROOT / ".ci/run", *ROOT.glob("*.sh"), *ROOT.glob("scripts/*.sh")]
    for number, (_, step) in enumerate(steps()):
        if "run" in step:
            scripts.append(tmp_path / f"step-{number}.sh")
            scripts[-1].write_text(f"#!/usr/bin/env bash\n{step['run']}", encoding="utf-8")
    result = run("shellcheck", "--external-sources", *scripts)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_of_which_version(path):
    text = path.read_text(encoding="utf-8")
    pins = re.findall(r"\buses: (\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$", text, re.MULTILINE)
    assert len(pins) == text.count("uses:")
    assert len(set(pins)) == len({action for action, _, _ in pins}), "one commit of each"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_who_asks_for_no_permission_has_none(path):
    assert load(path)["permissions"] == {}


@pytest.mark.parametrize(("name", "job"), jobs())
def test_a_job_ends_and_says_what_it_needs(name, job):
    assert job["timeout-minutes"] <= 60
    assert "permissions" in job


@pytest.mark.parametrize(("name", "job"), jobs())
def test_a_pull_request_reads_and_gets_no_secret(name, job):
    if reaches_further_than_reading(job):
        assert job["if"].startswith(("github.event_name == 'push'", "github.ref_type == 'tag'"))
        assert job["environment"]
    else:
        assert job["permissions"] == READ_ONLY


def test_the_tests_run_on_every_python_that_is_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    versions = [f"3.{minor}" for minor in range(100) if allowed.contains(f"3.{minor}.99")]
    job = load(ROOT / ".github/workflows/main.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == versions
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_what_ships_was_tested_audited_and_scanned():
    needs = {name: job.get("needs") for name, job in load(WORKFLOWS[0])["jobs"].items()}
    assert set(needs["publish"]) == {"test", "audit", "image"}
    assert needs["heroku"] == "publish"


# Stands in for skopeo: writes down to where it copies, and tells a digest where asked for one.
SKOPEO = """#!/usr/bin/env bash
echo "${*: -1}" >> "$LOG"
[ "$2" != --digestfile ] || echo sha256:0123 > "$3"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("kind", "ref", "tags"),
    [
        ("branch", "main", ["main"]),
        ("tag", "v1.2.3", ["1.2.3", "latest"]),
        ("tag", "v1.2.3-rc.1", ["1.2.3-rc.1"]),
    ],
)
def test_a_push_is_tagged_by_what_was_pushed(tmp_path, kind, ref, tags):
    (script,) = [step["run"] for _, step in steps() if step.get("id") == "push"]
    (tmp_path / "skopeo").write_text(SKOPEO)
    (tmp_path / "skopeo").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "IMAGE": "image",
        "GITHUB_REPOSITORY_OWNER": "Owner",
        "GITHUB_SHA": "abc",
        "GITHUB_REF_TYPE": kind,
        "GITHUB_REF_NAME": ref,
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=True
    )
    assert (tmp_path / "log").read_text().splitlines() == [
        f"docker://ghcr.io/owner/image:{tag}" for tag in ["abc", *tags]
    ]
    assert (tmp_path / "output").read_text().splitlines() == [
        "name=ghcr.io/owner/image",
        f"tags={' '.join(tags)}",
        "digest=sha256:0123",
    ]


def test_only_a_version_that_is_no_candidate_is_released():
    job = load(WORKFLOWS[0])["jobs"]["heroku"]
    assert job["if"].startswith("github.ref_type == 'tag' && !contains(github.ref_name, '-')")


def test_dependabot_looks_wherever_versions_are_named():
    folders = {
        (update["package-ecosystem"], update["directory"]) for update in load(DEPENDABOT)["updates"]
    }
    wanted = {("github-actions", "/"), ("pip", "/"), ("docker", "/")}
    compose = {("docker-compose", f"/{path.parent.relative_to(ROOT)}") for path in COMPOSE_FILES}
    assert wanted | compose <= folders
