"""Whether a new version becomes the current one: both measured now, on the same test photos."""

from pathlib import Path

import numpy as np

from car_damage import model_store, photos
from car_damage.dataset.arrays import Dataset, Row
from car_damage.errors import UserError
from car_damage.evaluation.calibration import Calibration
from car_damage.evaluation.inference import graph_logits
from car_damage.evaluation.metrics import compare
from car_damage.parallel import map_in_order
from car_damage.paths import located
from car_damage.release.export import Exported


def promote(models: Path, name: str, exported: Exported, dataset: Dataset, rule: str) -> str:
    """Make `name` current if `rule` (`auto`, `always` or `never`) says so; return a sentence why.

    `auto` keeps the current version only where it is right on significantly more test photos
    (McNemar's test); a tie goes to the new one.
    """
    current = model_store.current(models)
    if rule == "never":
        return f"{name} was not made current, as asked"
    if rule == "always" or current is None:
        model_store.use(models, name)
        return f"{name} is now the current version"
    try:
        current_predictions = _predictions(models, current, dataset)
    except (OSError, photos.UnusablePhoto, UserError) as error:
        how = f"python -m car_damage.model_store use {name}"
        return f"{name} was not compared with {current} ({error}); to use it: {how}"
    chosen = dataset.test.of_kind("photo")
    new_predictions = exported.calibration.predict(exported.test.logits[chosen])
    result = compare(dataset.test.y[chosen], new=new_predictions, current=current_predictions)
    beside = (
        f"against {current}: {result.only_new_right} test photos only the new one gets right, "
        f"{result.only_current_right} only the current one (McNemar p = {result.p_value:.3f})"
    )
    if result.worse:
        return f"{beside}; the current version stays"
    model_store.use(models, name)
    return f"{beside}; {name} is now the current version"


def _predictions(models: Path, version: str, dataset: Dataset) -> np.ndarray:
    """What a stored version answers to the test photos: int (n,)."""
    record = model_store.load_record(models, version)
    about = record.about
    images = _images(dataset, about["size"], about["fit"])
    logits = graph_logits(record.graph, images)
    return Calibration(about["temperature"], about["threshold"]).predict(logits)


def _images(dataset: Dataset, size: int, how: photos.Fit) -> np.ndarray:
    """The test photos as the version wants them: from the arrays, or else from the files."""
    test = dataset.test
    if (size, how) == (dataset.about["size"], dataset.about["fit"]):
        chosen: np.ndarray = test.X[test.of_kind("photo")]
        return chosen
    rows = [row for row in test.rows if row.kind == "photo"]

    def image(row: Row) -> photos.Photo:
        return photos.fit(photos.decode(located(row.path).read_bytes(), size), size, how)

    return np.stack(list(map_in_order(image, rows)))
