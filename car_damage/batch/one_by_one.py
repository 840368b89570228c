"""Classify photos in a child process, so that a photo that kills it is found and named."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from car_damage.batch.answers import Answer, answer, read_photo, readable
from car_damage.errors import UserError
from car_damage.model_store import Record
from car_damage.predictor import Predictor

ROOT = Path(__file__).parents[2]  # the folder of the package
READY = "ready"  # a child's first reply


class ChildDiedError(Exception):
    """A child died before its first photo, so no photo is the cause."""


def answers(record: Record, photos: Sequence[str]) -> list[Answer]:
    """Classify photos one after the other. What kills the child is the error of that photo's row.

    A photo is blamed only if a second child dies of it too, because Linux also kills a child if
    another program takes the memory. Raises `UserError` if a bucket or the model does not work,
    `ChildDiedError` if a child dies before its first photo.
    """
    found: list[Answer] = []
    suspect = -1
    while len(found) < len(photos):
        code = _classify(record, photos[len(found) :], found)
        if len(found) == suspect:
            found.append(Answer(readable(photos[suspect]), error=death(code)))
        else:
            suspect = len(found)
    return found


def death(code: int) -> str:
    """The error for a photo whose process ended with this exit code."""
    if code == -getattr(signal, "SIGKILL", 9):
        return "out_of_memory"  # if memory runs out, Linux sends this signal
    with suppress(ValueError):
        return f"crashed_{signal.Signals(-code).name}"
    return f"crashed_{code}"


def _classify(record: Record, photos: Sequence[str], found: list[Answer]) -> int:
    """Append the answers of a child process to `found` until it ends; return its exit code."""
    is_ready = False
    command = [sys.executable, "-m", "car_damage.batch.one_by_one"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, env=os.environ | {"PYTHONPATH": path}
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):
            pickle.dump((record, list(photos)), child.stdin)
            child.stdin.close()
        with suppress(EOFError, pickle.UnpicklingError):  # the child has ended
            while True:
                reply = pickle.load(child.stdout)
                if isinstance(reply, UserError):
                    raise reply
                if reply == READY:
                    is_ready = True
                else:
                    found.append(reply)
    if not is_ready:
        reason = death(child.returncode)
        raise ChildDiedError(f"a child process ended before its first photo ({reason})")
    return child.returncode


def _child(questions: BinaryIO, replies: BinaryIO) -> None:
    """Send the replies to `questions`, each as soon as it is there."""
    with suppress(OSError):  # if memory runs out, Linux ends this process and not its parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    for reply in _replies(*pickle.load(questions)):
        pickle.dump(reply, replies)
        replies.flush()


def _replies(record: Record, photos: Sequence[str]) -> Iterator[str | Answer | UserError]:
    """Yield `READY` and the answers. A `UserError` is the last reply."""
    try:
        predictor = Predictor(record)
        yield READY
        for photo in photos:
            yield _answer(predictor, photo)
    except UserError as error:
        yield error


def _answer(predictor: Predictor, photo: str) -> Answer:
    try:
        return answer(predictor, photo, partial(read_photo, photo))
    except UserError:
        raise
    except MemoryError:
        return Answer(readable(photo), error="out_of_memory")
    except Exception as error:  # a library's bug on a strange file must not stop an archive
        return Answer(readable(photo), error=f"crashed_{type(error).__name__}")


if __name__ == "__main__":
    # Libraries print to the standard output too, so the replies get a copy of it.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stdout:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _child(sys.stdin.buffer, stdout)
