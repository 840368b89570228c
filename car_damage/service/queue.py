"""The queue of photos that wait for the process's only classifying thread.

There is only one thread because a model classifies one photo at a time and LiteRT has its own
threads. So only one decoded photo is in memory. Clients take turns, so nobody waits for all photos
of another client. One client's photos are classified in their order.
"""

import io
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic

import cv2
import numpy as np

from car_damage import photos
from car_damage.errors import UserError
from car_damage.photos import UnusablePhoto
from car_damage.predictor import Predictor
from car_damage.service.classify import Job, Result, classify
from car_damage.service.metrics import Metrics
from car_damage.service.problems import Problem
from car_damage.service.turns import Turns

# A blank photo that the model classifies first, because its first run is far slower.
BLANK = cv2.imencode(".jpg", np.zeros((photos.SIZE, photos.SIZE, 3), np.uint8))[1].tobytes()
# The reason for clients. The full reason names files, so it is only logged.
NOT_LOADED = "the model could not be loaded; the service's log says why"

LOADING = 300  # seconds; if loading the model takes longer, the process counts as stuck
GRACE = 5  # seconds; if a photo takes this much longer than the timeout, it counts as stuck too

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Turn:
    """A photo that waits for its turn, with its outcome."""

    client: str
    job: Job
    begun: float  # by the monotonic clock
    deadline: float  # by the same clock
    outcome: Future[Result] = field(default_factory=Future)


class PhotoQueue:
    """The process's model, with at most `limit` photos at work or waiting.

    `unready` is the reason why there is no model yet. It is None once the model works.
    """

    def __init__(self, load: Callable[[], Predictor], limit: int, timeout: float, metrics: Metrics):
        self.unready: str | None = "the model is being loaded"
        self.predictor: Predictor | None = None
        self._limit = limit
        self._timeout = timeout
        self._metrics = metrics
        self._turns: Turns[Turn] = Turns()
        self._lock = Lock()  # for `_turns`
        self._late_at = monotonic() + LOADING
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="photos")
        self.loading = self._thread.submit(self._load, load)

    @property
    def stuck(self) -> bool:
        """Whether the photo at work, or loading the model, takes far longer than allowed."""
        return monotonic() > self._late_at

    def answer(self, jobs: Sequence[Job], client: str) -> list[Result | Exception]:
        """Classify each job in its turn. Return results, and exceptions for jobs that failed.

        This takes at most the timeout plus the work on one photo. Raises `Problem` "busy" at once
        if there is no room for all jobs.
        """
        begun = monotonic()
        turns = [Turn(client, job, begun, begun + self._timeout) for job in jobs]
        self._admit(turns, client)
        for _ in turns:
            self._thread.submit(self._work_on_next)
        return [self._outcome(turn) for turn in turns]

    def _load(self, load: Callable[[], Predictor]) -> None:
        try:
            loaded = load()
            classify(loaded, Job(io.BytesIO(BLANK)))
        except UserError as error:
            self.unready = NOT_LOADED
            logger.error("no model: %s", error)
        except Exception:
            self.unready = NOT_LOADED
            logger.exception("the model could not be loaded")
        else:
            self.predictor, self.unready = loaded, None
            self._metrics.model.labels(loaded.record.version).set(1)
            self._metrics.count_memory()
            logger.info("answering with model %s", loaded.record.version)
        finally:
            self._late_at = math.inf

    def _admit(self, turns: list[Turn], client: str) -> None:
        with self._lock:
            displaced: list[Turn] | None = []
            missing = len(self._turns) + len(turns) - self._limit
            if missing > 0:
                displaced = self._turns.displace(missing, client, len(turns))
            if displaced is None:
                raise _busy()
            for turn in turns:
                self._turns.append(client, turn)
            self._count()
        for turn in displaced:
            turn.outcome.set_exception(_busy())

    def _work_on_next(self) -> None:
        with self._lock:
            turn = self._turns.begin()
        if turn is None:  # the photo was removed: it timed out, or made room for another client
            return
        self._late_at = monotonic() + self._timeout + GRACE
        outcome: Result | Exception
        try:
            outcome = self._work(turn)
        except (UnusablePhoto, Problem) as error:
            outcome = error.with_traceback(None)  # the traceback would keep the photo's bytes alive
        except Exception as error:
            outcome = error
        self._late_at = math.inf
        with self._lock:
            self._turns.end()
            self._count()
        if isinstance(outcome, Exception):
            turn.outcome.set_exception(outcome)
        else:
            turn.outcome.set_result(outcome)

    def _work(self, turn: Turn) -> Result:
        now = monotonic()
        if now >= turn.deadline:
            raise _timed_out()
        turn.job.note_time("queue", now - turn.begun)
        turn.job.deadline = turn.deadline
        if self.predictor is None:
            raise Problem("no_model", f"The service cannot classify photos: {self.unready}.")
        return classify(self.predictor, turn.job)

    def _outcome(self, turn: Turn) -> Result | Exception:
        wait([turn.outcome], turn.deadline - monotonic())
        if not turn.outcome.done() and self._gave_up(turn):
            return _timed_out()
        error = turn.outcome.exception()  # waits until the photo at work is done
        return error if isinstance(error, Exception) else turn.outcome.result()

    def _gave_up(self, turn: Turn) -> bool:
        with self._lock:
            waited = self._turns.remove(turn.client, turn)
            self._count()
        return waited

    def _count(self) -> None:
        self._metrics.in_flight.set(len(self._turns))


def _busy() -> Problem:
    return Problem("busy", "Too many photos are waiting. Try again in a moment.")


def _timed_out() -> Problem:
    return Problem("timed_out", "The photo waited too long. Try again later.")
