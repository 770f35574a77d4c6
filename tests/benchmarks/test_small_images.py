"""The benchmark of small images at a tiny size: the figures that it promises, and the same views on both sides."""

from relbench.benchmarks.small_images import TARGET, figures


def test_figures():
    found = list(figures(count=300, rounds=2))
    assert len(found) == 5
    assert [figure.target for figure in found] == [TARGET, None, None, None, None]
    assert all(figure.value > 0 for figure in found)
    assert len({figure.name for figure in found}) == 5
    assert found[0].bound == "at least"
