"""The pinned requirements are consistent and match the short lists in requirements/."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = {
    "all": "requirements.txt",
    "serve": "requirements-serve.txt",
    "dev": "requirements-dev.txt",
    "gpu": "requirements-gpu.txt",
    "buckets": "requirements-buckets.txt",
    "cluster": "requirements-cluster.txt",
}
TEXTS = {name: (ROOT / file).read_text(encoding="utf-8") for name, file in COMPILED.items()}
# Each requirement with its hashes and the comment on who asked for it
BLOCKS = {
    name: re.split(r"\n(?=[a-zA-Z0-9])", text.split("\n", 2)[2]) for name, text in TEXTS.items()
}
PINS = {
    name: dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)) for name, text in TEXTS.items()
}

every_file = pytest.mark.parametrize("name", COMPILED)


def asked_for(path: Path) -> set[str]:
    """The packages that a short list names, with those of the lists it includes."""
    text = path.read_text(encoding="utf-8")
    names = set(re.findall(r"^\w[\w.-]*", text, re.MULTILINE))
    included = re.findall(r"^-r (\S+)", text, re.MULTILINE)
    return names.union(*(asked_for(path.parent / other) for other in included))


@every_file
def test_a_compiled_file_has_all_packages_of_its_short_list(name):
    ours = {block.partition("==")[0] for block in BLOCKS[name] if "-r requirements/" in block}
    assert ours == asked_for(ROOT / "requirements" / f"{name}.in")


@pytest.mark.parametrize(
    ("name", "others"),
    [
        *[(name, "all") for name in ("serve", "dev", "gpu", "buckets", "cluster")],
        *[("buckets", "serve"), ("cluster", "serve"), ("cluster", "buckets"), ("dev", "cluster")],
    ],
)
def test_a_package_has_the_same_version_in_files_that_are_installed_together(name, others):
    assert {pin for pin in PINS[name].items() if pin[0] in PINS[others]} <= PINS[others].items()


def test_only_clusters_and_tests_need_ray():
    assert {name for name, pins in PINS.items() if "ray" in pins} == {"cluster", "dev"}


def test_serving_needs_no_tensorflow_and_a_gpu_gets_no_cpu_build():
    assert PINS["serve"].items() <= PINS["all"].items()
    assert not {"tensorflow", "tensorflow-cpu", "keras", "scikit-learn"} & PINS["serve"].keys()
    assert "tensorflow-cpu" not in PINS["gpu"]
    assert PINS["gpu"]["tensorflow"] == PINS["all"]["tensorflow-cpu"]
