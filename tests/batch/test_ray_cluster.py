"""The driver of a Ray cluster, without a cluster."""

from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray has no wheel for this system")


def test_a_cluster_without_nodes_is_looked_at_every_two_seconds(monkeypatch, capsys):
    from car_damage.batch import ray_cluster

    slept = []
    monkeypatch.setattr(ray_cluster, "sleep", slept.append)
    actors = ray_cluster._Actors(shipped=None)
    for _ in range(3):
        assert list(actors.finished()) == []
    assert slept == [2.0, 2.0, 2.0]
    assert capsys.readouterr().out == "The cluster has no cores. Waiting for nodes\n"
