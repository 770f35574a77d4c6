"""How much of the machine is ours."""

import os

import pytest

from relbench import cores
from relbench.cores import usable_cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system can't bind a process to cores")
def test_only_cores_that_may_be_used_count():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


V1, V2 = "4:cpu,cpuacct:{}\n3:cpuset:/\n", "0::{}\n"


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        (V2.format("/"), {"cpu.max": "200000 100000"}, 2),  # a container with two of 64 cores
        (V2.format("/"), {"cpu.max": "250000 100000"}, 2),
        (V2.format("/"), {"cpu.max": "50000 100000"}, 1),  # half a core is no whole one, but it has to do
        (V2.format("/"), {"cpu.max": "max 100000"}, 64),
        (V2.format("/"), {}, 64),
        (V2.format("/job/step"), {"job/step/cpu.max": "max 100000", "job/cpu.max": "300000 100000"}, 3),
        (V2.format("/job"), {"job/cpu.max": "800000 100000", "cpu.max": "400000 100000"}, 4),
        (V2.format("/not/seen/from/here"), {"cpu.max": "200000 100000"}, 2),
        (V2.format("/"), {"cpu.max": "9900000 100000"}, 64),
        (V1.format("/"), {"cpu,cpuacct/cpu.cfs_quota_us": "350000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 3),
        (V1.format("/a"), {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "50000"}, 2),
        (V1.format("/"), {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("0::/\n1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "500000", "cpu/cpu.cfs_period_us": "100000"}, 5),  # both versions
        (V2.format("/"), {"cpu.max": "nonsense"}, 64),
        (None, {"cpu.max": "200000 100000"}, 64),  # no /proc
    ],
)
def test_quotas_of_control_groups(tmp_path, monkeypatch, membership, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cores, "MOUNTED", tmp_path / "mounted")
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    assert usable_cores() == expected
