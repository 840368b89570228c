"""The order of a run that writes Parquet files: which blocks are missing, and who does them."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from car_damage.batch import processes
from car_damage.batch.answers import check_parquet
from car_damage.batch.output import Output, Settings, finished, prepare
from car_damage.batch.photo_list import Block, PhotoList
from car_damage.batch.worker import Done, Worker
from car_damage.errors import UserError
from car_damage.model_store import Record
from car_damage.progress import meter
from car_damage.wording import counted

DoBlocks: TypeAlias = Callable[[Iterable[Block], Worker], Iterator[Done]]


def classify_into(
    address: str, photos: PhotoList, record: Record, embeddings: bool, cluster: str | None
) -> Done:
    """Classify the photos whose blocks have no file yet, and return how many they were.

    Raises `UserError`, before any work if the list, the version or the columns have changed.
    """
    check_parquet()
    do_blocks = _on_cluster(cluster) if cluster else processes.do_blocks
    names = [block.name for block in photos.blocks()]
    output = prepare(address, Settings(record.version, embeddings))
    done = finished(output, names)
    missing = sum(len(block.photos) for block in photos.blocks() if block.name not in done)
    if done:
        print(f"{counted(photos.count - missing, 'photo')} were classified by an earlier run")
    blocks = (block for block in photos.blocks() if block.name not in done)
    unusable = 0
    with meter("classifying", missing, "photo") as advance:
        for result in do_blocks(blocks, Worker(record, output, embeddings)):
            advance(result.photos)
            unusable += result.unusable
    _check_all_written(output, names)
    print(f"The answers for {counted(photos.count, 'photo')} are in {address}")
    return Done(missing, unusable)


def _on_cluster(address: str) -> DoBlocks:
    from car_damage.batch import ray_cluster  # only here, because most users do not have Ray

    def do_blocks(blocks: Iterable[Block], worker: Worker) -> Iterator[Done]:
        with ray_cluster.connected(address):
            yield from ray_cluster.do_blocks(blocks, worker)

    return do_blocks


def _check_all_written(output: Output, names: list[str]) -> None:
    lost = len(names) - len(finished(output, names))
    if lost:
        raise UserError(
            f"{counted(lost, 'block')} are not in {output.address}, because other nodes do not "
            "see this folder. Choose a bucket, or a folder that all nodes share."
        )
