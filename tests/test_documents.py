"""Each command, option, link and quoted message in the documents exists."""

import ast
import re
import shlex
from itertools import chain, pairwise
from pathlib import Path

import pytest

from car_damage.service.settings import VARIABLES

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("", "docs", "benchmarks")
    for path in (ROOT / folder).glob("*.md")
}
STEPS = ("data_preprocessing.py", "model_training.py")  # some scripts pass options on to them
ANYTHING = ".+?"  # stands for a value in a message
RECOGNISABLE = 15  # characters that a text in our code needs, to recognise a message by it
QUOTED = 0.75  # of a message: the rest is values, such as a file's name


def commands(text: str) -> list[list[str]]:
    """Split the lines of a text's shell blocks into words; a line that ends with \\ continues."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


COMMANDS = list(chain.from_iterable(map(commands, DOCUMENTS.values())))


def options_of(script: str) -> str:
    """Return the source with a script's options; those that run both steps have the steps' too."""
    passes_on = script in ("run_pipeline.sh", "retrain.py")
    files = [script, *STEPS] if passes_on else [script]
    return "".join((ROOT / file).read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_names_scripts_options_and_variables_that_exist(words):
    scripts = [word for word in words if re.fullmatch(r"\w[\w./-]*\.(py|sh)", word)]
    for script in scripts:
        assert (ROOT / script).exists(), script
    if words[:2] != ["docker", "run"] and scripts and words[0] in ("python", "bash", "gunicorn"):
        for option in (word.split("=")[0] for word in words if re.match(r"--\w", word)):
            assert re.search(rf'"{option}"|{option} ', options_of(scripts[0])), option
    for before, word in pairwise(words):
        if before in ("-e", "--env"):
            assert word.partition("=")[0] in VARIABLES


def test_the_architecture_names_every_module_and_no_deleted_one():
    layout = DOCUMENTS["docs/architecture.md"].split("```")[3]
    named = set(re.findall(r"[\w./]+\.(?:py|sh)\b", layout))
    modules = {
        path.name
        for path in ROOT.glob("car_damage/**/*.py")
        if not path.name.startswith("__") and not {"drawn", "migrations"} & set(path.parts)
    }
    programs = {path.name for path in [*ROOT.glob("*.py"), *ROOT.glob("*.sh")]}
    assert modules | programs - {"conftest.py", "test_api.py"} <= named
    assert all(list(ROOT.rglob(name)) for name in named)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_has_a_target(name):
    text = re.sub(r"```.*?```", "", DOCUMENTS[name], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes for a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def templates() -> list[str]:
    """Return patterns of the texts in our code that are long enough to recognise a message."""
    files = [*ROOT.glob("*.py"), *ROOT.glob("car_damage/**/*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    texts = {template(node) for tree in trees for node in ast.walk(tree)}
    return [text for text in texts if len(text.replace(ANYTHING, "")) >= RECOGNISABLE]


def template(node: ast.AST) -> str:
    """Return a pattern that matches the string with any values; empty if it is not a string."""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or ANYTHING for part in node.values)
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return re.escape(node.value) if is_text else ""


def share_found(message: str, patterns: list[str]) -> float:
    """Return the share of the message's characters that come from texts in our code."""
    found = [re.finditer(pattern, message, re.IGNORECASE) for pattern in patterns]
    covered = {at for match in chain.from_iterable(found) for at in range(*match.span())}
    return len(covered) / len(message)


def test_the_messages_that_troubleshooting_quotes_are_those_of_the_code():
    quoted = "".join(
        re.findall(r"```text\n(.*?)```", DOCUMENTS["docs/troubleshooting.md"], re.DOTALL)
    )
    patterns = templates()
    assert {line for line in quoted.splitlines() if share_found(line, patterns) < QUOTED} == set()


def test_troubleshooting_quotes_what_the_page_calls_an_answer_for_review():
    words = (ROOT / "car_damage/service/page/words.js").read_text(encoding="utf-8")
    verdict = re.search(r'review: "(.+)"', words)[1]
    assert verdict in DOCUMENTS["docs/troubleshooting.md"]
