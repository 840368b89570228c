"""Training without some sources, to see how the model does on photos from elsewhere.

Where each source shows one class only, photos held out at random are of sources that the model
knows, and it may have learnt the source instead of the damage. Whole sources held out show it.
"""

from collections.abc import Sequence

from car_damage.dataset.arrays import Dataset, Row
from car_damage.dataset.find import LABELS
from car_damage.dataset.split import SPLITS
from car_damage.dataset.views import rearranged
from car_damage.errors import UserError


def leave_out(dataset: Dataset, sources: Sequence[str]) -> Dataset:
    """A data set to train without `sources` and to test on their training and validation photos.

    Copies of their photos leave training too. The test photos of all sources are left out, because
    they may only measure the model that is trained on all sources. Without `sources` the data set
    stays as it is. Raises `UserError` for a source that the data set does not have, and if no photo
    of a class is left to train on.
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
    """Raise `UserError` for a source that no photo has, or without which a class has no photo."""
    known = sorted({photo.source for photo in photos})
    for source in sources:
        if source not in known:
            raise UserError(f"no photo has the source {source}: choose from {', '.join(known)}")
    left = {photo.label for photo in photos if photo.source not in sources}
    if missing := [label for label in LABELS if label not in left]:
        raise UserError(
            f"without {' and '.join(sources)} there is no {missing[0]} photo to train "
            "on: leave out fewer sources"
        )
