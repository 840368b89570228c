"""Programs that tests need and that are not in a Python package."""

import glob
import os
import shutil

import pytest


def program(name: str, package: str, folders: str = "") -> str:
    """Return where it is: on the PATH, or in a folder that matches the pattern `folders`.

    If it is missing, this skips the test on a laptop and fails it in CI.
    """
    others = os.pathsep.join(sorted(glob.glob(folders), reverse=True))
    found = shutil.which(name) or shutil.which(name, path=others)
    if found is None:
        missing = f"needs {name}: apt-get install {package}"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(missing)
    return found
