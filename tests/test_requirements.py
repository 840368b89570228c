import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = {
    "all": "requirements.txt",
    "serve": "requirements-serve.txt",
    "dev": "requirements-dev.txt",
    "gpu": "requirements-gpu.txt",
}


def blocks(text: str) -> list[str]:
    """A compiled file's requirements, each with its hashes and the comment on who asked for it."""
    return re.split(r"\n(?=[a-zA-Z0-9])", text.split("\n", 2)[2])


def pins(name: str) -> dict[str, str]:
    """The version of each package in a compiled file; two builds of one package count as two."""
    text = (ROOT / COMPILED[name]).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def asked_for(path: Path) -> set[str]:
    """The packages that a hand-written list names, by itself and by the lists it includes."""
    names = set()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            names |= asked_for(path.parent / line.removeprefix("-r ").strip())
        elif name := re.match(r"[\w.-]+", line):
            names.add(name[0])
    return names


@pytest.mark.parametrize("name", COMPILED)
def test_every_package_is_pinned_to_one_version_with_hashes(name):
    for block in blocks((ROOT / COMPILED[name]).read_text(encoding="utf-8")):
        assert re.match(r"[\w.-]+==\d[\w.]*( ;[^\n]*)? \\\n    --hash=sha256:[0-9a-f]{64}", block)


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_compiled_is_what_the_hand_written_list_asks_for(name):
    text = (ROOT / COMPILED[name]).read_text(encoding="utf-8")
    compiled_for_us = {
        re.match(r"[\w.-]+", block)[0] for block in blocks(text) if "-r requirements/" in block
    }
    assert compiled_for_us == asked_for(ROOT / "requirements" / f"{name}.in")


@pytest.mark.parametrize("name", ["serve", "dev", "gpu"])
def test_a_package_has_the_same_version_in_every_file(name):
    everything = pins("all")
    for package, version in pins(name).items():
        assert everything.get(package, version) == version, package


def test_serving_needs_nothing_that_the_whole_does_not_have_and_no_tensorflow():
    assert pins("serve").items() <= pins("all").items()
    assert not {"tensorflow", "tensorflow-cpu", "keras", "scikit-learn"} & pins("serve").keys()


def test_a_gpu_never_gets_the_cpu_build_as_well():
    assert "tensorflow-cpu" not in pins("gpu")
    assert pins("gpu")["tensorflow"] == pins("all")["tensorflow-cpu"]


@pytest.mark.parametrize("name", COMPILED)
def test_no_file_names_a_package_index(name):
    text = (ROOT / COMPILED[name]).read_text(encoding="utf-8")
    assert "://" not in text
    assert "-index" not in text
