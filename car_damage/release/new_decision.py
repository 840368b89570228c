"""A version with the network of another one but a new threshold and review band."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from car_damage import model_store
from car_damage.evaluation.comparison import COMPARISON
from car_damage.evaluation.predictions import PREDICTIONS, Predictions, write_predictions
from car_damage.manifest import Metrics, WeightsOrigin

# Files with results of the earlier decision
OUTDATED = (model_store.MANIFEST, PREDICTIONS, COMPARISON, "report.html")


def add_with_decision(
    models: Path, record: model_store.Record, predictions: Predictions, metrics: Metrics
) -> str:
    """Add a copy of a version with the decision of `predictions`; return the copy's name.

    The metrics of the original do not apply to the new decision. So the copy has the `predictions`
    and `metrics` on the user's photos instead. It has no training settings, because it was not
    trained.
    """
    now = datetime.now(UTC)
    name = model_store.new_version_name(now)
    earlier = record.manifest.metrics
    of_the_network = {each: getattr(earlier, each) for each in ("warnings", "effective_dimension")}
    manifest = record.manifest.model_copy(
        update={
            "version": name,
            "created": now.isoformat(timespec="seconds"),
            "weights": WeightsOrigin(source=f"{record.version}/{model_store.KERAS_MODEL}"),
            "settings": None,
            "decision": predictions.decision,
            "metrics": metrics.model_copy(update=of_the_network),
        }
    )
    with model_store.add(models, name) as folder:
        kept = shutil.ignore_patterns(*OUTDATED)
        shutil.copytree(record.folder, folder, ignore=kept, dirs_exist_ok=True)
        (folder / model_store.MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        write_predictions(folder / PREDICTIONS, [predictions])
    return name
