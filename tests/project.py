"""An empty project for tests, whose folders are the defaults of the commands."""

from pathlib import Path

import pytest

from car_damage import paths


def move_project(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Have all default folders be below `folder`."""
    root = paths.ROOT
    for name, path in list(vars(paths).items()):
        if isinstance(path, Path):
            monkeypatch.setattr(paths, name, folder / path.relative_to(root))
