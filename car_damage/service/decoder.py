"""The process that decodes photos for the service if they are not ordinary JPEGs.

It forks for each photo. The fork has limits on time and memory. This process itself reads no photo.
`decoding.py` starts it.
"""

import json
import math
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from PIL import AvifImagePlugin

from car_damage import photos, pixel_limits
from car_damage.photos import Photo, UnusablePhoto
from car_damage.service.decoding import ANSWER, QUESTION, receive

IDLE = 30  # seconds without a photo; then the process ends, because it takes 25 MB
# Limits of processor time for the header and for each megapixel. They are three times as long as
# the slowest ordinary photo took in a measurement. Systems count whole seconds.
SECONDS = 2
SECONDS_PER_MEGAPIXEL = 0.2
# Bytes of address space on top of the process's own. Decoding may use one half. The other half is
# for memory that is reserved but never used, such as the stacks of threads.
MOST_ADDRESSES = 2 * pixel_limits.MOST_MEMORY
THREADS = 2  # for decoders that otherwise start one for each core


Answer = tuple[dict[str, Any], Photo | None]


def main(descriptor: int) -> None:
    """Decode photos until the service has ended or sends none for a while."""
    # A stop signal to all processes must not end this one, because the service still finishes its
    # photos.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    connection = socket.socket(fileno=descriptor)
    with suppress(EOFError, OSError):
        while True:
            connection.settimeout(IDLE)
            question = QUESTION.unpack(receive(connection, QUESTION.size))
            at_least, most_memory, seconds, length = question
            look = partial(_look, receive(connection, length), at_least, most_memory)
            _in_a_fork(connection, seconds, look)


def _in_a_fork(connection: socket.socket, seconds: float, look: Callable[[], Answer]) -> None:
    child = os.fork()
    if not child:
        with suppress(OSError):  # the service is gone
            _limit(seconds)
            _answer(connection, look)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGKILL:  # perhaps in the middle of its answer
            sys.exit(1)
        _send(connection, _refused("too_complex", photos.TOO_COMPLEX))


def _limit(seconds: float) -> None:
    """Set this process's limits on time (in seconds), processor time and memory."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _limit_processor(SECONDS)
    with suppress(OSError, ValueError):  # macOS cannot limit the address space
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        addresses = pages * resource.getpagesize() + MOST_ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    with suppress(OSError):  # if memory runs out, the system ends this process and not a worker
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_processor(seconds: float) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = most if math.isinf(seconds) else math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, most))


def _look(received: bytearray, at_least: int, most_memory: int) -> Answer:
    data = bytes(received)
    header = photos.read_header(data)
    if header.memory > most_memory:
        return {"header": header}, None
    _limit_processor(SECONDS + SECONDS_PER_MEGAPIXEL * header.width * header.height / 1e6)
    photo = photos.decode(data, at_least)
    return {"header": header, "shape": photo.shape}, photo


def _answer(connection: socket.socket, look: Callable[[], Answer]) -> None:
    photo: Photo | None = None
    try:
        answer, photo = look()
    except UnusablePhoto as error:
        answer = _refused(error.reason, str(error))
    except MemoryError:
        answer = _refused("too_complex", photos.TOO_COMPLEX)
    except Exception:  # a bug; the service logs it
        answer = {"error": traceback.format_exc()}
    # No limit may end the process in the middle of its answer.
    signal.setitimer(signal.ITIMER_REAL, 0)
    _limit_processor(math.inf)
    _send(connection, answer, photo)


def _refused(reason: photos.Reason, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message}


def _send(connection: socket.socket, answer: dict[str, Any], photo: Photo | None = None) -> None:
    text = json.dumps(answer).encode()
    connection.settimeout(None)
    connection.sendall(ANSWER.pack(len(text), 0 if photo is None else photo.nbytes) + text)
    if photo is not None:
        connection.sendall(photo.data)


if __name__ == "__main__":
    AvifImagePlugin.DEFAULT_MAX_THREADS = THREADS
    main(int(sys.argv[1]))
