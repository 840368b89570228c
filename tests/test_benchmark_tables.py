"""The benchmarks' tables have ratios the right way round, and everyone gets the same validation."""

from dataclasses import replace

import numpy as np

from benchmarks import engines, training
from car_damage.dataset.arrays import Dataset, Row, Split


def measured(milliseconds: float, logit: float) -> engines.Measured:
    return engines.Measured(
        starts=[1.0],
        memory={"resident_mb": 1, "peak_mb": 2, "installed_mb": 3},
        rounds={count: [[milliseconds] * 3] for count in engines.THREADS},
        logits=np.array([logit]),
    )


def test_an_engine_that_needs_half_the_time_is_twice_as_fast_as_what_serves_now():
    results = {each: measured(4, 1.0) for each in engines.CONTESTANTS}
    results[engines.CONTESTANTS[-1]] = measured(2, 1.5)
    lines = engines.table(results, "LiteRT int8", meaningful=True).splitlines()
    assert "| 2.00, 2.00 |" in lines[-1]
    assert lines[-1].endswith("| 0.500, 0.500 |")
    assert "**LiteRT int8**" in "".join(lines)


def test_training_that_needs_a_quarter_of_the_time_is_four_times_as_soon():
    slow, soon = training.Mark("epoch 3", 0.91, 100, 200), training.Mark("the head", 0.9, 25, 40)
    assert training.ratio([slow], [soon], "seconds") == "4.0"
    assert training.ratio([slow], [soon], "processor") == "5.0"


def test_training_that_never_reaches_the_goal_gets_no_ratio():
    slow, failed = training.Mark("epoch 3", 0.91, 100, 200), training.Mark("epoch 6", 0.89, 25, 40)
    assert training.ratio([slow], [failed], "seconds") == "-"


def test_training_is_validated_on_photos_without_close_ups():
    rows = [Row(kind="photo"), Row(kind="close_up"), Row(kind="photo")]
    split = Split(np.arange(3), np.array([1, 0, 0], np.uint8), rows, size=1)
    dataset = Dataset(split, split, split, config=None)
    changed = training.without_val_close_ups(dataset)
    assert changed.val.stored.tolist() == [0, 2]
    assert changed.val.y.tolist() == [1, 0]
    assert changed.val.rows == [replace(row) for row in rows if row.kind == "photo"]
    assert changed.train is split
