"""Where photos come from: one dealer, one country, one phone app.

A model can learn the source instead of the damage if a source shows one class only. So photos know
their source: training weighs sources, and cross-source validation holds whole ones out.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from car_damage.errors import UserError

SOURCES = "sources.csv"  # in a raw folder; columns `folder`, relative to it, and `source`
RUN_LENGTH = 24  # consecutive numbers that are likely to be views of one car


def read_sources(raw_dir: Path) -> dict[Path, str]:
    """Read the `sources.csv` of a raw folder: the source of each folder that it names.

    Without the file there are none. Raises `UserError` for a folder that does not exist, and for a
    file that cannot be read.
    """
    path = raw_dir / SOURCES
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a mark first
            lines = [
                (line["folder"].strip(), line["source"].strip()) for line in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read: it needs the columns 'folder' and 'source', in UTF-8"
        ) from error
    for folder, source in lines:
        if not source:
            raise UserError(f"{path} names no source for the folder '{folder}'")
        if not (raw_dir / folder).is_dir():
            raise UserError(f"{path} names the folder '{folder}', which is not in {raw_dir}")
    return {raw_dir / folder: source for folder, source in lines}


def source_of(path: Path, class_folder: Path, raw_dir: Path, named: Mapping[Path, str]) -> str:
    """The source of a photo that lies below its class folder.

    It is the one that `named` (from `read_sources`) gives for the innermost folder round the photo;
    else the folder just below the class folder; else, for a photo in the class folder itself, the
    raw folder.
    """
    for folder in path.parents:
        if folder in named:
            return named[folder]
    below = path.relative_to(class_folder).parts
    return below[0] if len(below) > 1 else raw_dir.absolute().name


def run_of(source: str, path: str) -> str | None:
    """The run of numbered photos that a photo belongs to; None if its name ends in no number.

    Photos of one source whose names differ only in the number at their end, and whose numbers
    divided by `RUN_LENGTH` have the same whole part, are one run.
    """
    numbered = re.fullmatch(r"(.*?)(\d+)", Path(path).stem, re.ASCII | re.DOTALL)
    if not numbered:
        return None
    prefix, number = numbered.groups()
    return f"{source}/{prefix}/{int(number) // RUN_LENGTH}"
