"""Photos wait here for the one thread of the process that answers them.

One thread, since a model serves one at a time and LiteRT has threads of its own: only one photo is
in memory decoded. Clients take turns, so that nobody waits for all photos of another. The photos of
one client are answered in the order in which they came.
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

# What a model answers before any client's photo: the first of each stage is far slower.
BLANK = cv2.imencode(".jpg", np.zeros((photos.SIZE, photos.SIZE, 3), np.uint8))[1].tobytes()
# What clients are told. The reason names files, which are none of their business: it is logged.
NOT_LOADED = "the model could not be loaded; the service's log says why"

LOADING = 300  # seconds that loading the model may take before the process counts as stuck
GRACE = 5  # seconds, besides the timeout, that a photo may be at work before it does

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Turn:
    """A photo's wait for its turn, and what comes of it."""

    client: str
    job: Job
    begun: float  # on the monotonic clock, as the deadline
    deadline: float
    outcome: Future[Result] = field(default_factory=Future)


class PhotoQueue:
    """The process's model, and the photos that it works on and keeps waiting: at most `limit`.

    `unready` says why there is no model, and is None once it has answered a blank photo.
    """

    def __init__(self, load: Callable[[], Predictor], limit: int, timeout: float, metrics: Metrics):
        self.unready: str | None = "the model is being loaded"
        self.predictor: Predictor | None = None
        self._limit = limit
        self._timeout = timeout
        self._metrics = metrics
        self._turns: Turns[Turn] = Turns()
        self._lock = Lock()  # of `_turns`
        self._late_at = monotonic() + LOADING
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="photos")
        self.loading = self._thread.submit(self._load, load)

    @property
    def stuck(self) -> bool:
        """Whether the photo at work, or loading the model, takes far longer than it may."""
        return monotonic() > self._late_at

    def answer(self, jobs: Sequence[Job], client: str) -> list[Result | Exception]:
        """Answer each job in its turn, or say why not; one's error does not touch the others.

        That takes at most the timeout and the work on one photo. Raises `Problem` "busy" at once
        when there is no room for all of them.
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
        if turn is None:  # its client gave up, or gave way to another
            return
        self._late_at = monotonic() + self._timeout + GRACE
        outcome: Result | Exception
        try:
            outcome = self._work(turn)
        except (UnusablePhoto, Problem) as error:
            outcome = error.with_traceback(None)  # which would keep the photo's bytes alive
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
            raise Problem("no_model", f"No photo can be answered: {self.unready}.")
        return classify(self.predictor, turn.job)

    def _outcome(self, turn: Turn) -> Result | Exception:
        wait([turn.outcome], turn.deadline - monotonic())
        if not turn.outcome.done() and self._gave_up(turn):
            return _timed_out()
        error = turn.outcome.exception()  # waits for the end of its work, if its turn has come
        return error if isinstance(error, Exception) else turn.outcome.result()

    def _gave_up(self, turn: Turn) -> bool:
        with self._lock:
            waited = self._turns.remove(turn.client, turn)
            self._count()
        return waited

    def _count(self) -> None:
        self._metrics.in_flight.set(len(self._turns))


def _busy() -> Problem:
    return Problem("busy", "Too many photos are waiting; try again in a moment.")


def _timed_out() -> Problem:
    return Problem("timed_out", "The photo waited for too long; try again later.")
