import pytest

from relbench.benchmarks.cost.workload import DIMS, parse_workloads


@pytest.mark.parametrize(
    ("text", "gallery", "queries", "dims"),
    [
        ("1e9", 10**9, 10**9, DIMS),
        ("1e6x128", 10**6, 10**6, (128,)),
        ("1e9:1e4", 10**9, 10**4, DIMS),
        ("60502x512:1", 60_502, 1, (512,)),
        ("2.5e3x1", 2500, 2500, (1,)),
    ],
)
def test_forms(text, gallery, queries, dims):
    found = parse_workloads(text)
    assert [(each.gallery, each.queries, each.dim) for each in found] == [(gallery, queries, dim) for dim in dims]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not a number"),
        ("many", "'many' is not a number"),
        ("1e9x", "stops where a number should follow"),
        ("1e9x128:", "stops where a number should follow"),
        ("1e9x:5", "stops where a number should follow"),
        ("1e9x128x2", "'128x2' is not a number"),
        ("0", "0 is not a whole number from 1"),
        ("-5:3", "-5 is not a whole number from 1"),
        ("1.5", "1.5 is not a whole number from 1"),
        ("1e16", "1e16 is not a whole number from 1 to 1e[+]15"),
        ("nan", "nan is not a whole number"),
        ("1e9x128:inf", "inf is not a whole number"),
    ],
)
def test_what_is_refused(text, why):
    with pytest.raises(ValueError, match=why) as refused:
        parse_workloads(text)
    assert f"--plan {text!r}" in str(refused.value)
    assert "as in 1e9x128:1e4" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sizes_are_counted():
    (workload,) = parse_workloads("3x5:2")
    assert (workload.pairs, workload.operations) == (6, 60)  # of each of 6 pairs, 5 products and 5 sums
    assert (workload.gallery_bytes, workload.query_bytes) == (60, 40)
