"""The cost model against times that are worked out by hand, and what must hold on any hardware."""

from math import log

import pytest
from benchmarks.cost.hosts import HOST

from relbench.benchmarks.cost.hardware import machines
from relbench.benchmarks.cost.model import cost, laid_out, rows_read, sent_bytes
from relbench.benchmarks.cost.workload import Workload
from relbench.evaluation.gallery.plan import MOST_ITEMS, MOST_QUERIES
from relbench.settings import changed

HERE, *OTHERS = machines(HOST)
CLUSTER = changed(
    OTHERS[-1],
    {"devices": 8, "nodes": 2, "products": 1e12, "selection": 1e-10, "storage": 1e8, "link": 1e9, "sending": 1e7}
    | {"preparation": 1e-9, "cached": 2e9, "task_memory": 1e12, "memory": 1e12},
)
TWO = Workload(gallery=2 * MOST_ITEMS, queries=MOST_QUERIES, dim=125)
"""Two shards, and a chunk: 2^17 rows and 2^16 queries in each; 2^18 + 2 x 2^16 rows are read, which are 3 x 2^17."""


def test_this_machine_by_hand():
    found = cost(TWO, HERE, HOST)
    assert (found.layout.shards, found.layout.chunks, found.layout.rounds, found.layout.busy) == (2, 1, 2, 1)
    assert rows_read(TWO, found.layout) == 3 * 2**17
    assert found.seconds == pytest.approx(
        {
            "reading": 500 * 2**18 / 1e9 + 2 * 500 * 3 * 2**17 / 2e9,  # once from storage; twice from memory
            "preparation": 125 * 3 * 2**17 * 1e-9,
            "products": 2 * 2**18 * 2**16 * 125 / 1e11,
            "selection": 2**18 * 2**16 * 1e-9,
            "merging": 2 * 2**16 * 1e-8,
        }
    )
    assert found.total == pytest.approx(sum(found.seconds.values()))
    assert found.unit_hours == pytest.approx(found.total / 3600)
    assert found.limit == "products"


def test_a_cluster_by_hand():
    """Twelve shards on eight devices, of which six are at work on average; four chunks."""
    workload = Workload(gallery=12 * MOST_ITEMS, queries=4 * MOST_QUERIES, dim=125)
    found = cost(workload, CLUSTER, HOST)
    assert (found.layout.shards, found.layout.chunks, found.layout.rounds, found.layout.busy) == (12, 4, 2, 6)
    rows, queries = 12 * 2**17, 4 * 2**16
    read = 4 * rows + 12 * queries
    sent = 12 * queries * (32 + 48) + 4 * rows * 16 + 16 * 10 * (1 + log(12)) * queries
    assert sent_bytes(workload, found.layout) == pytest.approx(sent)
    assert found.seconds == pytest.approx(
        {
            "reading": 500 * rows / 1e8 + 2 * 500 * read / (6 * 2e9) + 4 * 128 * read / (6 * 1e9),
            "preparation": 125 * read * 1e-9 / 6,
            "products": 2 * rows * queries * 125 / (6 * 1e12),
            "selection": rows * queries * 1e-10 / 6,
            "merging": 12 * queries * 1e-8 + sent / 1e7,
        }
    )


def test_a_gallery_larger_than_memory_is_read_again_and_again():
    small = changed(CLUSTER, {"memory": 1e8, "link": None})
    assert cost(TWO, small, HOST).seconds["reading"] == pytest.approx(500 * (2**18 + 2 * 3 * 2**17) / (2 * 1e8))


@pytest.mark.parametrize("hardware", machines(HOST), ids=lambda each: each.name)
def test_what_holds_everywhere(hardware):
    workload = Workload(gallery=10**9, queries=10**9, dim=512)
    found, layout = cost(workload, hardware, HOST), laid_out(workload, hardware)
    assert layout.shards * MOST_ITEMS >= 10**9
    assert layout.chunks * MOST_QUERIES >= 10**9
    assert layout.busy <= hardware.devices <= hardware.units
    twice = cost(changed(workload, {"queries": 2 * 10**9}), hardware, HOST)
    for stage in found.seconds:
        assert twice.seconds[stage] == pytest.approx(2 * found.seconds[stage], rel=1e-3)
    assert found.limit in found.seconds


def test_many_machines_take_a_part_of_the_time():
    workload = Workload(gallery=10**9, queries=10**6, dim=128)
    alone, many = (cost(workload, each, HOST).seconds for each in machines(HOST)[1:3])
    for stage in ("preparation", "products", "selection"):
        assert alone[stage] == pytest.approx(16 * many[stage], rel=0.1)  # the last round of shards fills not all cores


def test_more_devices_than_shards_are_idle():
    few = Workload(gallery=MOST_ITEMS, queries=10**6, dim=128)
    one, eight, many = (cost(few, each, HOST) for each in machines(HOST)[3:])
    assert one.layout.busy == eight.layout.busy == many.layout.busy == 1
    assert one.seconds["products"] == many.seconds["products"]


def test_cores_together():
    """Two reach 1.8 times the rate of one; a GPU's products do not depend on them."""
    alone = cost(TWO, HERE, HOST).seconds
    two, gpu = (
        cost(TWO, machines(changed(HOST, {"cores": 2, "on_gpu": on_gpu}))[0], HOST).seconds for on_gpu in (False, True)
    )
    assert (two["products"], gpu["products"]) == pytest.approx((alone["products"] / 1.8, alone["products"]))
    assert two["selection"] == gpu["selection"] == pytest.approx(alone["selection"] / 1.8)


def test_storage_that_is_not_known():
    found = cost(TWO, machines(changed(HOST, {"storage": None}))[0], HOST)
    assert found.seconds["reading"] is None
    assert found.total == pytest.approx(sum(value for value in found.seconds.values() if value is not None))
