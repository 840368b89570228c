"""Decode photos for the service: ordinary ones here, all others in a process with limits.

A decoder may hang or crash on a strange file. In a separate process this costs one photo and not a
worker. Ordinary JPEGs (`jpeg.py`) and plain PNGs and WebPs (`plain_files.py`) have a bounded cost
and need no such process.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from struct import Struct
from threading import Lock
from typing import Any

import numpy as np

from car_damage import photos
from car_damage.photos import Header, Photo, UnusablePhoto
from car_damage.plain_files import is_plain

ROOT = Path(__file__).parents[2]
# Sent to the process: `at_least` as in `photos.decode`, the memory limit in bytes above which only
# the header is read, seconds, and the number of bytes of data.
QUESTION = Struct("<IQdI")
ANSWER = Struct("<II")  # received from it: the number of bytes of JSON, and of pixels
MOST_SECONDS = 30.0  # for one call, even if the caller has more time
WHATEVER = 1 << 63  # bytes; no memory limit
GRACE = 5  # seconds after the time limit; then this process ends the other one
CAN_FORK = hasattr(os, "fork")  # Windows cannot fork, and it has no process limits either


def begin(
    data: bytes, at_least: int, most_memory: int, seconds: float = MOST_SECONDS
) -> tuple[Header, Photo | None]:
    """Read a photo's header, and decode the photo if that takes at most `most_memory` bytes.

    One call does both because each question to the process takes milliseconds. The photo is None if
    it takes more memory, and for ordinary photos. `decode` decodes these. Raises `UnusablePhoto`.
    """
    if (header := photos.read_ordinary_jpeg_header(data)) is not None:
        return header, None
    if not CAN_FORK or is_plain(data):
        return photos.read_header(data), None
    return _process.ask(data, at_least, most_memory, seconds)


def decode(data: bytes, at_least: int, seconds: float = MOST_SECONDS) -> Photo:
    """Decode a photo as `photos.decode` does, within `seconds`. Raises `UnusablePhoto`."""
    if (photo := photos.decode_ordinary_jpeg(data, at_least)) is not None:
        return photo
    if not CAN_FORK or is_plain(data):
        return photos.decode(data, at_least)
    _, photo = _process.ask(data, at_least, WHATEVER, seconds)
    assert photo is not None
    return photo


class _Process:
    """The process that decodes one photo at a time (`decoder.py`).

    The first photo that needs the process starts it. The process ends when it has been idle for a
    while, and when this process has ended. The next photo starts it again.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget the process, in a fork of its owner. The fork starts its own if it needs one."""
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self, data: bytes, at_least: int, most_memory: int, seconds: float
    ) -> tuple[Header, Photo | None]:
        """Send a photo to the process and return what `begin` does. Raises `UnusablePhoto`."""
        seconds = max(0.01, min(seconds, MOST_SECONDS))
        question = QUESTION.pack(at_least, most_memory, seconds, len(data))
        with self._lock:
            try:
                answer, pixels = self._send_and_receive(question, data, seconds + GRACE)
            except (OSError, EOFError) as error:
                # An idle process may end at the moment the photo is sent.
                if self._end() != 0:
                    raise UnusablePhoto("too_complex", photos.TOO_COMPLEX) from error
                answer, pixels = self._send_and_receive(question, data, seconds + GRACE)
        if "reason" in answer:
            raise UnusablePhoto(answer["reason"], answer["message"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        header = Header(*answer["header"])
        if not pixels:
            return header, None
        return header, np.frombuffer(pixels, np.uint8).reshape(answer["shape"])

    def _send_and_receive(
        self, question: bytes, data: bytes, timeout: float
    ) -> tuple[dict[str, Any], bytearray]:
        connection = self._running()
        connection.settimeout(timeout)
        connection.sendall(question)
        connection.sendall(data)
        length, pixels = ANSWER.unpack(receive(connection, ANSWER.size))
        return json.loads(receive(connection, length)), receive(connection, pixels)

    def _running(self) -> socket.socket:
        """Return the connection to the process. Start the process if there is none."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._socket is None:
            self._socket = self._start()
        return self._socket

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            # A new program instead of a fork, because a fork copies locks that other threads hold.
            # Its libraries get one thread each, so that it can fork safely.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "car_damage.service.decoder", str(theirs.fileno())],
                cwd=ROOT,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return ours

    def _end(self) -> int:
        """End the process and return its exit code, which is 0 if it ended by itself."""
        assert self._socket is not None
        assert self._process is not None
        self._socket.close()  # this ends a process that waits for a photo
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._socket = self._process = None
        return code


def receive(connection: socket.socket, size: int) -> bytearray:
    """Receive exactly `size` bytes. Raises `EOFError` if the other side closes the connection."""
    received = bytearray(size)
    view = memoryview(received)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the other side has closed the connection")
        view = view[count:]
    return received


_process = _Process()
if CAN_FORK:  # a fork of this process needs its own decoder
    os.register_at_fork(after_in_child=_process.forget)
