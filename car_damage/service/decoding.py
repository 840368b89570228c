"""Photos decoded for the service: ordinary ones here, all others in a process with limits.

Nobody knows what a decoder does with a strange file. In a process of its own it can be ended, so
that such a file is one refused photo and not a dead worker. Ordinary JPEGs (`jpeg.py`), and plain
PNGs and WebPs (`plain_files.py`), have a bounded cost: a service that gets only these starts no
such process.
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
# To the process: `at_least` as in `photos.decode`, the bytes of memory above which only the header
# is read, seconds, and bytes of data
QUESTION = Struct("<IQdI")
ANSWER = Struct("<II")  # from it: bytes of JSON, and of pixels
MOST_SECONDS = 30.0  # of one call, whatever the caller has left
WHATEVER = 1 << 63  # bytes of memory
GRACE = 5  # seconds after which a process that did not end itself is ended
CAN_FORK = hasattr(os, "fork")  # Windows has no limits for a process either


def begin(
    data: bytes, at_least: int, most_memory: int, seconds: float = MOST_SECONDS
) -> tuple[Header, Photo | None]:
    """Read a photo's header, and decode it if that takes at most `most_memory` bytes.

    Each question to the process costs milliseconds, so most photos shall need one. The photo is
    None if it takes more, and for ordinary photos: `decode` decodes them. Raises `UnusablePhoto`.
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
    """The process that decodes (`decoder.py`), one photo at a time.

    It is started by the first photo that needs it, and again by one that comes after it has ended:
    it does so when it has nothing to do for a while, and when this process is gone.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Leave the process to another one, of which this is a fork; start one if need be."""
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self, data: bytes, at_least: int, most_memory: int, seconds: float
    ) -> tuple[Header, Photo | None]:
        """Return what the process answers; see `begin`. Raises `UnusablePhoto`."""
        seconds = max(0.01, min(seconds, MOST_SECONDS))
        question = QUESTION.pack(at_least, most_memory, seconds, len(data))
        with self._lock:
            try:
                answer, pixels = self._send_and_receive(question, data, seconds + GRACE)
            except (OSError, EOFError) as error:
                # One that had nothing to do may end just as the photo comes.
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
        """The connection to the process, which is started if there is none."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._socket is None:
            self._socket = self._start()
        return self._socket

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            # A new program and not a fork, which would copy locks that other threads hold. One
            # thread in its libraries, so that it may fork.
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
        """End the process if it has not ended; its exit code, which is 0 if it chose to end."""
        assert self._socket is not None
        assert self._process is not None
        self._socket.close()  # which ends one that waits for a photo
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._socket = self._process = None
        return code


def receive(connection: socket.socket, size: int) -> bytearray:
    """Receive exactly `size` bytes. Raises `EOFError` when the other side is gone."""
    received = bytearray(size)
    view = memoryview(received)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the other side is gone")
        view = view[count:]
    return received


_process = _Process()
if CAN_FORK:  # a fork of this process needs one of its own
    os.register_at_fork(after_in_child=_process.forget)
