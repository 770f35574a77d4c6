"""What a cluster's resources make of the options; a real one searches in tests/evaluation/gallery."""

from contextlib import nullcontext

import pytest

from relbench.cli import sharding
from relbench.cli.sharding import ShardingOptions
from relbench.evaluation.gallery.plan import LIBRARIES

FEW, MANY = {"CPU": 3.0, "memory": 9e9}, {"CPU": 64.0, "memory": 20e9}
SMALL, GPUS = {"CPU": 8.0, "memory": 3e9}, {"CPU": 64.0, "memory": 20e9, "GPU": 2.0}


@pytest.fixture
def offered(monkeypatch):
    """Nodes that a cluster is said to have; what is asked of it for a task is noted."""
    nodes, asked = [], []
    monkeypatch.setattr(sharding, "connected", lambda address: nullcontext())
    monkeypatch.setattr(sharding, "resources", lambda: nodes)
    monkeypatch.setattr(sharding, "over_ray", lambda at_once, **needs: asked.append((at_once, needs)))
    return nodes, asked


@pytest.mark.parametrize(
    ("nodes", "at_once", "needs"),
    [
        ([MANY], 5, {}),
        ([FEW], 2, {}),
        ([FEW, MANY, SMALL, {}], 7, {}),
        ([GPUS, MANY], 2, {"num_gpus": 1}),
    ],
)
def test_as_many_tasks_as_the_nodes_have_room_for(offered, nodes, at_once, needs):
    """Each task on one node: what several have left is of no use to it."""
    offered[0].extend(nodes)
    with ShardingOptions(None, None, "auto").chosen() as chosen:
        assert (chosen.memory, chosen.used) == (4e9, LIBRARIES)
    assert offered[1] == [(at_once, {"num_cpus": 1, "memory": 4e9, **needs})]


@pytest.mark.parametrize(
    ("nodes", "what"), [([SMALL, SMALL], "a core"), ([{**SMALL, "GPU": 1.0}, MANY], "a core with a GPU")]
)
def test_a_cluster_without_room_for_a_task_is_refused(offered, nodes, what):
    offered[0].extend(nodes)
    with (
        pytest.raises(ValueError, match=rf"\Ano node of the cluster offers {what} and 4\.0GB of memory for a task: "),
        ShardingOptions(None, None, "auto").chosen(),
    ):
        pass


@pytest.mark.parametrize("memory", ["0", "-1", "0.5"])
def test_no_memory_is_refused(offered, memory):
    with (
        pytest.raises(ValueError, match=f"--memory {memory}: give a number of bytes"),
        ShardingOptions(memory, None, "auto").chosen(),
    ):
        pass
