import math
from io import StringIO

import pytest
from benchmarks.cost.hosts import HOST
from rich.console import Console

from relbench.benchmarks.cost import measured, prediction, tables
from relbench.benchmarks.cost.workload import Workload


@pytest.fixture
def small(monkeypatch):
    """Rates that are measured with few rows."""

    def measure(dim):
        return measured.measure_host(dim, count=3000, queries=300, rounds=1)

    for module in (prediction, tables):
        monkeypatch.setattr(module, "measure_host", measure)
    return measure


def test_rates_of_this_machine(small):
    host = small(8)
    assert host.cores >= 1
    assert 1e6 < host.products < 1e15
    assert 0 <= host.selection < 1e-3
    assert 0 < host.preparation < 1
    assert host.memory > 1e6
    assert 0 < host.merging < 1e-3
    assert host.sending > 1e5
    assert host.storage is None or 1e5 < host.storage < 1e13
    assert 1e5 < host.cached < 1e13


def test_rates_are_quotients_of_times(monkeypatch):
    """Products take 2 s, an evaluation of one query 3 s, of all 10 s; the longer rounds count for nothing."""
    times = {"products": [9.0, 2.0], "single": [3.0, 8.0], "many": [10.0, 11.0], "merging": [1, 2], "sending": [0.5, 1]}
    monkeypatch.setattr(measured, "timed", lambda forms, *_, **__: {name: times[name] for name in forms})
    monkeypatch.setattr(measured, "file_rates", lambda: (None, 1e9))
    host = measured.measure_host(8, count=3000, queries=300)
    assert host.products == pytest.approx(2 * 3000 * 300 * 8 / 2)
    assert host.preparation == pytest.approx(3 / (3000 * 8))
    assert host.selection == pytest.approx((10 - 3 - 2) / (3000 * 300))
    assert host.merging == pytest.approx(1 / 2**16)
    assert host.sending == pytest.approx(2**24 / 0.5)


def test_what_is_predicted_stands_beside_what_is_taken(small):
    workload = Workload(gallery=4000, queries=400, dim=8)
    *figures, shards = prediction.figures((workload,), workload, rows=1000, rounds=1)
    predicted, taken, ratio = (figure.value for figure in figures[-3:])
    assert shards.name == "400 queries in 4,000 x 8: one shard, times shards of 1,000 rows"
    assert shards.value > 0
    assert ratio == pytest.approx(max(predicted, taken) / min(predicted, taken))
    assert math.isfinite(ratio)
    assert figures[-1].target == prediction.OFF


def test_the_table_of_a_plan(small, call):
    done = call("bench", "evaluation", "--plan", "1e9x128")
    assert done.code == 0
    assert done.out.count("1,000,000,000 x 128") == 1
    assert "2.56e+20 operations, gallery of 512 GB" in " ".join(done.out.split())
    for words in ("this machine", "one H100", "data sheet", "70% of each peak", "measured now", "to run it"):
        assert words in done.out


def test_a_column_for_each_kind_of_hardware():
    workload = Workload(gallery=10**6, queries=10**6, dim=125)
    made = tables.cost_table(workload, tables.machines(HOST), HOST)
    lines, *columns = (list(column.cells) for column in made.columns)
    assert len(columns) == 6
    assert made.columns[1].header == "this machine"
    here = dict(zip(lines, columns[0], strict=True))
    assert here["shards x chunks"] == "8 x 16"
    assert (here["products"], here["selection"]) == ("42 min", "17 min")  # 2 x 1e12 x 125 / 1e11 s; 1e12 x 1e-9 s
    assert here["hours"] == "0.977 core-h"  # 3,516 s: 12.5 to read, 3 to prepare, 0.08 to merge
    assert here["limited by"] == "products"


def test_nothing_is_cut_short_in_a_narrow_terminal():
    workload, shown = Workload(gallery=10**9, queries=10**9, dim=128), StringIO()
    Console(width=80, file=shown).print(tables.cost_table(workload, tables.machines(HOST), HOST))
    assert "…" not in shown.getvalue()


@pytest.mark.parametrize("what", ["step", "all", "gpu"])
def test_a_plan_of_something_else(what, call):
    done = call("bench", what, "--plan", "1e9")
    assert done.code == 2
    assert done.error == "relbench: --plan is for relbench bench evaluation alone: leave it out, or write evaluation\n"


def test_a_plan_that_is_refused_measures_nothing(call):
    done = call("bench", "evaluation", "--plan", "lots")
    assert done.code == 2
    assert done.error.startswith("relbench: --plan 'lots': 'lots' is not a number: write the gallery's size")
    assert len(done.error.splitlines()) == 1


@pytest.mark.parametrize(("number", "text"), [(5e5, "0.500 MB"), (5.12e11, "512 GB"), (2e15, "2.00 PB")])
def test_bytes(number, text):
    assert tables.in_bytes(number) == text
