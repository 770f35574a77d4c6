"""Rates of a machine that nobody has measured, for tests."""

from relbench.benchmarks.cost.hardware import Host

HOST = Host(
    name="EPYC",
    cores=1,
    on_gpu=False,
    products=1e11,
    selection=1e-9,
    preparation=1e-9,
    merging=1e-8,
    sending=1e9,
    memory=1e11,
    storage=1e9,
    cached=2e9,
)
