"""Training without some sources, to see how good the model is on photos from new sources.

If each source shows one class only, the model may learn to recognise the source instead of the
damage. Photos held out at random cannot show this, because the model knows their sources. Sources
that are held out completely can.
"""

from collections.abc import Sequence

from car_damage.dataset.arrays import Dataset, Row
from car_damage.dataset.find import LABELS
from car_damage.dataset.split import SPLITS
from car_damage.dataset.views import rearranged
from car_damage.errors import UserError


def leave_out(dataset: Dataset, sources: Sequence[str]) -> Dataset:
    """A data set without `sources` in training, with their train and val photos as the test set.

    Copies of their photos are removed from training too. The test photos of all sources are left
    out, because they are reserved for the model trained on all sources. Without `sources`, the data
    set is returned unchanged. Raises `UserError` for a source that the data set does not have, and
    if a class has no photos left to train on.
    """
    if not sources:
        return dataset
    rows = [row for name in SPLITS for row in getattr(dataset, name).rows]
    check_sources(rows, sources)
    out = {row.group for row in rows if row.source in sources}

    def split_of(name: str, row: Row) -> str | None:
        if name == "test":
            return None
        if row.source in sources:
            return "test" if row.kind == "photo" else None
        return None if row.group in out else name

    return rearranged(dataset, split_of)


def check_sources(photos: Sequence[Row], sources: Sequence[str]) -> None:
    """Raise `UserError` for an unknown source, or if a class has no photos without `sources`."""
    known = sorted({photo.source for photo in photos})
    for source in sources:
        if source not in known:
            raise UserError(f"No photo has the source {source}. Choose from {', '.join(known)}.")
    left = {photo.label for photo in photos if photo.source not in sources}
    if missing := [label for label in LABELS if label not in left]:
        raise UserError(
            f"Without {' and '.join(sources)} there is no {missing[0]} photo to train "
            "on. Leave out fewer sources."
        )
