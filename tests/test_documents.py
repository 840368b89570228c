"""What README and docs/ say can be done: each command, option, address and link is there."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from car_damage.service.application import create_app
from car_damage.service.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [path for of in ("", "docs", "benchmarks") for path in sorted((ROOT / of).glob("*.md"))]
SCRIPT = re.compile(r"[\w./-]+\.(py|sh)")
STEPS = ("data_preprocessing.py", "model_training.py")  # what run_pipeline.sh passes options on to


def commands(document: Path) -> list[list[str]]:
    """The lines of a document's shell blocks, each in words; a line ended by \\ goes on."""
    blocks = re.findall(r"```bash\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def named(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


COMMANDS = [
    pytest.param(words, id=f"{named(document)}: {' '.join(words)}")
    for document in DOCUMENTS
    for words in commands(document)
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_names_scripts_that_are_there_and_options_that_they_know(words):
    scripts = [word for word in words if SCRIPT.fullmatch(word) and not word.startswith("/")]
    for script in scripts:
        assert (ROOT / script).exists(), script
    if words[:2] != ["docker", "run"] and scripts and words[0] in ("python", "bash", "gunicorn"):
        options = [word.split("=")[0] for word in words if re.match(r"--\w", word)]
        for option in options:
            assert f'"{option}"' in source(scripts[0]) or f"{option} " in source(scripts[0])


def source(script: str) -> str:
    """The text in which a script's options stand; run_pipeline.sh has those of its steps too."""
    files = [script, *STEPS] if script == "run_pipeline.sh" else [script]
    return "".join((ROOT / file).read_text(encoding="utf-8") for file in files)


@pytest.fixture(scope="module")
def routes(tmp_path_factory):
    app = create_app(Settings(), tmp_path_factory.mktemp("no_models"))
    return app.url_map.bind("localhost")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_call_goes_to_an_address_that_the_service_has(words, routes):
    for address in (word for word in words if word.startswith("http://localhost:5000")):
        method = "POST" if {"-F", "--data-binary", "POST"} & set(words) else "GET"
        assert routes.match(urlsplit(address).path or "/", method)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_sets_only_variables_that_the_service_reads(words):
    for before, word in pairwise(words):
        if before in ("-e", "--env", "--set-env-vars"):
            assert {pair.partition("=")[0] for pair in word.split(",")} <= VARIABLES.keys()


def test_the_architecture_names_every_module_and_none_that_is_gone():
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named_there = set(re.findall(r"[\w./]+\.(?:py|sh)\b", text.split("```")[3]))
    modules = {
        path.name
        for path in ROOT.glob("car_damage/**/*.py")
        if not path.name.startswith("__") and path.parent.name != "drawn"
    }
    programs = {path.name for path in [*ROOT.glob("*.py"), *ROOT.glob("*.sh")]}
    programs -= {"conftest.py", "test_api.py"}
    assert modules | programs <= named_there
    assert all(list(ROOT.rglob(name)) for name in named_there)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_link_leads_somewhere(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 20
