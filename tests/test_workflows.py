"""What runs before a commit and after a push: the files that say so, checked without a network."""

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


def test_dependabot_looks_wherever_versions_are_named():
    folders = {
        (update["package-ecosystem"], update["directory"]) for update in load(DEPENDABOT)["updates"]
    }
    wanted = {("github-actions", "/"), ("pip", "/"), ("docker", "/")}
    compose = {("docker-compose", f"/{path.parent.relative_to(ROOT)}") for path in COMPOSE_FILES}
    assert wanted | compose <= folders
