"""Photos wait here for the one thread of the process that answers them.

One thread, since a model serves one at a time and LiteRT has threads of its own: photos are
answered in the order in which they came, and only one is in memory decoded.
"""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from time import monotonic

import cv2
import numpy as np

from car_damage import photos
from car_damage.errors import UserError
from car_damage.predictor import Predictor
from car_damage.service.classify import Job, Result, classify
from car_damage.service.metrics import Metrics
from car_damage.service.problems import Problem

# What a model answers before any client's photo: the first of each stage is far slower.
BLANK = cv2.imencode(".jpg", np.zeros((photos.SIZE, photos.SIZE, 3), np.uint8))[1].tobytes()
# What clients are told. The reason names files, which are none of their business: it is logged.
NOT_LOADED = "the model could not be loaded; the service's log says why"

logger = logging.getLogger(__name__)


class PhotoQueue:
    """The process's model, and the photos that it works on and keeps waiting: at most `limit`.

    `unready` says why there is no model, and is None once it has answered a blank photo.
    """

    def __init__(self, load: Callable[[], Predictor], limit: int, timeout: float, metrics: Metrics):
        self.unready: str | None = "the model is being loaded"
        self.predictor: Predictor | None = None
        self._free = limit
        self._lock = Lock()
        self._timeout = timeout
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="photos")
        self.loading = self._thread.submit(self._load, load)

    def answer(self, jobs: Sequence[Job]) -> list[Result | Exception]:
        """Answer each job in its turn, or say why not; one's error does not touch the others.

        Raises `Problem` "busy" at once when there is no room for all of them.
        """
        with self._room_for(len(jobs)):
            begun = monotonic()
            futures = [self._thread.submit(self._work, job, begun) for job in jobs]
            return [self._outcome(future, begun + self._timeout) for future in futures]

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

    def _work(self, job: Job, begun: float) -> Result:
        job.note_time("queue", monotonic() - begun)
        if self.predictor is None:
            raise Problem("no_model", f"No photo can be answered: {self.unready}.")
        return classify(self.predictor, job)

    def _outcome(self, future: Future[Result], deadline: float) -> Result | Exception:
        try:
            return future.result(max(0.0, deadline - monotonic()))
        except TimeoutError:
            if future.cancel():
                return Problem("timed_out", "The photo waited for too long; try again later.")
            error = future.exception()  # its turn had come: soon done
            return error if isinstance(error, Exception) else future.result()
        except Exception as error:
            return error

    @contextmanager
    def _room_for(self, count: int) -> Iterator[None]:
        with self._lock:
            if count > self._free:
                raise Problem("busy", "Too many photos are waiting; try again in a moment.")
            self._free -= count
        self._metrics.in_flight.inc(count)
        try:
            yield
        finally:
            self._metrics.in_flight.dec(count)
            with self._lock:
                self._free += count
