"""Write `model.keras`, which training can continue from, at half its usual size."""

import zipfile
from pathlib import Path
from zipfile import ZIP_DEFLATED

import keras
import numpy as np

SIGNIFICANT_BITS = 11  # as in half precision


def save(model: keras.Model, path: Path) -> None:
    """Write `model` without its optimiser, compressed, in a file that `keras.saving` can load."""
    plain = path.with_name(f"plain-{path.name}")
    keras.Model(model.input, model.output, name=model.name).save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", ZIP_DEFLATED) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    plain.unlink()


def round_weights(model: keras.Model) -> None:
    """Round each weight to the digits of half precision, which makes almost no difference in int8.

    The weights stay float32, because a variance may be outside the range of half precision. Their
    last bits are 0, so the file compresses to half its size.
    """
    model.set_weights([rounded(weight) for weight in model.get_weights()])


def rounded(values: np.ndarray) -> np.ndarray:
    """The nearest float32 with `SIGNIFICANT_BITS` significant bits."""
    fractions, exponents = np.frexp(values)
    whole = np.round(np.ldexp(fractions, SIGNIFICANT_BITS))
    return np.ldexp(whole, exponents - SIGNIFICANT_BITS).astype(np.float32)
