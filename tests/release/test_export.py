"""An export that is worse than its Keras model is not used."""

from pathlib import Path

import pytest

from car_damage.decision import Decision
from car_damage.manifest import ExportComparison
from car_damage.release import export as room
from car_damage.release.export import Exported, export_checked
from tests.images import outputs_of


def exported(precision: str = "int8", lost: float = 0.0, moved: float = 0.0) -> Exported:
    comparison = ExportComparison(
        precision=precision,
        images=100,
        keras_accuracy=0.9,
        graph_accuracy=0.9 - lost,
        largest_logit_difference=moved,
    )
    nothing = outputs_of([])
    return Exported(Decision(temperature=2.0, threshold=0.5), nothing, nothing, comparison)


@pytest.mark.parametrize(
    ("lost", "moved", "precision"),
    [
        (0.005, 7.9, "int8"),
        (0.006, 0.1, "float16"),  # loses over half a point
        (0.0, 8.1, "float16"),  # changes one photo's calibrated log-odds by over four
    ],
)
def test_an_export_that_loses_accuracy_or_changes_a_probability_a_lot_uses_a_finer_precision(
    monkeypatch, capsys, lost, moved, precision
):
    def export(_model, _dataset, wanted, *_):
        return exported(wanted, lost, moved) if wanted == "int8" else exported(wanted)

    monkeypatch.setattr(room, "_export", export)
    result = export_checked(None, None, "int8", Path("model.tflite"), seed=0)
    assert result.comparison.precision == precision
    assert ("exporting in float16 instead" in capsys.readouterr().out) == (precision == "float16")
