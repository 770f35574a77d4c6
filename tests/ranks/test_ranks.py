"""Processes that share a run exchange what they should, and end together."""

import pytest

from relbench.ranks import ALONE, Ranks


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [0, 1, 3, 8, 10])
def test_shares_are_all_rows_in_order(count, length):
    shares = [Ranks(rank, count).share(length) for rank in range(count)]
    assert [row for share in shares for row in range(length)[share]] == list(range(length))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert ALONE.share(length) == slice(0, length)
