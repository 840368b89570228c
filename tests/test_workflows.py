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
SCHEDULED = "github.event_name == 'schedule' || github.event_name == 'workflow_dispatch'"
STEPS = [step for job in JOBS.values() for step in job["steps"]]


@pytest.mark.parametrize(
    "command",
    [
        "check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/main.yml",
        "check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/retrain.yml",
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
        started_by = ("github.event_name == 'push'", "github.ref_type == 'tag'", SCHEDULED)
        assert job["if"].lstrip("(").startswith(started_by)
        assert job["environment"]


def step_of(job: str, name: str) -> str:
    """The script of a job's step."""
    (script,) = [step["run"] for step in JOBS[job]["steps"] if step.get("name") == name]
    return script


def bash(script: str, folder: Path, **variables: str) -> str:
    """Run a step's script and return what it prints."""
    command = ["bash", "-euo", "pipefail", "-c", script]
    environment = os.environ | variables
    return subprocess.check_output(command, cwd=folder, env=environment, text=True)


def test_retraining_ends_green_without_the_store_s_address_and_says_so(tmp_path):
    first, *others = JOBS["retrain"]["steps"]
    output = tmp_path / "output"
    output.touch()
    said = bash(first["run"], tmp_path, DATABASE_URL="", GITHUB_OUTPUT=str(output))
    assert "::notice::Nothing was retrained" in said
    assert output.read_text() == ""
    bash(first["run"], tmp_path, DATABASE_URL="postgresql://x", GITHUB_OUTPUT=str(output))
    assert output.read_text() == "known=yes\n"
    assert all("steps." in step["if"] for step in others)


def test_only_the_steps_that_need_a_secret_get_it():
    for job in JOBS.values():
        assert "secrets." not in str(job.get("env"))
    needy = [step["name"] for step in STEPS if "DATABASE_URL" in step.get("env", {})]
    assert needy == ["Look for the store's address", "Retrain"]


def test_a_run_on_github_knows_the_labels_that_the_last_one_trained_with():
    steps = JOBS["retrain"]["steps"]
    names = [step.get("uses", step.get("name")).split("@")[0] for step in steps]
    restore, save = names.index("actions/cache/restore"), names.index("actions/cache/save")
    assert restore < names.index("Retrain") < save
    fetched, kept = steps[restore]["with"], steps[save]["with"]
    assert fetched["path"] == kept["path"] == "data/retraining/feedback.csv"
    assert kept["key"].startswith(fetched["restore-keys"])
    assert steps[save]["if"].startswith("always()")


# Replaces python: retraining makes a version and uses it, unless $KEEPS.
PYTHON = """python() {
  [ "$1" = retrain.py ] && [ -z "${KEEPS:-}" ] || return 0
  mkdir models/2026 && echo 2026 > models/current
  printf '%s\\n' 'step 1' '2026 on 40 test photos' 'On 40 test photos it is right'
}
"""


@pytest.mark.parametrize("keeps", ["", "yes"])
def test_retraining_proposes_a_version_only_if_it_is_in_use(tmp_path, keeps):
    included = tmp_path / "models" / "pretrained" / "2025"
    included.mkdir(parents=True)
    (included / "LICENSE").write_text("Apache")
    (included / "NOTICE.md").write_text("notice")
    output = tmp_path / "output"
    output.touch()
    script = PYTHON + step_of("retrain", "Retrain")
    said = bash(script, tmp_path, GITHUB_OUTPUT=str(output), KEEPS=keeps)
    if keeps:
        assert "::notice::No new version is in use" in said
        assert output.read_text() == ""
        return
    assert output.read_text() == "version=2026\n"
    summary = (tmp_path / "proposal" / "summary.txt").read_text().splitlines()
    assert summary == ["2026 on 40 test photos", "On 40 test photos it is right"]
    assert (tmp_path / "proposal" / "2026" / "LICENSE").read_text() == "Apache"


# Replaces gh. Writes to a log what it is called with.
GH = """gh() { echo "$*" >> ../log; }
"""


def test_the_pull_request_replaces_the_included_version_and_shows_its_figures(tmp_path):
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    (origin / "models" / "pretrained" / "2025").mkdir(parents=True)
    (origin / "models" / "pretrained" / "2025" / "model.json").write_text("old")
    git = "git -c user.name=a -c user.email=a@example.org"
    bash(f"git init -q -b main . && git add . && {git} commit -qm first", origin)
    bash(f"git clone -q {origin} clone", tmp_path)
    (clone / "proposal" / "2026").mkdir(parents=True)
    (clone / "proposal" / "2026" / "model.json").write_text("new")
    (clone / "proposal" / "summary.txt").write_text("accuracy 0.9\n")
    variables = {"VERSION": "2026", "GITHUB_REF_NAME": "main"}
    for name in ("Replace the included version on a branch", "Open the pull request"):
        bash(GH + step_of("propose", name), clone, **variables)
    listed = bash("git ls-tree -r --name-only retrain-2026", origin)
    assert listed == "models/pretrained/2026/model.json\n"
    assert "accuracy 0.9" in (clone / "body.md").read_text()
    setup, create = (tmp_path / "log").read_text().splitlines()
    assert setup == "auth setup-git"
    assert create.startswith("pr create --base main --head retrain-2026")


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
