"""What is known of an earlier `model.keras`, from the manifest beside it; no Keras is needed."""

from pathlib import Path

from car_damage import model_store
from car_damage.errors import UserError
from car_damage.manifest import Manifest


def manifest_beside(weights: str | None) -> Manifest | None:
    """The manifest of the version that `--weights` names a file of; None for other weights.

    Raises `UserError` for a `model.keras` that is missing, or whose manifest cannot be read.
    """
    if weights is None or not weights.endswith(".keras"):
        return None
    path = Path(weights)
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist; check --weights")
    try:
        text = (path.parent / model_store.MANIFEST).read_text(encoding="utf-8")
        return Manifest.from_json(text)
    except FileNotFoundError:
        return None  # a file that someone copied out of its version
    except ValueError as error:
        wrong = path.parent / model_store.MANIFEST
        raise UserError(f"{wrong} cannot be used: {error}; use other --weights") from error
