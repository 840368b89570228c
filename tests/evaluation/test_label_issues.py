"""Photos whose label looks wrong, with made-up features that separate the classes."""

import csv

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from car_damage.dataset.arrays import Dataset
from car_damage.evaluation.label_issues import find_label_issues, write_label_issues
from tests.images import row, split_of

PROBE = make_pipeline(LogisticRegression())
PER_SPLIT = 40


def a_data_set(wrong, groups=None):
    """Three splits, each second photo damaged; of those in `wrong`, by path, the label is not.

    These are plain cases of their true class: confident learning suspects only what is told from
    its label more surely than photos are on average.
    """
    splits, features = [], {}
    rng = np.random.default_rng(0)
    for name in ("train", "val", "test"):
        rows, points = [], []
        for number in range(PER_SPLIT):
            path = f"/{name}/{number}.jpg"
            damaged = number % 2 == 1
            label = "damaged" if damaged != (path in wrong) else "not-damaged"
            group = (groups or {}).get(path, path)
            rows.append(row(number, label, path, split=name, group=group))
            middle, spread = (5, 0) if path in wrong else (3, 1)
            points.append(rng.normal(middle if damaged else -middle, spread, 4))
        splits.append(split_of(rows))
        features[name] = np.array(points, np.float32)
    return Dataset(*splits, {}), features


def test_exactly_the_swapped_labels_of_all_splits_are_found():
    wrong = {"/train/3.jpg", "/val/8.jpg", "/test/11.jpg"}
    issues = find_label_issues(*a_data_set(wrong), PROBE, seed=0)
    assert {issue.path for issue in issues} == wrong
    by_path = {issue.path: (issue.label, issue.suggested) for issue in issues}
    assert by_path["/train/3.jpg"] == ("not-damaged", "damaged")
    assert by_path["/val/8.jpg"] == ("damaged", "not-damaged")


def test_the_most_suspicious_comes_first_and_quality_is_the_probability_of_its_label():
    dataset, features = a_data_set({"/train/3.jpg", "/train/5.jpg", "/test/7.jpg"})
    features["train"][5] = 9
    issues = find_label_issues(dataset, features, PROBE, seed=0)
    qualities = [issue.quality for issue in issues]
    assert qualities == sorted(qualities)
    assert issues[0].path == "/train/5.jpg"
    assert 0 <= qualities[0] < qualities[-1] < 0.5


def test_copies_with_the_same_wrong_label_are_found():
    # All photos at one place in feature space are copies with a wrong label. If they were in
    # different folds, the classifier would learn the wrong label from the other copies.
    wrong = {f"/train/{number}.jpg" for number in range(1, 12, 2)}
    dataset, features = a_data_set(wrong, groups=dict.fromkeys(wrong, "copies"))
    features = {name: np.pad(points, ((0, 0), (0, 1))) for name, points in features.items()}
    features["train"][1:12:2, -1] = 5  # what only they show
    issues = find_label_issues(dataset, features, PROBE, seed=0)
    assert {issue.path for issue in issues} == wrong


def test_close_ups_are_left_out():
    dataset, features = a_data_set({"/train/3.jpg"})
    dataset.train.rows[3] = row(3, "not-damaged", "/train/3.jpg", "close_up")
    assert find_label_issues(dataset, features, PROBE, seed=0) == []


@pytest.mark.parametrize("photos", [2, 3])
def test_few_photos_of_a_class_are_enough(photos):
    _, features = a_data_set(set())
    labels = ["damaged"] * photos + ["not-damaged"] * (PER_SPLIT - photos)
    nothing, none = split_of([]), features["val"][:0]
    train = split_of([row(number, label) for number, label in enumerate(labels)])
    features = {"train": features["train"], "val": none, "test": none}
    find_label_issues(Dataset(train, nothing, nothing, {}), features, PROBE, seed=0)


def test_the_table_keeps_the_order_and_can_be_read_back(tmp_path):
    issues = find_label_issues(*a_data_set({"/train/3.jpg", "/val/8.jpg"}), PROBE, seed=0)
    write_label_issues(tmp_path, issues)
    with (tmp_path / "label_issues.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["path"] for line in lines] == [issue.path for issue in issues]
    assert lines[0].keys() == {"path", "label", "suggested", "quality"}
