"""How a recipe does on a source that it was not trained on.

Where each source shows one class only, photos held out at random are of sources that the model
knows, and it may have learnt the source instead of the damage. Whole folders held out show it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from car_damage import model_store
from car_damage.dataset.arrays import Dataset, Row
from car_damage.dataset.split import SPLITS
from car_damage.dataset.views import rearranged
from car_damage.errors import UserError
from car_damage.manifest import Manifest, MetricSet


def leave_out(dataset: Dataset, folders: Sequence[str]) -> Dataset:
    """A data set to train without `folders` and to test on all of their photos.

    `folders` are names, or ends of paths, such as `dealers-uk` or `close-ups/damaged`; what lies
    below them counts. Copies of their photos leave training too. Without `folders` the data set
    stays as it is; raises `UserError` for one that holds no photo, and where nothing of a class
    would be left to train on.
    """
    if not folders:
        return dataset
    rows = [row for name in SPLITS for row in getattr(dataset, name).rows]
    for folder in folders:
        if not any(_lies_in(row, [folder]) for row in rows):
            raise UserError(
                f"no photo of the data set lies in a folder {folder}: check --leave-out"
            )
    out = {row.group for row in rows if _lies_in(row, folders)}

    def split_of(name: str, row: Row) -> str | None:
        if _lies_in(row, folders) and row.kind == "photo":
            return "test"
        return None if name == "test" or row.group in out else name

    return rearranged(dataset, split_of)


def held_out_metrics(models: Path, backbone: str, fingerprint: str) -> dict[str, MetricSet] | None:
    """How versions that were trained without a folder do on it, by folder.

    They are those in `models` of the same backbone and data set; of two without the same folder,
    the newer one counts. None where there are none.
    """
    found = {
        folder: metrics.model_copy(update={"version": manifest.version})
        for manifest in _manifests(models)
        if manifest.settings and manifest.settings.leave_out
        if manifest.backbone == backbone
        if manifest.dataset and manifest.dataset.fingerprint == fingerprint
        for folder, metrics in (manifest.metrics.data_folders or {}).items()
    }
    return dict(sorted(found.items())) or None


def _manifests(models: Path) -> Iterable[Manifest]:
    """Of all versions, the oldest first; a broken one is passed over."""
    for version in model_store.versions(models):
        try:
            yield model_store.load_record(models, version).manifest
        except UserError:
            continue


def _lies_in(row: Row, folders: Iterable[str]) -> bool:
    path = f"/{Path(row.path).parent.as_posix()}/"
    return any(f"/{folder.strip('/')}/" in path for folder in folders)
