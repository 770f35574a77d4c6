"""What a cluster's resources make of the options; a real one searches in tests/evaluation/gallery."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from relbench.cli import sharding
from relbench.cli.sharding import ShardingOptions


@pytest.fixture
def offered(monkeypatch):
    """A cluster that is said to offer some resources; what is asked of it for a task is noted."""
    resources, asked = {}, []
    monkeypatch.setattr(sharding, "connected", lambda address: nullcontext())
    monkeypatch.setattr(sharding, "ray", lambda: SimpleNamespace(cluster_resources=lambda: resources))
    monkeypatch.setattr(sharding, "over_ray", lambda ray, at_once, **needs: asked.append((at_once, needs)))
    return resources, asked


@pytest.mark.parametrize(
    ("resources", "at_once", "needs"),
    [
        ({"CPU": 64.0, "memory": 20e9}, 5, {"num_cpus": 1, "memory": 4e9}),
        ({"CPU": 3.0, "memory": 20e9}, 3, {"num_cpus": 1, "memory": 4e9}),
        ({"CPU": 64.0, "memory": 20e9, "GPU": 2.0}, 2, {"num_gpus": 1}),
    ],
)
def test_as_many_tasks_as_the_cluster_has_room_for(offered, resources, at_once, needs):
    offered[0].update(resources)
    with ShardingOptions(None, None, "auto").chosen() as chosen:
        assert chosen.memory == 4e9
    assert offered[1] == [(at_once, needs)]


def test_a_cluster_without_room_for_a_task_is_refused(offered):
    offered[0].update({"CPU": 8.0, "memory": 3e9})
    with (
        pytest.raises(ValueError, match=r"\Ano node of the cluster offers a core and 4\.0GB of memory for a task: "),
        ShardingOptions(None, None, "auto").chosen(),
    ):
        pass
