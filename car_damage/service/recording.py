"""What the service expects of a recorder. Only `car_damage.records` has one."""

from collections.abc import Callable
from typing import Protocol

from car_damage.service.access import Caller
from car_damage.service.classify import Job, Result

RECORDER = "car_damage_recorder"  # the recorder's key among the application's extensions


class Recorder(Protocol):
    """Remembers answered photos."""

    def watch(self, job: Job, caller: Caller) -> Callable[[Result], Result]:
        """Look for earlier copies of the job's photo while the model works on it.

        Returns the function that remembers the answer and returns it with `recorded`.
        """
