"""The project's folders: the defaults of all commands, from any working directory."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT / "data" / "raw"
PROCESSED = ROOT / "data" / "processed"
RETRAINING = ROOT / "data" / "retraining"
MODELS = ROOT / "models"
# Drawn cars have folders of their own, so that they never replace real data or models.
SAMPLE_RAW = ROOT / "data" / "sample" / "raw"
SAMPLE_PROCESSED = ROOT / "data" / "sample" / "processed"
SAMPLE_MODELS = MODELS / "sample"


def shown(path: Path) -> Path:
    """The path as a user would type it: relative if it is below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def stored(path: Path) -> str:
    """The path to write into a data set; `located` finds the file from any working directory.

    It is relative to the project, unless it is absolute and outside the project.
    """
    if path.is_absolute() and not path.is_relative_to(ROOT):
        return path.as_posix()
    return Path(os.path.relpath(path, ROOT)).as_posix()


def located(stored_path: str) -> Path:
    """The file of a path that `stored` returned."""
    return ROOT / stored_path
