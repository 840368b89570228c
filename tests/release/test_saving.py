"""`model.keras` is smaller than Keras writes it and loads as usual."""

import keras
import numpy as np

from car_damage.release import saving
from car_damage.training import classifier as classifiers
from car_damage.training.backbones import named


def test_a_saved_model_takes_about_half_the_space_and_loads_unchanged(tmp_path):
    model = classifiers.build(named("tiny"))
    saving.round_weights(model)
    saving.save(model, tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.save(tmp_path / "plain.keras")
    sizes = [(tmp_path / name).stat().st_size for name in ("model.keras", "plain.keras")]
    assert sizes[0] < 0.6 * sizes[1]


def test_rounding_keeps_the_digits_of_half_precision_and_the_range_of_float32():
    values = np.float32([0, 1, -0.1, 1 / 3, 3e-30, 1e30, 100_000])
    rounded = saving.rounded(values)
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, values, rtol=2**-saving.SIGNIFICANT_BITS)
    usual = np.float32([0, 1, -0.1, 1 / 3])
    np.testing.assert_array_equal(saving.rounded(usual), usual.astype(np.float16))
