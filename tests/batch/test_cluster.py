"""A cluster of two nodes reads photos from S3's interface, and answers as one machine does."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

import predict
from car_damage.batch import photo_list
from car_damage.batch.sources import photo_names
from car_damage.errors import exit_code
from tests.photo_files import jpeg, texture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray has no wheel for this system"),
]

PHOTOS = 200
SIZE = 10  # photos in a block
# Nodes are missed soon, and workers get their share of a busy machine.
SETTINGS = {
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,
}


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """moto's server on this machine, with photos in a bucket and an empty bucket for answers."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "of-moto",
        "AWS_SECRET_ACCESS_KEY": "of-moto",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        system = fsspec.filesystem("s3", use_listings_cache=False)
        for bucket in ("photos", "answers"):
            system.mkdir(bucket)
        yield system
    server.stop()


def put_photos(s3: Any, count: int) -> None:
    """Put drawn photos into the bucket, and a broken one."""
    drawn = [jpeg(texture(seed)) for seed in range(20)]
    names = [f"photos/2026/{number % 3}/{number:04}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        s3.pipe_file(name, drawn[number % len(drawn)])
    s3.pipe_file(names[count // 2], b"no photo")


@contextmanager
def two_nodes() -> Iterator[tuple[Any, Any]]:
    """Start a cluster of two nodes with one core each; yield it and the node without its head."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": SETTINGS}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster, cluster.add_node(num_cpus=1)
    finally:
        cluster.shutdown()


def test_a_cluster_that_loses_a_node_gives_the_answers_of_one_machine(
    s3, project, models, tmp_path, monkeypatch
):
    monkeypatch.setattr(photo_list, "SIZE", SIZE)
    put_photos(s3, PHOTOS)

    def run(*arguments: str) -> int:
        return exit_code(lambda: predict.main(["s3://photos/2026/", *arguments]))

    assert run("--out", str(tmp_path / "alone")) == 0
    when_killed = []
    with two_nodes() as (cluster, node):

        def kill_after_some_blocks() -> None:
            while len(found := s3.glob("answers/2026/*.parquet")) < 4:
                time.sleep(0.5)
            cluster.remove_node(node, allow_graceful=False)
            when_killed.append(len(found))

        killer = threading.Thread(target=kill_after_some_blocks, daemon=True)
        killer.start()
        assert run("--out", "s3://answers/2026", "--embeddings", "--cluster", cluster.address) == 0
        killer.join(10)
    assert 4 <= when_killed[0] < PHOTOS / SIZE  # in the middle of the run
    found = pq.read_table("answers/2026", filesystem=s3)
    assert found.column("path").to_pylist() == list(photo_names(["s3://photos/2026/"]))
    assert found.drop_columns("embedding").equals(pq.read_table(tmp_path / "alone"))
    assert found.column("error").to_pylist().count("not_a_photo") == 1
    assert len(s3.ls("answers/2026")) == PHOTOS / SIZE + 1  # and the settings of the run


def test_a_bucket_of_many_pages_is_listed_completely_and_in_order(s3):
    client_pages = 1_203  # S3 lists 1,000 objects at a time
    for number in range(client_pages):
        s3.pipe_file(f"photos/many/{number:04}.jpg", b"photo")
    names = [f"s3://photos/many/{number:04}.jpg" for number in range(client_pages)]
    assert list(photo_names(["s3://photos/many"])) == names
    assert list(photo_names([names[7]])) == [names[7]]


def test_a_cluster_that_is_not_there_gets_one_sentence(project, models, tmp_path, capsys):
    (tmp_path / "car.jpg").write_bytes(jpeg(texture(1)))
    arguments = [str(tmp_path / "car.jpg"), "--out", str(tmp_path / "out"), "--cluster", "auto"]
    assert exit_code(lambda: predict.main(arguments)) == 2
    assert "--cluster auto cannot be joined: " in capsys.readouterr().err.splitlines()[-1]
