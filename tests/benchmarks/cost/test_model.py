"""The cost model against times that are worked out by hand, and what must hold on any hardware."""

import pytest

from relbench.benchmarks.cost.hardware import Host, machines
from relbench.benchmarks.cost.model import cost, laid_out
from relbench.benchmarks.cost.workload import Workload
from relbench.settings import changed

HOST = Host(name="a", cores=1, on_gpu=False, products=1e11, selection=1e-9, preparation=1e-9, memory=1e10, storage=1e9)
HERE, *OTHERS = machines(HOST)
CLUSTER = changed(
    OTHERS[-1],
    {
        "devices": 8,
        "nodes": 2,
        "products": 1e12,
        "selection": 1e-10,
        "preparation": 1e-9,
        "memory": 1e9,
        "storage": 1e8,
        "link": 1e9,
        "network": 1e7,
    },
)
MILLION = Workload(gallery=10**6, queries=10**6, dim=125)


def test_this_machine_by_hand():
    found = cost(MILLION, HERE)
    assert found.layout == laid_out(MILLION, HERE)
    assert found.layout.shards == 1  # 512 MB of 8,000
    assert found.seconds == pytest.approx(
        {
            "reading": 1.0,  # 500 MB of gallery and as much of queries, 1 GB a second
            "preparation": 0.125,  # 125 million numbers
            "products": 2500,  # 2 x 1e12 x 125 / 1e11
            "selection": 1000,  # 1e12 pairs
            "merging": 0,  # of one shard
        }
    )
    assert found.total == pytest.approx(3501.125)
    assert found.device_hours == pytest.approx(3501.125 / 3600)
    assert found.limit == "products"


def test_a_cluster_by_hand():
    """Rows of 128 columns, 512 bytes: two of 8 devices hold a gallery of 3 million, in four groups on two machines."""
    workload = Workload(gallery=3 * 10**6, queries=4 * 10**6, dim=125)
    found = cost(workload, CLUSTER)
    assert (found.layout.shards, found.layout.groups, found.layout.rounds) == (2, 4, 1)
    assert found.merged_bytes == 4e6 * 2 * 100 * 16
    assert found.seconds == pytest.approx(
        {
            # a machine: 4 halves of 1.5 GB and 2 of 4 quarters of 2 GB at 0.1 GB/s; a device: a half and a quarter
            "reading": (3 + 1) / 0.1 + 0.75 + 0.5,
            "preparation": 0.1875,  # half of 375 million numbers
            "products": 375,  # 2 x 12e12 x 125 / (8 x 1e12)
            "selection": 150,  # 12e12 x 1e-10 / 8
            "merging": 640,  # 12.8 GB, from two machines at 10 MB a second each
        }
    )
    assert found.limit == "merging"


def test_rounds_where_memory_is_short():
    """Nine shards of 800 MB: eight devices hold eight of sixteen at once, and read the queries twice."""
    workload = Workload(gallery=14 * 10**6, queries=10**6, dim=125)
    found = cost(workload, CLUSTER)
    assert (found.layout.shards, found.layout.groups, found.layout.rounds) == (16, 1, 2)
    assert found.seconds["reading"] == pytest.approx((7 / 2 + 0.5 * 2) / 0.1 + 7 / 8 + 0.5 * 2)


@pytest.mark.parametrize("hardware", machines(HOST), ids=lambda each: each.name)
def test_what_holds_everywhere(hardware):
    workload = Workload(gallery=10**9, queries=10**9, dim=512)
    found = cost(workload, hardware)
    layout = found.layout
    assert layout.shards * layout.groups == hardware.devices * layout.rounds
    assert layout.rounds == 1 or layout.groups == 1
    row = 4 * (512 + 3)
    assert row * 1e9 / layout.shards <= hardware.memory
    twice = cost(changed(workload, {"queries": 2 * 10**9}), hardware)
    for stage in ("products", "selection", "merging"):
        assert twice.seconds[stage] == pytest.approx(2 * found.seconds[stage])
    assert sum(found.seconds.values()) == pytest.approx(found.total)
    assert found.limit in found.seconds


def test_twice_the_machines_take_half_the_time_of_products():
    one, many = (cost(MILLION, each).seconds for each in machines(HOST)[1:3])
    assert one["products"] == pytest.approx(16 * many["products"])
    assert one["selection"] == pytest.approx(16 * many["selection"])


def test_storage_that_is_not_known():
    found = cost(MILLION, machines(changed(HOST, {"storage": None}))[0])
    assert found.seconds["reading"] is None
    assert found.total == pytest.approx(3500.125)


def test_cores_together():
    """Two reach 1.8 times the rate of one; a GPU's products do not depend on them."""
    two = cost(MILLION, machines(changed(HOST, {"cores": 2}))[0]).seconds
    gpu = cost(MILLION, machines(changed(HOST, {"cores": 2, "on_gpu": True}))[0]).seconds
    assert (two["products"], two["selection"]) == pytest.approx((2500 / 1.8, 1000 / 1.8))
    assert (gpu["products"], gpu["selection"]) == pytest.approx((2500, 1000 / 1.8))
