"""The project's folders. They are the defaults of all commands, wherever these are started."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT / "data" / "raw"
PROCESSED = ROOT / "data" / "processed"
MODELS = ROOT / "models"
# Drawn cars have folders of their own, so that they never replace real data or models.
SAMPLE_RAW = ROOT / "data" / "sample" / "raw"
SAMPLE_PROCESSED = ROOT / "data" / "sample" / "processed"
SAMPLE_MODELS = MODELS / "sample"


def shown(path: Path) -> Path:
    """The path as the user would type it: relative if it is below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def stored(path: Path) -> str:
    """The path as data sets store it, for `located` to find it from any working directory.

    Relative to the project, unless it is absolute and outside: no other path names the folders
    above the project.
    """
    if path.is_absolute() and not path.is_relative_to(ROOT):
        return path.as_posix()
    return Path(os.path.relpath(path, ROOT)).as_posix()


def located(stored_path: str) -> Path:
    """Where the file is that `stored` gave this path."""
    return ROOT / stored_path
