"""Classify photos in a child process, so that a photo that kills it is found and named."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from car_damage.batch.answers import Answer, answer, read_photo, readable
from car_damage.errors import UserError
from car_damage.model_store import Record
from car_damage.predictor import Predictor

ROOT = Path(__file__).parents[2]  # the folder of the package


def answers(record: Record, photos: Sequence[str]) -> list[Answer]:
    """Classify photos one after the other. What kills the child is the error of that photo's row.

    Raises `UserError` if a bucket or the model does not work.
    """
    found: list[Answer] = []
    while len(found) < len(photos):
        rest = photos[len(found) :]
        code = _classify(record, rest, found)
        if len(found) < len(photos):
            found.append(Answer(readable(photos[len(found)]), error=death(code)))
    return found


def death(code: int) -> str:
    """The error for a photo whose process ended with this exit code."""
    if code == -getattr(signal, "SIGKILL", 9):
        return "out_of_memory"  # nobody else kills a child with this signal
    with suppress(ValueError):
        return f"crashed_{signal.Signals(-code).name}"
    return f"crashed_{code}"


def _classify(record: Record, photos: Sequence[str], found: list[Answer]) -> int:
    """Append the answers of a child process to `found` until it ends; return its exit code."""
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
                each = pickle.load(child.stdout)
                if isinstance(each, UserError):
                    raise each
                found.append(each)
    return child.returncode


def _child(questions: BinaryIO, replies: BinaryIO) -> None:
    """Answer the photos of `questions`, each as soon as it is classified."""
    with suppress(OSError):  # if memory runs out, Linux ends this process and not its parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    record, photos = pickle.load(questions)
    predictor = Predictor(record)
    for photo in photos:
        reply: Answer | UserError
        try:
            reply = answer(predictor, photo, partial(read_photo, photo))
        except UserError as error:
            reply = error
        except MemoryError:
            reply = Answer(readable(photo), error="out_of_memory")
        except Exception as error:  # a library's bug on a strange file must not stop an archive
            reply = Answer(readable(photo), error=f"crashed_{type(error).__name__}")
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    # Libraries print to the standard output too, so the replies get a copy of it.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stdout:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _child(sys.stdin.buffer, stdout)
