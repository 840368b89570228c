"""What an earlier retraining used, and whether the photos of an earlier training are here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from car_damage import model_store
from car_damage.dataset.arrays import read_table, write_table
from car_damage.errors import UserError
from car_damage.files import sha256_of
from car_damage.folders import files_below, why_skipped
from car_damage.model_store import Record
from car_damage.parallel import map_in_order
from car_damage.retraining.labels import Labelled

FEEDBACK_LIST = "feedback.csv"
SHARE_NEEDED = 0.5  # of the photos that a version was trained on; people may delete some of them


@dataclass(frozen=True)
class FeedbackRow:
    """A line of `feedback.csv`: a labelled photo, and what became of it."""

    sha256: str
    label: str
    outcome: str  # `used`, or the reason why the photo was left out
    contradicted: str  # `yes` if two answers about the file got different labels; the last counts


def check_training_photos(record: Record, raw_dirs: Sequence[Path]) -> None:
    """Raise `UserError` unless half of the photos that a version was trained on are here.

    Training without them would forget what they taught, and without the old test photos nobody
    could measure that.
    """
    learnt = model_store.trained_on(record.folder)
    if not learnt:
        raise UserError(
            f"It is unknown which photos {record.version} was trained on, so it cannot be "
            "retrained. Train a new version with run_pipeline.sh."
        )
    paths = [path for folder in raw_dirs if folder.is_dir() for path in files_below(folder)]
    here = set(map_in_order(sha256_of, [path for path in paths if not why_skipped(path)]))
    found = len(learnt & here)
    if found < SHARE_NEEDED * len(learnt):
        where = " and ".join(map(str, raw_dirs))
        raise UserError(
            f"Only {found:,} of the {len(learnt):,} photos that {record.version} was trained on "
            f"are in {where}, so nothing was trained; put them there, or choose their folder with "
            "--raw-dir."
        )


def new_labels(models: Path, retraining: Path, labelled: Iterable[Labelled]) -> list[Labelled]:
    """The photos whose label no finished retraining has seen.

    `retraining` is the folder with the list of the last one on this machine. If there is none, the
    list of the newest version in `models` counts.
    """
    seen = {(row.sha256, row.label) for row in _last_list(models, retraining)}
    return [each for each in labelled if (each.sha256, each.label) not in seen]


def write_list(folder: Path, rows: Sequence[FeedbackRow]) -> None:
    """Write `feedback.csv` into `folder`."""
    write_table(folder / FEEDBACK_LIST, rows, FeedbackRow)


def _last_list(models: Path, retraining: Path) -> list[FeedbackRow]:
    folders = [model_store.folder_of(models, version) for version in model_store.versions(models)]
    folders.append(retraining)
    lists = [folder / FEEDBACK_LIST for folder in folders if (folder / FEEDBACK_LIST).exists()]
    return read_table(lists[-1], FeedbackRow) if lists else []
