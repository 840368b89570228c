"""The order of a run that writes Parquet files: which blocks are missing, and who does them."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from car_damage.batch import processes
from car_damage.batch.answers import check_parquet
from car_damage.batch.output import Output, Settings, finished, prepare
from car_damage.batch.photo_list import Block, PhotoList
from car_damage.batch.worker import Done, Worker
from car_damage.buckets import is_local, opened
from car_damage.errors import UserError
from car_damage.model_store import Record
from car_damage.progress import meter
from car_damage.wording import counted

DoBlocks: TypeAlias = Callable[[Iterable[Block], Worker], Iterator[Done]]


def prepare_worker(address: str, record: Record, embeddings: bool, cluster: str | None) -> Worker:
    """Check and open the output before the photos are listed, which can take minutes.

    Raises `UserError` if a package is missing, or if `address` cannot be used or has answers of
    another version or with other columns.
    """
    check_parquet()
    if cluster:
        _on_cluster(cluster)
    output = prepare(address, Settings(record.version, embeddings))
    return Worker(record, output, embeddings)


def classify_missing(photos: PhotoList, worker: Worker, cluster: str | None) -> tuple[int, int]:
    """Classify the photos whose blocks have no file yet.

    Returns how many photos these were, and how many of them could not be used. Raises `UserError`,
    before any work if the list has changed.
    """
    do_blocks = _on_cluster(cluster) if cluster else processes.do_blocks
    done = finished(worker.output, [block.name for block in photos.blocks()])
    missing = sum(len(block.photos) for block in photos.blocks() if block.name not in done)
    if done:
        print(f"{counted(photos.count - missing, 'photo')} were classified by an earlier run")
    blocks = (block for block in photos.blocks() if block.name not in done)
    unusable = 0
    with meter("classifying", missing, "photo") as advance:
        for result in do_blocks(blocks, worker):
            advance(result.photos)
            unusable += result.unusable
    print(f"The answers for {counted(photos.count, 'photo')} are in {worker.output.address}")
    return missing, unusable


def _on_cluster(address: str) -> DoBlocks:
    """Return a function that does blocks on a cluster. Raises `UserError` if Ray is missing."""
    from car_damage.batch import ray_cluster  # only here, because most users do not have Ray

    def do_blocks(blocks: Iterable[Block], worker: Worker) -> Iterator[Done]:
        with ray_cluster.connected(address):
            for done in ray_cluster.do_blocks(blocks, worker):
                _check_here(worker.output, done)
                yield done

    return do_blocks


def _check_here(output: Output, done: Done) -> None:
    """Raise `UserError` if another node has written a block to a folder of its own."""
    if not is_local(output.address):
        return
    system, folder = opened(output.address)
    if not system.exists(f"{folder}/{done.name}"):
        raise UserError(
            f"{done.name} is not in {output.address}, because other nodes do not see this folder. "
            "Choose a bucket, or a folder that all nodes share."
        )
