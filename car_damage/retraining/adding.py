"""Add the labelled photos to a raw folder, without those that must not be trained on."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from car_damage import paths
from car_damage.dataset.find import find_photos
from car_damage.dataset.sources import is_feedback
from car_damage.model_store import Record
from car_damage.retraining import photo_files
from car_damage.retraining.doubts import reasons_against
from car_damage.retraining.labels import Labelled
from car_damage.retraining.past import FeedbackRow

USED = "used"
MISSING = "missing"  # the photo's file is not in KEEP_PHOTOS, or is not a photo


def add_labelled(
    record: Record, raw_dirs: Sequence[Path], labelled: Sequence[Labelled], kept: str, waiting: Path
) -> list[FeedbackRow]:
    """Add the photos to the first of `raw_dirs`; return what became of each.

    The other photos in `raw_dirs` show which labels look wrong. `kept` is KEEP_PHOTOS. New photos
    are in the folder `waiting`, which must not exist before, until they are checked. So no doubtful
    one gets into a raw folder. Raises `UserError` like `fetch` and `find_photos`.
    """
    raw = raw_dirs[0]
    present = photo_files.present(raw)
    absent = [each for each in labelled if (each.sha256, each.label) not in present]
    missing = photo_files.fetch(kept, waiting, absent)
    fetched = photo_files.present(waiting)
    photos = present | fetched
    old = [row for row in find_photos(raw_dirs) if not is_feedback(row.path)]
    sure = {each.sha256 for each in labelled if each.sure}
    against = reasons_against(record, old, photo_files.rows_of(photos), sure)
    outcomes = {key: against.get(paths.stored(path), USED) for key, path in photos.items()}
    outcomes |= {(each.sha256, each.label): MISSING for each in missing}
    for key, path in present.items():
        if outcomes[key] != USED:
            path.unlink()
    photo_files.add(raw, {key: path for key, path in fetched.items() if outcomes[key] == USED})
    shutil.rmtree(waiting, ignore_errors=True)
    return [
        FeedbackRow(
            sha256=each.sha256,
            label=each.label,
            outcome=outcomes[each.sha256, each.label],
            contradicted="yes" if each.contradicted else "no",
        )
        for each in labelled
    ]


def lines_about(rows: Sequence[FeedbackRow]) -> list[str]:
    """Say how many photos were used and why others were left out, each reason on a line."""
    left_out = [row.outcome for row in rows if row.outcome != USED]
    lines = [f"labelled photos to train and test with: {len(rows) - len(left_out):,}"]
    lines += [f"left out: {left_out.count(reason):,} {reason}" for reason in sorted({*left_out})]
    if contradicted := sum(row.contradicted == "yes" for row in rows):
        lines.append(f"people disagreed on {contradicted:,}; the last label counts")
    return lines
