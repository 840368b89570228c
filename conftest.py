"""What several files of tests share."""

import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests import tiny_model
from tests.project import move_project

# Hypothesis limits the time of its examples. On a shared machine such a limit fails good code.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="module")
def _float32():
    """Take back the precision that a test trained in, which Keras keeps for the whole process."""
    yield
    if keras := sys.modules.get("keras"):
        keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="session")
def tiny_graph() -> bytes:
    """The tiny model's exported graph; made once, since TensorFlow takes seconds to start."""
    return tiny_model.graph_bytes()


@pytest.fixture
def models(tmp_path: Path, tiny_graph: bytes) -> Path:
    """A models folder of its own for the test, with the tiny version as the current one."""
    from car_damage import model_store

    folder = tmp_path / "models"
    model_store.use(folder, tiny_model.add_version(folder, tiny_graph))
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project of its own for the test, whose folders are the commands' defaults."""
    move_project(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def run(project: Path, models: Path) -> Callable[..., int]:
    """Run predict.py in a project with the tiny model; returns its exit code."""
    import predict
    from car_damage.errors import exit_code

    def run(*arguments: str | Path) -> int:
        return exit_code(lambda: predict.main([str(argument) for argument in arguments]))

    return run
