"""Logging never waits for the reader of the log."""

import json
import logging
import os
import sys
import threading
from contextlib import suppress

import pytest

from car_damage.service import log_writer, logs
from car_damage.service.log_writer import LineWriter, StdoutHandler

LIMIT = 10_000


@pytest.fixture
def pipe(monkeypatch):
    """The two ends of a pipe, for the reader and the writer of the log."""
    monkeypatch.setattr(log_writer, "PATIENCE", 0.2)
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # closed in the test
            os.close(end)


def read_lines(end: int, until: bytes) -> list[str]:
    """Read lines from the pipe up to one that contains `until`."""
    content = b""
    while until not in content or not content.endswith(b"\n"):
        content += os.read(end, 2**16)
    return content.decode().splitlines()


def test_lines_are_written_completely_and_in_order(pipe):
    reader, writer = pipe
    lines = LineWriter(writer)
    for number in range(100):
        lines.put(f"line {number}")
    lines.flush()
    assert read_lines(reader, b"line 99\n") == [f"line {number}" for number in range(100)]
    assert lines.lost == 0


def test_a_log_that_nobody_reads_blocks_nothing_and_reports_its_lost_lines(pipe):
    reader, writer = pipe
    handler = StdoutHandler()
    handler.writer = LineWriter(writer, LIMIT)
    handler.setFormatter(logs.JsonFormatter())
    for number in range(1_000):
        handler.handle(logging.makeLogRecord({"msg": f"{number:0100}", "levelname": "INFO"}))
    assert handler.writer.lost > 0
    handler.flush()  # gives up
    received = []
    reading = threading.Thread(target=lambda: received.extend(read_lines(reader, b"goes on")))
    reading.start()
    while handler.writer._lines:
        handler.flush()
    handler.handle(logging.makeLogRecord({"msg": "goes on", "levelname": "INFO"}))
    reading.join()
    messages = [json.loads(line)["message"] for line in received]
    reports = [message for message in messages if "log lines were lost" in message]
    assert sum(int(message.split()[0]) for message in reports) == handler.writer.lost
    assert len(messages) - len(reports) + handler.writer.lost == 1_001
    assert reports
    kept = [message for message in messages if message not in reports]
    assert kept == [*sorted(kept[:-1]), "goes on"]


def test_a_log_without_a_reader_blocks_nothing_and_each_lost_line_counts_once(pipe):
    reader, writer = pipe
    os.close(reader)
    handler = StdoutHandler()
    handler.writer = LineWriter(writer)
    for _ in range(10):
        handler.handle(logging.makeLogRecord({"msg": "hello"}))
        handler.flush()
    assert handler.writer.lost == 10


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork()")
def test_a_forked_process_writes_only_its_own_lines(pipe):
    reader, writer = pipe
    lines = LineWriter(writer)
    lines.put("parent")
    lines.flush()
    lines._lines.append(b"waits in the parent\n")  # as if the pipe were full
    pid = os.fork()
    if pid == 0:
        lines.put("child")
        lines.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    assert read_lines(reader, b"child") == ["parent", "child"]
