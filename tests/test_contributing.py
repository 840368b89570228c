"""CONTRIBUTING's commands run; test_documents.py checks that their files and options exist."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_documents import commands

ROOT = Path(__file__).parents[1]
COMMANDS = commands((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
CHOICES = [words for words in COMMANDS if {"-k", "-m"} & set(words[3:])]


@pytest.mark.parametrize("words", CHOICES, ids=" ".join)
def test_a_choice_of_tests_has_some(words):
    assert words[:3] == ["python", "-m", "pytest"]
    command = [sys.executable, *words[1:], "--collect-only", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout  # 5 if no test is left


@pytest.mark.parametrize("name", ["ruff", "mypy", "pre-commit"])
def test_the_programs_named_are_installed_with_the_tests(name):
    assert any(name in words for words in COMMANDS)
    assert shutil.which(name, path=Path(sys.executable).parent)
