"""Numbers in words."""

import pytest

from relbench.plain_text import duration_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (600, "10 min"),
        (5400, "1.5 h"),
        (36_000, "10.0 h"),
        (172_800, "2.0 days"),
        (10**7, "115.7 days"),
    ],
)
def test_duration_in_words(seconds, words):
    assert duration_in_words(seconds) == words
