"""An empty project for tests, whose folders are the defaults of the commands."""

import sys
from pathlib import Path

import pytest

from car_damage import paths


def move_project(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have all default folders be below `folder`."""
    root = paths.ROOT
    for name, path in list(vars(paths).items()):
        if isinstance(path, Path):
            monkeypatch.setattr(paths, name, folder / path.relative_to(root))


def in_project(folder: Path, code: str) -> list[str]:
    """A command that runs Python code in its own process, with all default folders below `folder`.

    The code can use `exit_code` of `car_damage.errors`. Start it in the project's root.
    """
    move = f"""
import sys
import sys
from pathlib import Path
from car_damage import paths
from car_damage.errors import exit_code
root = paths.ROOT
for name, path in list(vars(paths).items()):
    if isinstance(path, Path):
        setattr(paths, name, Path({str(folder)!r}) / path.relative_to(root))
"""
    return [sys.executable, "-c", move + code]
