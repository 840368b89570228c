"""The writer: batches, a database that goes away and comes back, and entries that find no room."""

import logging
import threading
import time

import prometheus_client
import pytest
from prometheus_client import values

from car_damage.records import writer
from car_damage.records.metrics import RecordMetrics, waits_since_before
from car_damage.records.writer import Writer
from car_damage.service.shared_metrics import SharedMetrics
from tests.gunicorn_process import wait_until
from tests.records.entries import entry


class Gone(Exception):  # noqa: N818 - a state, not a mistake
    """The database does not work now."""


class Database:
    """A stand-in that keeps batches, and fails as it is told."""

    def __init__(self):
        self.batches = []
        self.error = None
        self.refused = set()  # ids that can never be stored
        self.registry = prometheus_client.CollectorRegistry()

    def write(self, entries):
        if self.error is not None:
            raise self.error
        if any(one.row["id"] in self.refused for one in entries):
            raise ValueError("an entry that no database takes")
        self.batches.append([one.row["id"] for one in entries])

    def count(self, name):
        return self.registry.get_sample_value(f"car_damage_records_{name}")

    def waits_since_before(self, moment):
        return waits_since_before(self.registry, moment)


@pytest.fixture
def base(monkeypatch):
    monkeypatch.setattr(writer, "AGAIN_AFTER", 0.02)
    return Database()


def writer_of(base):
    def reason(error):
        return "it is gone" if isinstance(error, Gone) else None

    return Writer(base.write, reason, RecordMetrics(base.registry))


def test_entries_that_come_soon_after_each_other_are_written_together(base):
    made = writer_of(base)
    entries = [entry() for _ in range(5)]
    assert all(made.put(one) for one in entries)
    assert made.flush(5)
    assert base.batches == [[one.row["id"] for one in entries]]
    assert base.count("written_total") == 5


def test_what_comes_while_the_database_is_gone_is_written_when_it_is_back(base, caplog):
    caplog.set_level(logging.INFO)
    base.error = Gone()
    made = writer_of(base)
    entries = [entry() for _ in range(3)]
    for one in entries:
        assert made.put(one)
    assert not made.flush(0.5)
    assert base.count("waiting") == 3
    base.error = None
    assert made.flush(5)
    assert base.batches == [[one.row["id"] for one in entries]]
    messages = [record.message for record in caplog.records]
    assert messages == [
        "answers are not recorded: it is gone (3 wait, 0 lost)",  # once a minute, not at each try
        "the records are written again",
    ]


def test_what_finds_no_room_is_counted_as_lost_and_logged(base, monkeypatch, caplog):
    monkeypatch.setattr(writer, "MOST_WAITING", 2)
    base.error = Gone()
    made = writer_of(base)
    assert [made.put(entry()) for _ in range(5)] == [True, True, False, False, False]
    time.sleep(0.5)
    assert base.count("lost_total") == 3
    assert "answers are not recorded: it is gone (2 wait, 3 lost)" in caplog.text
    base.error = None
    assert made.flush(5)


def test_photos_that_wait_have_a_limit_of_memory_but_one_always_finds_room(
    base, monkeypatch, caplog
):
    monkeypatch.setattr(writer, "MOST_BYTES", 10_000)
    base.error = Gone()
    made = writer_of(base)
    assert made.put(entry(photo=bytes(50_000)))
    assert not made.put(entry(photo=bytes(50_000)))
    base.error = None
    wait_until(lambda: "the database is too slow (0 wait, 1 lost)" in caplog.text)


def test_an_entry_that_can_never_be_stored_does_not_hold_up_the_others(base, caplog):
    made = writer_of(base)
    entries = [entry() for _ in range(3)]
    base.refused = {entries[1].row["id"]}
    for one in entries:
        made.put(one)
    assert made.flush(5)
    assert base.batches == [[entries[0].row["id"]], [entries[2].row["id"]]]
    assert base.count("lost_total") == 1
    assert caplog.messages == ["an answer cannot be recorded"]  # the database is not to blame
    assert caplog.records[0].exc_info


def test_a_database_that_hangs_delays_no_answer_and_loses_none(base, monkeypatch):
    going_on = threading.Event()
    write = base.write
    monkeypatch.setattr(base, "write", lambda entries: going_on.wait(30) and write(entries))
    made = writer_of(base)
    entries = [entry() for _ in range(3)]
    for one in entries:
        begun = time.monotonic()
        assert made.put(one)
        assert time.monotonic() - begun < 1
    assert base.count("waiting") == 3
    assert not made.flush(0.5)
    first = entries[0].row["time"].timestamp()
    assert not base.waits_since_before(first)
    assert base.waits_since_before(first + 0.001)
    going_on.set()
    assert made.flush(5)
    assert base.batches == [[one.row["id"] for one in entries]]
    assert not base.waits_since_before(time.time() + 60)


def test_what_still_waits_when_the_process_ends_is_counted_and_logged(base, monkeypatch, caplog):
    monkeypatch.setattr(writer, "AT_THE_END", 0.5)
    base.error = Gone()
    made = writer_of(base)
    for _ in range(3):
        made.put(entry())
    made.close()
    assert base.count("lost_total") == 3
    ending = "answers are not recorded, and this process ends: it is gone (3 lost)"
    assert caplog.messages[-1] == ending
    base.error = None
    assert made.flush(5)
    made.close()
    assert base.count("lost_total") == 3


def test_an_answer_that_waits_in_another_worker_is_known(monkeypatch):
    shared = SharedMetrics(slots=2)
    workers = []
    for slot in (0, 1):
        monkeypatch.setattr(values, "ValueClass", shared.value_class(slot))
        workers.append(RecordMetrics(prometheus_client.CollectorRegistry()))
    registry = prometheus_client.CollectorRegistry()
    registry.register(shared)
    assert not waits_since_before(registry, 2000)
    workers[1].waiting_since.set(1000)
    assert waits_since_before(registry, 2000)
    assert not waits_since_before(registry, 1000)
