"""run_pipeline.sh and run_tests.sh, in a copy of the project with a fake Python, pip and steps."""

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

STEPS = """
import argparse, os, sys
from pathlib import Path

ROOT = Path(__file__).parent

def build_parser():
    parser = argparse.ArgumentParser(prog=Path(__file__).name)
    parser.add_argument("--seed", type=int)
    {options}
    return parser

def suit_weights(args, weights):
    pass

def source_of(args):
    return argparse.Namespace(sample=False)

def photos_of(source):
    return []

def check(args, sample, photos):
    if args.weights == "missing.keras":
        sys.exit(2)

def {step}(args, source=None):
    given = [f"{{name}}={{value}}" for name, value in vars(args).items() if value]
    elsewhere = [] if Path.cwd() == ROOT else ["in", os.getcwd()]
    with open(os.environ["LOG"], "a") as log:
        print("{step}", *given, *elsewhere, file=log)
    if "EXIT_CODE" in os.environ:
        sys.exit(int(os.environ["EXIT_CODE"]))
    return {returns}
"""
STEP_1 = """
    parser.add_argument("--raw-dir", action="append", default=[])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--kaggle", action="store_true")
    where.add_argument("--sample", action="store_true")
    parser.add_argument("--out")
    parser.add_argument("--size", type=int)
"""
STEP_2 = """
    parser.add_argument("--data")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--weights")
    parser.add_argument("--leave-out")
"""
PREPARED, TRAINED = "prepare_photos", "train"


@dataclass
class Project:
    """A small copy of the project, and a log of what its scripts did."""

    root: Path

    def run(self, script="run_pipeline.sh", *options, exit_code=0, cwd=None, **environment):
        defaults = {"PYTHON": str(self.root / "python"), "LOG": str(self.root / "log.txt")}
        done = subprocess.run(
            ["bash", str(self.root / script), *options],
            cwd=cwd or self.root,
            env=os.environ | defaults | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == exit_code, done.stderr
        return done

    def take_log(self) -> list[str]:
        """What happened since it was last asked."""
        log = self.root / "log.txt"
        lines = log.read_text().replace(f"{self.root}/", "").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def project(tmp_path):
    root = tmp_path.resolve() / "the project"
    (root / "car_damage").mkdir(parents=True)
    for name in (
        "run_pipeline.sh",
        "run_tests.sh",
        "car_damage/errors.py",
        "car_damage/paths.py",
        "car_damage/wording.py",
    ):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "scripts", root / "scripts")
    shutil.copytree(ROOT / ".ci", root / ".ci")
    for name, step, options, returns in (
        ("data_preprocessing.py", PREPARED, STEP_1, "args.out or 'made'"),
        ("model_training.py", TRAINED, STEP_2, "args.models or ROOT / 'models'"),
    ):
        (root / name).write_text(STEPS.format(options=options.strip(), step=step, returns=returns))
    for name in ("requirements.txt", "requirements-dev.txt"):
        (root / name).write_text("a-package==1\n")
    write_program(root / "python", PYTHON)
    return Project(root)


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_help_explains_options_that_exist_and_sets_nothing_up(project):
    result = project.run("run_pipeline.sh", "--sample", "--help")
    documented = re.findall(r"^  (--[\w-]+)( DIR)?", result.stdout, re.MULTILINE)
    assert len(documented) == 4
    for name, value in documented:
        if name != "--help":
            words = [name, "photos"] if value else [name]
            assert not data_preprocessing.build_parser().parse_known_args(words)[1]
    assert not (project.root / ".venv").exists()


def test_requirements_are_installed_once_and_again_when_they_change(project):
    both_steps = [PREPARED, f"{TRAINED} data=made"]
    install = ["pip requirements.txt"]
    for version, installed in ((1, install), (1, []), (2, install)):
        (project.root / "requirements.txt").write_text(f"a-package=={version}\n")
        project.run()
        assert project.take_log() == installed + both_steps


def test_a_failed_install_is_repeated(project):
    project.run()
    (project.root / "requirements.txt").write_text("a-package==2\n")
    project.take_log()
    result = project.run(NO_INDEX="1", exit_code=2)
    assert "could not be installed" in result.stderr.splitlines()[-1]
    assert project.take_log() == ["pip requirements.txt"]
    (project.root / "requirements.txt").write_text("a-package==1\n")
    project.run()
    assert project.take_log()[0] == "pip requirements.txt"


def test_each_step_gets_its_options_and_step_2_uses_the_data_set_of_step_1(project):
    words = "--raw-dir a --raw-dir b --out c -- --size=160 --epochs 3 --seed 7"
    project.run("run_pipeline.sh", *words.split())
    assert project.take_log()[1:] == [
        f"{PREPARED} seed=7 raw_dir=['a', 'b'] out=c size=160",
        f"{TRAINED} seed=7 data=c epochs=3",
    ]


def test_paths_start_at_the_working_directory(project, tmp_path):
    elsewhere = tmp_path.resolve() / "elsewhere"
    elsewhere.mkdir()
    words = ("--raw-dir", "my photos", "--weights", "w.h5", "--leave-out", "uk/damaged")
    result = project.run("run_pipeline.sh", *words, cwd=elsewhere)
    assert project.take_log()[1:] == [
        f"{PREPARED} raw_dir=['my photos'] in {elsewhere}",
        f"{TRAINED} data=made weights=w.h5 leave_out=uk/damaged in {elsewhere}",
    ]
    assert f" '{project.root}/predict.py' PHOTO_OR_FOLDER\n" in result.stdout


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--epoks 3", "--epoks"),
        ("--sample photos", "photos"),
        ("--data made", "--data made"),
        ("-- --epochs three", "three"),
        ("--size", "--size"),
        ("--kaggle --sample", "--kaggle"),
    ],
)
def test_rejects_a_wrong_option_before_any_step_begins(project, words, named):
    result = project.run("run_pipeline.sh", *words.split(), exit_code=2)
    assert named in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert project.take_log() == ["pip requirements.txt"]


def test_weights_that_cannot_be_used_end_the_run_before_step_1(project):
    project.run("run_pipeline.sh", "--weights", "missing.keras", exit_code=2)
    assert project.take_log() == ["pip requirements.txt"]


def test_a_step_that_fails_ends_the_run_with_its_exit_code(project):
    project.run(EXIT_CODE="7", exit_code=7)
    assert project.take_log()[1:] == [PREPARED]


def test_the_run_ends_with_the_next_command_for_the_model_that_it_made(project):
    assert "python predict.py PHOTO_OR_FOLDER\n" in project.run().stdout
    result = project.run("run_pipeline.sh", "--models", "my models")
    assert result.stdout.endswith("python predict.py PHOTO_OR_FOLDER --models 'my models'\n")


def test_rejects_an_unsupported_python_by_name(project):
    write_program(project.root / "old", OTHER_PYTHON)
    stderr = project.run(PYTHON="./old", exit_code=2).stderr
    assert stderr == "error: PYTHON=./old is not Python 3.11, 3.12 or 3.13. Choose one that is.\n"


def test_uses_the_first_suitable_python_and_reports_if_there_is_none(project):
    programs = project.root / "programs"
    programs.mkdir()
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        write_program(programs / name, OTHER_PYTHON)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    result = project.run(PYTHON="", PATH=path, exit_code=2)
    assert "No Python 3.11, 3.12 or 3.13 was found" in result.stderr
    write_program(programs / "python3.11", PYTHON)
    project.run(PYTHON="", PATH=path)


def test_explains_how_to_install_the_missing_venv_package(project):
    assert "apt install python3-venv" in project.run(NO_ENSUREPIP="1", exit_code=2).stderr


def test_an_environment_of_another_python_is_left_alone(project):
    (project.root / ".venv/bin").mkdir(parents=True)
    other = '#!/usr/bin/env bash\n[ "$1 $2" = "-m pip" ]\n'
    write_program(project.root / ".venv/bin/python", other)
    assert "Delete it" in project.run(exit_code=2).stderr
    assert project.take_log() == []


def test_tests_are_set_up_linted_typed_and_run_with_the_options_given(project):
    project.run()
    project.take_log()
    project.run("run_tests.sh", "-k", "photos")
    assert project.take_log() == [
        "pip requirements-dev.txt",
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "pytest --numprocesses auto --maxprocesses 4 --dist loadfile -m not slow -k photos",
    ]


@pytest.mark.parametrize("script", ["run_tests.sh", ".ci/run"])
@pytest.mark.parametrize("check", ["ruff", "mypy", "pytest"])
def test_a_failed_check_stops_the_tests_and_ci(project, script, check):
    project.run(script, FAILING=check, exit_code=1)
    assert project.take_log()[-1].startswith(check)


def test_ci_also_runs_the_slow_tests(project):
    project.run(".ci/run")
    assert project.take_log()[-1].endswith("-m not slow -m ")
