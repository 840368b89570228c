"""docs/api.md: its Python code runs unchanged, and it lists every problem."""

import re
from pathlib import Path

import pytest

from car_damage.service.problems import KINDS
from tests.clients import BLUE, RED, client_of, serving

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_code_in_the_document_runs_unchanged(
    models, tmp_path, monkeypatch, capsys, number
):
    for name, photo in (("car.jpg", RED), ("front.jpg", RED), ("back.jpg", BLUE)):
        (tmp_path / name).write_bytes(photo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY", "a-key-of-the-suite")
    with serving(client_of(models).application) as address:
        exec(PYTHON[number].replace("http://localhost:5000/", address), {})
    assert capsys.readouterr().out


def test_the_document_shows_every_call_with_curl():
    shown = re.findall("^curl .*", DOCUMENT, re.MULTILINE)
    for call in ('-F "image=@car.jpg"', "--data-binary", "?heatmap=true", "Bearer"):
        assert any(call in line for line in shown), call


def test_the_document_lists_every_kind_of_problem_with_its_status():
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)`", DOCUMENT, re.MULTILINE)
    documented = {kind: int(status) for status, kind in rows}
    assert documented == {name: kind.status for name, kind in KINDS.items()}
