"""The two commands, run in a copy of the project whose Python, pip and steps are stand-ins."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import data_preprocessing

ROOT = Path(__file__).parents[1]

# Writes down what it is told to install and to check, and runs all else for real.
PYTHON = f"""#!/usr/bin/env bash
case "$1 $2 ${{3:-}}" in
  "-m venv "*) [ -z "${{NO_ENSUREPIP:-}}" ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip --version") ;;
  "-m pip install") echo "pip ${{*: -1}}" >> "$LOG"; [ -z "${{NO_INDEX:-}}" ] ;;
  "-m ruff "* | "-m mypy "* | "-m pytest "*)
    echo "${{*:2}}" >> "$LOG"; [ "$2" != "${{FAILING:-}}" ] ;;
  *) exec {shlex.quote(sys.executable)} "$@" ;;
esac
"""
OTHER_PYTHON = "#!/usr/bin/env bash\nexit 1\n"  # says no when asked whether its version will do

STEP = """
import argparse, os, shlex, sys
from pathlib import Path

def build_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    {options}
    return parser

if __name__ == "__main__":
    build_parser().parse_args()
    with open(os.environ["LOG"], "a") as log:
        print(shlex.join(sys.argv), file=log)
    sys.exit(int(os.environ.get("EXIT_CODE", 0)))
"""
STEP_1 = """
    parser.add_argument("--raw-dir", type=Path, action="append", default=[])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--kaggle", action="store_true")
    where.add_argument("--sample", action="store_true")
    parser.add_argument("--size", type=int)
"""
STEP_2 = """
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--weights")
"""


@dataclass
class Project:
    """A small copy of the project, and a log of what its scripts did."""

    root: Path

    def run(self, script="run_pipeline.sh", *options, cwd=None, **environment):
        return subprocess.run(
            ["bash", str(self.root / script), *map(str, options)],
            cwd=cwd or self.root,
            env={
                **os.environ,
                "PYTHON": str(self.root / "python"),
                "LOG": str(self.root / "log.txt"),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    def take_log(self) -> list[str]:
        """What happened since it was last asked."""
        log = self.root / "log.txt"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line.replace(f"{self.root}/", "") for line in lines]


@pytest.fixture
def project(tmp_path):
    root = tmp_path.resolve() / "the project"
    (root / "car_damage").mkdir(parents=True)
    for name in ("run_pipeline.sh", "run_tests.sh", "car_damage/__init__.py"):
        shutil.copy(ROOT / name, root / name)
    shutil.copy(ROOT / "car_damage/errors.py", root / "car_damage/errors.py")
    shutil.copytree(ROOT / "scripts", root / "scripts")
    shutil.copytree(ROOT / ".ci", root / ".ci")
    for name, options in (("data_preprocessing.py", STEP_1), ("model_training.py", STEP_2)):
        (root / name).write_text(STEP.format(options=options.strip()))
    for name in ("requirements.txt", "requirements-dev.txt"):
        (root / name).write_text("a-package==1\n")
    write_program(root / "python", PYTHON)
    return Project(root)


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_the_help_names_options_that_exist_and_sets_nothing_up(project):
    result = project.run("run_pipeline.sh", "--sample", "--help")
    documented = re.findall(r"^  (--[\w-]+)( DIR)?", result.stdout, re.MULTILINE)
    assert len(documented) == 4
    for name, value in documented:
        if name != "--help":
            words = [name, "photos"] if value else [name]
            assert not data_preprocessing.build_parser().parse_known_args(words)[1]
    assert not (project.root / ".venv").exists()


def test_the_first_run_installs_and_runs_both_steps(project):
    result = project.run()
    assert result.returncode == 0, result.stderr
    assert project.take_log() == [
        "pip requirements.txt",
        "data_preprocessing.py",
        "model_training.py",
    ]


def test_a_second_run_installs_nothing(project):
    project.run()
    project.take_log()
    assert project.run().returncode == 0
    assert project.take_log() == ["data_preprocessing.py", "model_training.py"]


def test_changed_requirements_are_installed(project):
    project.run()
    project.take_log()
    (project.root / "requirements.txt").write_text("a-package==2\n")
    project.run()
    assert "pip requirements.txt" in project.take_log()


def test_an_install_that_failed_is_done_again(project):
    result = project.run(NO_INDEX="1")
    assert result.returncode == 2
    assert "could not be installed" in result.stderr.splitlines()[-1]
    assert project.take_log() == ["pip requirements.txt"]

    assert project.run().returncode == 0
    assert project.take_log()[0] == "pip requirements.txt"


def test_going_back_to_older_requirements_after_a_failed_install_installs_them(project):
    project.run()
    (project.root / "requirements.txt").write_text("a-package==2\n")
    project.run(NO_INDEX="1")
    project.take_log()
    (project.root / "requirements.txt").write_text("a-package==1\n")
    project.run()
    assert "pip requirements.txt" in project.take_log()


def test_options_reach_the_step_that_knows_them_and_both_when_both_do(project):
    words = ("--raw-dir", "a", "--raw-dir", "b", "--", "--size=160", "--epochs", 3, "--seed", 7)
    result = project.run("run_pipeline.sh", *words)
    assert result.returncode == 0, result.stderr
    assert project.take_log()[1:] == [
        "data_preprocessing.py --raw-dir a --raw-dir b --size 160 --seed 7",
        "model_training.py --epochs 3 --seed 7",
    ]


def test_paths_are_the_users_wherever_the_command_is_given(project, tmp_path):
    elsewhere = tmp_path.resolve() / "elsewhere"
    elsewhere.mkdir()
    words = ("--raw-dir", "my photos", "--weights", "../some.h5", "--size", "9")
    result = project.run("run_pipeline.sh", *words, cwd=elsewhere)
    assert result.returncode == 0, result.stderr
    assert project.take_log()[1:] == [
        f"data_preprocessing.py --raw-dir '{elsewhere}/my photos' --size 9",
        f"model_training.py --weights {elsewhere}/../some.h5",
    ]
    assert f"cd '{project.root}'" in result.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--epoks 3", "--epoks"),
        ("--sample photos", "--sample photos"),
        ("photos", "photos"),
        ("-- --epochs three", "three"),
        ("--size", "--size"),
        ("--kaggle --sample", "--kaggle"),
    ],
)
def test_a_wrong_option_is_named_before_any_step_begins(project, words, named):
    result = project.run("run_pipeline.sh", *words.split())
    assert result.returncode == 2
    assert named in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert project.take_log() == ["pip requirements.txt"]


def test_a_step_that_fails_ends_the_run_with_its_exit_code(project):
    assert project.run(EXIT_CODE="2").returncode == 2
    assert project.take_log()[1:] == ["data_preprocessing.py"]


def test_the_run_ends_with_the_next_command(project):
    assert ".venv/bin/python predict.py" in project.run().stdout
    (project.root / "app.py").touch()
    assert ".venv/bin/python app.py" in project.run().stdout.splitlines()[-1]


def test_a_python_of_another_age_is_refused_by_name(project):
    write_program(project.root / "old", OTHER_PYTHON)
    result = project.run(PYTHON="./old")
    assert result.returncode == 2
    assert result.stderr == "error: PYTHON=./old is no Python 3.11, 3.12 or 3.13\n"


def test_the_first_suitable_python_is_taken_and_none_is_said_so(project):
    programs = project.root / "programs"
    programs.mkdir()
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        write_program(programs / name, OTHER_PYTHON)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"

    result = project.run(PYTHON="", PATH=path)
    assert result.returncode == 2
    assert "no Python 3.11, 3.12 or 3.13 was found" in result.stderr

    write_program(programs / "python3.11", PYTHON)
    assert project.run(PYTHON="", PATH=path).returncode == 0


def test_a_python_without_ensurepip_is_explained(project):
    result = project.run(NO_ENSUREPIP="1")
    assert result.returncode == 2
    assert "apt install python3-venv" in result.stderr


def test_an_environment_of_another_python_is_left_alone(project):
    (project.root / ".venv/bin").mkdir(parents=True)
    write_program(
        project.root / ".venv/bin/python", '#!/usr/bin/env bash\n[ "$1 $2" = "-m pip" ]\n'
    )
    result = project.run()
    assert result.returncode == 2
    assert "remove it" in result.stderr
    assert project.take_log() == []


def test_tests_are_set_up_linted_typed_and_run_with_the_options_given(project):
    result = project.run("run_tests.sh", "-k", "photos")
    assert result.returncode == 0, result.stderr
    assert project.take_log() == [
        "pip requirements.txt",
        "pip requirements-dev.txt",
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "pytest --numprocesses auto --maxprocesses 4 --dist loadfile -k photos",
    ]


def test_after_the_pipeline_the_tests_install_only_what_they_add(project):
    project.run()
    project.take_log()
    project.run("run_tests.sh")
    assert project.take_log()[:2] == ["pip requirements-dev.txt", "ruff check ."]


@pytest.mark.parametrize("script", ["run_tests.sh", ".ci/run"])
@pytest.mark.parametrize(("check", "last"), [("ruff", "ruff check ."), ("mypy", "mypy")])
def test_a_failed_check_stops_the_tests(project, script, check, last):
    assert project.run(script, FAILING=check).returncode != 0
    assert project.take_log()[-1] == last


def test_ci_fails_when_a_test_fails(project):
    assert project.run(".ci/run", FAILING="pytest").returncode != 0
    assert project.take_log()[-1].startswith("pytest ")
