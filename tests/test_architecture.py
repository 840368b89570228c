"""docs/architecture.md walks through functions that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WALKS = TEXT.split("## One photo")[1].split("## Where everything is")[0]
FILES = [*ROOT.glob("*.py"), *ROOT.glob("scripts/*.py"), *ROOT.glob("car_damage/**/*.py")]
FILE_NAMES = {"model.tflite", "report.html"}
STEPS = sorted(set(re.findall(r"`(?:\w+\.)?(\w+\.\w+)`", WALKS)) - FILE_NAMES)


@pytest.mark.parametrize("step", STEPS)
def test_each_function_of_the_walks_is_in_the_module_or_class_named(step):
    owner, name = step.split(".")
    found = [
        text
        for path in FILES
        for text in [path.read_text(encoding="utf-8")]
        if path.stem == owner or f"class {owner}" in text
    ]
    assert any(re.search(rf"^ *def {name}\(", text, re.MULTILINE) for text in found)


def test_the_walks_name_many_functions():
    assert len(STEPS) > 20
