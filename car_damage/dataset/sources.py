"""The source of each photo: one dealer, one country, one phone app.

If all photos of a source have the same class, a model can learn the source instead of the damage.
So each photo has a source: training weights sources, and cross-source validation holds out whole
sources.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from car_damage.errors import UserError

SOURCES = "sources.csv"  # in a raw folder; columns `folder`, relative to it, and `source`
FEEDBACK = "feedback"  # in a class folder; photos that people have labelled, see retrain.py
FEEDBACK_NAME = re.compile(r"(\d+)-([0-9a-f]{64})", re.ASCII)  # the number of a run, and a SHA-256
RUN_LENGTH = 24  # photos with numbers this close are likely to be views of one car


def read_sources(raw_dir: Path) -> dict[Path, str]:
    """Read the `sources.csv` of a raw folder: the source of each folder in it.

    Returns nothing if the file is missing. Raises `UserError` if it cannot be read, or if one of
    its folders does not exist.
    """
    path = raw_dir / SOURCES
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a BOM
            lines = [
                (line["folder"].strip(), line["source"].strip()) for line in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise UserError(
            f"Cannot read {path}. Save it in UTF-8 with the columns 'folder' and 'source'."
        ) from error
    for folder, source in lines:
        if not source:
            raise UserError(f"{path} has no source for the folder '{folder}'. Add one.")
        if not (raw_dir / folder).is_dir():
            raise UserError(
                f"The folder '{folder}' in {path} does not exist in {raw_dir}. Correct its name."
            )
    return {raw_dir / folder: source for folder, source in lines}


def source_of(path: Path, class_folder: Path, raw_dir: Path, named: Mapping[Path, str]) -> str:
    """The source of a photo in a class folder.

    If `named` (from `read_sources`) has a folder that contains the photo, the innermost one counts.
    Otherwise the source is the name of the folder just below the class folder, or, for a photo in
    the class folder itself, the name of the raw folder.
    """
    for folder in path.parents:
        if folder in named:
            return named[folder]
    below = path.relative_to(class_folder).parts
    return below[0] if len(below) > 1 else raw_dir.absolute().name


def is_feedback(path: str | Path) -> bool:
    """Whether retraining put this file into a data set: `feedback/<run>-<SHA-256>.<ending>`."""
    file = Path(path)
    return file.parent.name == FEEDBACK and bool(FEEDBACK_NAME.fullmatch(file.stem))


def run_of(source: str, path: str) -> str | None:
    """The run of numbered photos that a photo belongs to; None if its name ends in no number.

    A run contains photos of one source whose names differ only in the number at their end, and
    whose numbers divided by `RUN_LENGTH` have the same whole part. The names of labelled photos
    from the service begin with their run.
    """
    if is_feedback(path):
        return f"{source}/{Path(path).stem.split('-')[0]}"
    numbered = re.fullmatch(r"(.*?)(\d+)", Path(path).stem, re.ASCII | re.DOTALL)
    if not numbered:
        return None
    prefix, number = numbered.groups()
    return f"{source}/{prefix}/{int(number) // RUN_LENGTH}"
