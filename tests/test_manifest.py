"""`model.json`: read completely or refused, also from older versions of the program."""

import json
import re

import pytest

from car_damage.decision import Decision
from car_damage.manifest import Manifest
from car_damage.photo_warnings import WarningLimits
from tests.tiny_model import VERSION

MANIFEST = Manifest(version=VERSION, size=64, decision=Decision(temperature=1.5, threshold=0.25))
ESTIMATE = {"value": 0.9, "low": 0.8, "high": 1.0}
FORMAT_1 = {
    "version": VERSION,
    "size": 64,
    "fit": "squeeze",
    "labels": ["not_damaged", "damaged"],
    "temperature": 1.5,
    "threshold": 0.3364777843152382,
    "review_band": [0.05576, 0.97179],
    "doubt": {"brightness": 100.0},
    "figures": {
        "photos": {"count": 10, "missed": ESTIMATE, "cleared": ESTIMATE},
        "data_folders": {"data": {"count": 5, "accuracy": ESTIMATE}},
        "left_out": {"missed": {"count": 5, "accuracy": ESTIMATE, "version": "another"}},
        "leaks": {"accuracy": 0.9},
    },
    "files": {},
}


def test_reads_what_it_has_written():
    again = Manifest.from_json(MANIFEST.to_json())
    assert again == MANIFEST
    assert again.to_json() == MANIFEST.to_json()


def test_a_version_of_format_1_still_loads():
    manifest = Manifest.from_json(json.dumps(FORMAT_1))
    assert manifest.decision == Decision(
        temperature=1.5, threshold=0.3365, review_band=(0.0558, 0.9718)
    )
    assert manifest.metrics.photos.false_negative_rate.value == 0.9
    assert manifest.metrics.photos.specificity.value == 0.9
    assert manifest.metrics.data_folders.keys() == {"data"}  # a folder's name stays
    assert manifest.warning_limits == WarningLimits(brightness=100)  # the others came later


def test_a_version_still_loads_that_measured_other_versions_on_held_out_sources():
    photos = {"count": 10, "accuracy": ESTIMATE}
    held_out = {"dealers": {"count": 5, "accuracy": ESTIMATE, "version": "another"}}
    metrics = {"photos": photos, "held_out_sources": held_out}
    raw = json.loads(MANIFEST.to_json()) | {"metrics": metrics}
    assert Manifest.from_json(json.dumps(raw)).metrics.photos.count == 10


def test_a_version_still_loads_that_was_trained_on_images_of_growing_size():
    settings = {"unfreeze": "conv1", "epochs": 2, "sides": [64, 96], "learning_rate": 1e-3}
    raw = json.loads(MANIFEST.to_json()) | {"settings": settings | {"batch_size": 8, "seed": 0}}
    assert Manifest.from_json(json.dumps(raw)).settings.epochs == 2


def decided(**changes) -> dict:
    return {"decision": {"temperature": 1.0, "threshold": 0.5} | changes}


def limited(**limits) -> dict:
    return {"warning_limits": limits}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"colour": "red"},
            "it has the unknown entry colour, from another program version",
        ),
        ({"metrics": {"beauty": 1}}, "it has the unknown entry metrics.beauty"),
        ({"format": 3}, "it has format 3, but this program reads 2"),
        ({"size": "large"}, "its entry size is wrong"),
        ({"metrics": []}, "metrics is not a JSON object"),
        ({"decision": {"temperature": 1.0}}, "it lacks the entry decision.threshold"),
        ({"size": True}, "its entry size is wrong"),
        (decided(threshold="0.5"), "its entry decision.threshold is wrong"),
        (decided(threshold=1.5), "its entry decision.threshold is wrong"),
        (decided(temperature=None), "its entry decision.temperature is wrong"),
        (decided(temperature=0), "its entry decision.temperature is wrong"),
        (decided(temperature=float("nan")), "it contains NaN"),
        (decided(threshold=float("inf")), "it contains Infinity"),
        (decided(review_band=["a", "b"]), "its entry decision.review_band.0 is wrong"),
        (decided(review_band=[0.9, 0.1]), "its low end is above its high end"),
        ({"files": ["a"]}, "its entry files is wrong"),
        ({"files": {"model.tflite": 5}}, "its entry files.model.tflite is wrong"),
        ({"files": {"model.tflite": "abc"}}, "its entry files.model.tflite is wrong"),
        ({"files": {"../../etc/passwd": "0" * 64}}, "its entry files.../../etc/passwd.[key]"),
        (limited(components="x"), "its entry warning_limits.components is wrong"),
        (limited(components={"x": 1}), "it is not a matrix in base64"),
        (limited(components={"shape": [1, 1], "float16": "AH4="}), "a matrix of finite numbers"),
        ({"backbone": "\ud800"}, "it is not JSON"),
    ],
)
def test_rejects_unknown_entries_and_wrong_values(change, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Manifest.from_json(json.dumps(json.loads(MANIFEST.to_json()) | change))


def test_rejects_a_version_made_with_a_removed_option():
    with pytest.raises(ValueError, match="--fit crop"):
        Manifest.from_json(json.dumps(FORMAT_1 | {"fit": "crop"}))


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"size": 1e999}']
    + [
        json.dumps(FORMAT_1 | change)
        for change in (
            {"threshold": "0.5"},
            {"review_band": "ab"},
            {"labels": ["damaged", "not_damaged"]},
            {"figures": {"data_folders": 5}},
        )
    ],
)
def test_rejects_any_nonsense_with_a_value_error(text):
    with pytest.raises(ValueError, match=r"\bits?\b"):
        Manifest.from_json(text)


def test_a_manifest_is_immutable():
    with pytest.raises(ValueError, match="frozen"):
        MANIFEST.size = 128
