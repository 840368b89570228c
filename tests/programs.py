"""Programs that tests need and that are not in a Python package."""

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """Where it lies. Without it, skips the test on a laptop and fails it in CI."""
    found = shutil.which(name)
    if found is None:
        missing = f"needs {name}: apt-get install {package}"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    return found
