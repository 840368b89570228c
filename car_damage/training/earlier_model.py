"""Read the manifest of an earlier `model.keras`, without loading Keras."""

from pathlib import Path

from car_damage import model_store
from car_damage.errors import UserError
from car_damage.manifest import Manifest


def manifest_beside(weights: str | None) -> Manifest | None:
    """The manifest of the version whose `model.keras` is `--weights`; None for other weights.

    Raises `UserError` if the `model.keras` is missing or its manifest cannot be read.
    """
    if weights is None or not weights.endswith(".keras"):
        return None
    path = Path(weights)
    if not path.is_file():
        raise UserError(f"The weights file {path} does not exist. Check --weights.")
    try:
        text = (path.parent / model_store.MANIFEST).read_text(encoding="utf-8")
        return Manifest.from_json(text)
    except FileNotFoundError:
        return None  # the file was copied out of its version
    except ValueError as error:
        wrong = path.parent / model_store.MANIFEST
        raise UserError(f"{wrong} cannot be used ({error}). Choose other --weights.") from error
