"""Do blocks on a Ray cluster, with an actor for each core. Only `--cluster` imports this module.

It uses Ray's actors and not Ray Data, because Ray Data does not say how often a block has failed,
and its `CheckpointConfig` holds the id of every finished row in memory (ray#59409) and reads all
input again after a stop (ray#65891). Here a file for each block says what is finished.
"""

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from car_damage import model_store
from car_damage.batch.photo_list import Block
from car_damage.batch.worker import Attempt, Attempts, Done, Worker
from car_damage.errors import UserError
from car_damage.model_store import GRAPH, MANIFEST, Record
from car_damage.parallel import cores

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send statistics to its makers
os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster started here, as without one
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning on GPUs
try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as missing:
    raise UserError(
        "--cluster needs Ray. Run: pip install -r requirements-cluster.txt"
    ) from missing

LOCAL, AUTO = "local", "auto"
EVERY = 2.0  # seconds between two looks at the size of the cluster


@dataclass(frozen=True)
class Shipped:
    """What an actor needs. It is in Ray's object store, so each node gets it once."""

    worker: Worker  # its version's folder may not exist on other nodes
    files: dict[str, bytes]  # of that version
    folder: str  # the command's working directory


class BlockActor:
    """A `Worker` on some node, with a copy of the version. Ray's dashboard shows this name."""

    def __init__(self, shipped: Shipped):
        if os.path.isdir(shipped.folder):
            os.chdir(shipped.folder)  # so that relative paths mean the same
        self._models = tempfile.TemporaryDirectory()  # deleted with this actor
        record = _unpacked(shipped, Path(self._models.name))
        self._worker = replace(shipped.worker, record=record)

    def ready(self) -> None:
        """Return once the actor runs."""

    def do(self, attempt: Attempt) -> Done:
        """See `Worker.do`."""
        return self._worker.do(attempt)


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Start a cluster on this machine (`local`), or join one (`auto` or its address).

    Raises `UserError` if there is none.
    """
    join = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    try:
        if address == LOCAL:
            join(address="local", num_cpus=cores())
        else:
            join(address=address)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--cluster {address} cannot be joined: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def do_blocks(blocks: Iterable[Block], worker: Worker) -> Iterator[Done]:
    """Do the blocks on the cluster and yield each result, in any order.

    The blocks of a node or process that is lost have failed once and are done again. Nodes that
    join get work. Raises `UserError` if a block fails too often.
    """
    shipped = Shipped(worker, _files(worker.record), os.getcwd())
    actors = _Actors(ray.put(shipped))
    attempts = Attempts(blocks)
    while attempts or actors.working:
        actors.follow_cluster()
        while actors.idle and attempts:
            actors.begin(attempts.pop())
        for attempt, result in actors.finished():
            if isinstance(result, Done):
                yield result
            else:
                attempts.repeat(attempt, result)


@dataclass
class _Actors:
    """The actors: as many as the cluster has cores. A lost one is replaced if there is a core."""

    shipped: Any  # Ray's reference to `Shipped`
    idle: list[Any] = field(default_factory=list)
    starting: dict[Any, Any] = field(default_factory=dict)  # Ray's reference: actor
    working: dict[Any, tuple[Any, Attempt]] = field(default_factory=dict)
    _looked: float = -EVERY
    _has_said_that_it_waits: bool = False

    def follow_cluster(self) -> None:
        """Create actors for the cores of new nodes."""
        if monotonic() - self._looked < EVERY:
            return
        self._looked = monotonic()
        have = len(self.idle) + len(self.starting) + len(self.working)
        for _ in range(int(ray.cluster_resources().get("CPU", 0)) - have):
            actor: Any = ray.remote(num_cpus=1, max_restarts=0)(BlockActor).remote(self.shipped)
            self.starting[actor.ready.remote()] = actor

    def begin(self, attempt: Attempt) -> None:
        """Give an idle actor a block to do."""
        actor = self.idle.pop()
        self.working[actor.do.remote(attempt)] = actor, attempt

    def finished(self) -> Iterator[tuple[Attempt, Done | BaseException]]:
        """Wait a moment, and yield the attempts that ended, with their results or errors."""
        pending = [*self.working, *self.starting]
        if not pending:
            self._wait_for_nodes()
            return
        ready, _ = ray.wait(pending, num_returns=1, timeout=EVERY)
        for reference in ready:
            if reference in self.starting:
                self._started(reference)
                continue
            actor, attempt = self.working.pop(reference)
            try:
                result = ray.get(reference)
            except RayTaskError as error:  # the actor is well
                self.idle.append(actor)
                yield attempt, error.cause
            except RayError as error:  # the actor or its node is lost, or memory ran out
                yield attempt, error
            else:
                self.idle.append(actor)
                yield attempt, result

    def _wait_for_nodes(self) -> None:
        if not self._has_said_that_it_waits:
            print("The cluster has no cores. Waiting for nodes")
            self._has_said_that_it_waits = True
        sleep(EVERY)

    def _started(self, reference: Any) -> None:
        actor = self.starting.pop(reference)
        try:
            ray.get(reference)
        except RayTaskError as error:
            raise UserError(f"A worker could not start: {error.cause}") from error
        except RayError:  # its node is lost
            return
        self.idle.append(actor)


def _files(record: Record) -> dict[str, bytes]:
    """The files of a version that answering needs."""
    return {name: (record.folder / name).read_bytes() for name in (MANIFEST, GRAPH)}


def _unpacked(shipped: Shipped, models: Path) -> Record:
    version = shipped.worker.record.version
    folder = models / version
    folder.mkdir()
    for name, content in shipped.files.items():
        (folder / name).write_bytes(content)
    return model_store.load_record(models, version)
