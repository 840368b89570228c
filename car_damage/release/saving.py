"""`model.keras`, to train on from, at half of its usual size."""

import zipfile
from pathlib import Path
from zipfile import ZIP_DEFLATED

import keras
import numpy as np

SIGNIFICANT_BITS = 11  # of a half-precision number


def save(model: keras.Model, path: Path) -> None:
    """Write `model` without its optimiser, compressed, in a file that `keras.saving` can load."""
    plain = path.with_name(f"plain-{path.name}")
    keras.Model(model.input, model.output, name=model.name).save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", ZIP_DEFLATED) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    plain.unlink()


def round_weights(model: keras.Model) -> None:
    """Keep as many digits of each weight as half precision has, which int8 hardly notices.

    The numbers stay float32, with their range: a variance may lie outside of half precision's.
    Their last bits are 0, so that they compress to half.
    """
    model.set_weights([rounded(weight) for weight in model.get_weights()])


def rounded(values: np.ndarray) -> np.ndarray:
    """The nearest float32 of `SIGNIFICANT_BITS`."""
    fractions, exponents = np.frexp(values)
    whole = np.round(np.ldexp(fractions, SIGNIFICANT_BITS))
    return np.ldexp(whole, exponents - SIGNIFICANT_BITS).astype(np.float32)
