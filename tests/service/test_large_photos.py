"""All workers together decode only one large photo at a time."""

import subprocess
import sys
import threading

import pytest

from car_damage.service import large_photos
from car_damage.service.large_photos import LARGE, turn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="one process serves on Windows")


def entered(size: int) -> tuple[threading.Event, threading.Thread]:
    """Start a thread that waits for its turn with this size; the event is set once it has it."""
    had = threading.Event()

    def work() -> None:
        with turn(size):
            had.set()

    thread = threading.Thread(target=work)
    thread.start()
    return had, thread


def test_a_large_photo_waits_for_another_one_but_a_small_photo_does_not():
    with turn(LARGE):
        large, waiting = entered(LARGE)
        small, done = entered(LARGE - 1)
        done.join()
        assert small.is_set()
        assert not large.wait(0.2)
    waiting.join()
    assert large.is_set()


def test_a_worker_that_dies_with_a_large_photo_does_not_block_the_others():
    code = "import os; from car_damage.service.large_photos import *\n"
    code += "with turn(LARGE): os._exit(1)"
    subprocess.run([sys.executable, "-c", code], check=False)
    had, thread = entered(LARGE)
    thread.join()
    assert had.is_set()


def test_photos_are_accepted_on_a_file_system_without_locks(monkeypatch):
    def no_locks(*_):
        raise OSError("no locks available")

    monkeypatch.setattr(large_photos.fcntl, "flock", no_locks)
    with turn(LARGE):
        pass
