"""CONTRIBUTING's recipes: what a new warning or a new backbone needs."""

import re
from pathlib import Path
from typing import get_args

import pytest

from car_damage.photo_warnings import WarningLimits, WarningWord
from car_damage.photos import Reason
from car_damage.training.backbones import BACKBONES

ROOT = Path(__file__).parents[1]
WORDS = set(get_args(WarningWord))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_page_says_what_to_do_about_each_warning_and_about_no_other():
    script = text_of("car_damage/service/page/words.js")
    warnings = script.split("const WARNINGS = {", 1)[1].split("};", 1)[0]
    assert set(re.findall(r"^  (\w+): \"[A-Z]", warnings, re.MULTILINE)) == WORDS


def test_the_page_says_what_to_do_about_each_photo_that_cannot_be_used():
    script = text_of("car_damage/service/page/words.js")
    problems = script.split("const PROBLEMS = {", 1)[1].split("};", 1)[0]
    assert set(re.findall(r"^  (\w+): ", problems, re.MULTILINE)) >= set(get_args(Reason))
    assert "damaged" not in problems  # only cars are


def test_the_table_of_warnings_has_a_row_for_each_and_for_no_other():
    table = text_of("docs/api.md").split("### Warnings", 1)[1].split("## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == WORDS


@pytest.mark.parametrize(
    "name", ["predict.py", "docs/pipeline.md", "docs/operations.md", "docs/model-card.md"]
)
def test_a_text_that_lists_the_warnings_lists_them_all(name):
    assert set(re.findall(r"\w+", text_of(name))) >= WORDS


def test_a_version_that_is_older_than_a_warning_has_no_limit_for_it():
    assert set(WarningLimits().model_dump().values()) == {None}


# `tiny` is for sample runs and tests; `resnet50` is what users expect, and was tried cut.
@pytest.mark.parametrize("name", sorted(BACKBONES.keys() - {"tiny", "resnet50"}))
def test_each_backbone_has_an_experiment(name):
    assert re.search(rf"^\|.*`{name}`", text_of("docs/experiments.md"), re.MULTILINE)
