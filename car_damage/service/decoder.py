"""The process in which the service decodes photos that are no ordinary JPEGs.

It forks for each photo: the fork has limits on time and memory, and leaves nothing behind. This
process itself looks at no photo. See `decoding.py`, which starts it.
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

IDLE = 30  # seconds without a photo after which the process ends: it takes 25 MB
# Processor seconds for the header, and then for each megapixel: three times what the slowest
# ordinary photo was measured to take. Whole seconds are what systems count.
SECONDS = 2
SECONDS_PER_MEGAPIXEL = 0.2
# Bytes of addresses on top of what the process has: what decoding may take, and as much again for
# what is reserved and never touched, such as the stacks of threads.
MOST_ADDRESSES = 2 * pixel_limits.MOST_MEMORY
THREADS = 2  # of decoders that would take one for each core


Answer = tuple[dict[str, Any], Photo | None]


def main(descriptor: int) -> None:
    """Answer for one photo after the other, until the service is gone or there are none."""
    # The service ends first and answers what it has: a stop of all its processes is not ours.
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
        if os.WTERMSIG(status) == signal.SIGKILL:  # perhaps within its answer
            sys.exit(1)
        _send(connection, _refused("too_complex", photos.TOO_COMPLEX))


def _limit(seconds: float) -> None:
    """Have the system end this process after `seconds`, and give it no more than it may take."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _limit_processor(SECONDS)
    with suppress(OSError, ValueError):  # macOS has no limit on addresses
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        addresses = pages * resource.getpagesize() + MOST_ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    with suppress(OSError):  # where memory runs out, this process goes and no worker
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
    except Exception:  # a bug, which the service logs
        answer = {"error": traceback.format_exc()}
    # From here on it must not end in the middle.
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
