"""A Ray cluster of two nodes on this machine, for the tests of this folder."""

import logging
import os
from pathlib import Path

import pytest

from relbench.grid.cluster.connection import connected

STORE = 100 * 2**20  # bytes of each node's object store


@pytest.fixture(scope="session")
def nodes():
    """The cluster: two nodes with a processor each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'relbench-kd[cluster]'")
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an optional package

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    tests = Path(__file__).parents[2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tests.parent), str(tests)]))  # workers find toy runs
        patch.setenv("RAY_worker_niceness", "0")  # else workers wait for all others on a busy machine
        node = {"num_cpus": 1, "object_store_memory": STORE}
        cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **node})
        cluster.add_node(**node)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="session")
def cluster(nodes):
    """The cluster, with this process as its driver."""
    with connected(nodes.address):
        yield nodes
