"""Programs of the system that some tests need and no Python package brings."""

import os
import shutil

import pytest


def needed(name: str, where: str) -> str:
    """The program's path. Without it the test is skipped; in CI it fails, so that none is missed.

    `where` tells people where to get it.
    """
    path = shutil.which(name)
    if path is None and "CI" in os.environ:
        pytest.fail(f"{name} is missing: {where}")
    return path or pytest.skip(f"{name} is missing: {where}")
