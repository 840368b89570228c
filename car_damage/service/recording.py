"""What the service expects of a recorder. Only `car_damage.records` has one."""

from typing import Protocol

from car_damage.service.classify import Job, Result

RECORDER = "car_damage_recorder"  # the recorder's key among the application's extensions


class Recorder(Protocol):
    """Remembers answered photos."""

    def watch(self, job: Job, owner: str) -> None:
        """Look for earlier copies of the job's photo while the model works on it."""

    def record(self, job: Job, result: Result, owner: str) -> Result:
        """Remember an answer. Return it with `recorded`."""
