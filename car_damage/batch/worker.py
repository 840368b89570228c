"""What each process does with a block: read, classify, write. The same on one and many machines."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import cv2

from car_damage import model_store
from car_damage.batch import one_by_one
from car_damage.batch.answers import UNREADABLE, Answer, answer, parquet, read_photo
from car_damage.batch.output import Output
from car_damage.batch.photo_list import Block
from car_damage.errors import UserError
from car_damage.model_store import Record
from car_damage.predictor import Predictor

READERS = 8  # threads that read ahead: enough for a bucket that takes 50 ms for a photo
CAREFUL_AFTER = 2  # failures of a block; then each photo is classified in a child process
GIVE_UP_AFTER = 4  # failures of a block


@dataclass(frozen=True)
class Attempt:
    """A block to do, and how often it has failed."""

    block: Block
    failures: int = 0

    @property
    def is_careful(self) -> bool:
        """Whether each photo is classified in a child process."""
        return self.failures >= CAREFUL_AFTER

    def again(self, error: BaseException) -> "Attempt":
        """The next attempt. Raises `UserError` if another one would not help."""
        failures = self.failures + 1
        if isinstance(error, UserError) and failures >= CAREFUL_AFTER:
            raise error
        if failures >= GIVE_UP_AFTER:
            raise UserError(
                f"Block {self.block.number:,}, which begins with {self.block.photos[0]}, failed "
                f"{failures} times: {error}. Run this again to go on."
            ) from error
        return Attempt(self.block, failures)


@dataclass(frozen=True)
class Done:
    """A block whose file is written."""

    name: str  # of the file
    photos: int
    unusable: int


class Attempts:
    """The blocks that are still to do, those that failed first. False if there are none."""

    def __init__(self, blocks: Iterable[Block]):
        self._fresh = map(Attempt, blocks)
        self._next: deque[Attempt] = deque()

    def __bool__(self) -> bool:
        if not self._next:
            self._next.extend(islice(self._fresh, 1))
        return bool(self._next)

    def pop(self) -> Attempt:
        """Return the next one, which must exist."""
        assert self
        return self._next.popleft()

    def put_back(self, attempt: Attempt) -> None:
        """Put back an attempt that has not failed."""
        self._next.append(attempt)

    def repeat(self, attempt: Attempt, error: BaseException) -> None:
        """Put a failed attempt back. Raises `UserError` if another one would not help."""
        self._next.append(attempt.again(error))


@dataclass(frozen=True)
class Worker:
    """Does blocks, one after the other. It loads the model with the first one."""

    record: Record
    output: Output
    embeddings: bool

    def do(self, attempt: Attempt) -> Done:
        """Classify a block's photos and write their answers.

        Raises `UserError`, and writes nothing, if the photos' disk or bucket does not work.
        """
        photos = attempt.block.photos
        if attempt.is_careful:
            answers = one_by_one.answers(self.record, photos)
        else:
            predictor = _load(self.record.folder)
            answers = [answer(predictor, name, read) for name, read in _read_ahead(photos)]
        _check_readable(attempt.block, answers)
        content = parquet(answers, self.record.version, self.embeddings)
        self.output.write(attempt.block.name, content)
        return Done(attempt.block.name, len(answers), sum(bool(answer.error) for answer in answers))


def _check_readable(block: Block, answers: Sequence[Answer]) -> None:
    """Raise `UserError` if none of several photos could be read, so the cause is not a photo.

    A wrong address, missing rights to a bucket, and a folder that this machine lacks each give the
    same errors as a photo that is missing or has its own rights.
    """
    if len(answers) > 1 and all(answer.error == UNREADABLE for answer in answers):
        raise UserError(
            f"None of the {len(answers)} photos of block {block.number:,} could be read. Check "
            f"that {block.photos[0]} exists, and that you may read it on each machine that does "
            "the work. Then run this again."
        )


@cache
def _load(folder: Path) -> Predictor:
    cv2.setNumThreads(1)  # there is a worker for each core
    return Predictor(model_store.load_record(folder.parent, folder.name))


def _read_ahead(photos: Iterable[str]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield each photo with a function that returns its content; `READERS` wait in memory."""
    waiting: deque[tuple[str, Callable[[], bytes]]] = deque()
    with ThreadPoolExecutor(READERS) as pool:
        try:
            for photo in photos:
                waiting.append((photo, pool.submit(read_photo, photo).result))
                if len(waiting) >= READERS:
                    yield waiting.popleft()
            yield from waiting
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
