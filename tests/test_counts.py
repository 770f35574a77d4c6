"""Counts by group: from single trials, by hand and by a plain loop, and under the names of earlier versions."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relbench.counts import Counts


def test_by_hand():
    """Two of three trials of "b" are right, none of "a" is: 2 / 4."""
    counts = Counts.of(["b", "a", "b", "b"], [True, False, False, True])
    assert counts == Counts(groups=("a", "b"), trials=(1, 3), correct=(0, 2))
    assert counts.share == 0.5


@given(st.lists(st.tuples(st.sampled_from(["x", "y", "été", "10", "9"]), st.booleans()), min_size=1))
def test_in_a_loop(trials):
    counts = Counts.of(*zip(*trials, strict=True))
    for group, count, correct in zip(counts.groups, counts.trials, counts.correct, strict=True):
        assert (count, correct) == (
            sum(one == group for one, _ in trials),
            sum(one == group and right for one, right in trials),
        )
    assert list(counts.groups) == sorted({group for group, _ in trials})
    assert counts.share == pytest.approx(np.mean([right for _, right in trials]))


def test_numbers_of_groups_come_in_their_own_order():
    """As numbers do, not as texts: episode 9 before episode 10."""
    assert Counts.of([10, 9, 10], [1, 0, 1]).groups == ("9", "10")


def test_names_of_earlier_versions():
    counts = Counts(groups=("a", "b"), trials=(1, 3), correct=(0, 2))
    former = {"classes": ["a", "b"], "queries": [1, 3], "correct": [0, 2]}
    assert Counts.model_validate_json(json.dumps(former)) == counts
    assert json.loads(counts.model_dump_json()) == {"groups": ["a", "b"], "trials": [1, 3], "correct": [0, 2]}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"groups": ("a",)}, "of one length, above 0"),
        ({"groups": (), "trials": (), "correct": ()}, "of one length, above 0"),
        ({"correct": (0, 4)}, "more correct trials than trials"),
        ({"correct": (-1, 2)}, "more correct trials than trials"),
        ({"trials": (0, 3)}, "or none at all"),
    ],
)
def test_counts_that_cannot_be(change, why):
    with pytest.raises(ValidationError, match=why):
        Counts(**{"groups": ("a", "b"), "trials": (1, 3), "correct": (0, 2)} | change)


def test_many_episodes_are_short_in_json_and_old_files_are_read():
    """Numbered groups of as many trials each: numbers for lists. Lists mean the same."""
    counts = Counts(groups=tuple(map(str, range(12))), trials=(5,) * 12, correct=tuple(range(1, 6)) + (0,) * 7)
    written = json.loads(counts.model_dump_json())
    assert written == {"groups": 12, "trials": 5, "correct": [*counts.correct]}
    lists = json.dumps({"groups": counts.groups, "trials": counts.trials, "correct": counts.correct})
    former = json.dumps({"classes": counts.groups, "queries": counts.trials, "correct": counts.correct})
    for text in (json.dumps(written), lists, former):
        assert Counts.model_validate_json(text) == counts


@given(st.dictionaries(st.sampled_from("0123ab"), st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=1))
def test_any_counts_are_read_as_they_were_written(made):
    counts = Counts(
        groups=tuple(made), trials=tuple(n for n, _ in made.values()), correct=tuple(c for _, c in made.values())
    )
    assert Counts.model_validate_json(counts.model_dump_json()) == counts
    assert Counts(**counts.model_dump()) == counts


@pytest.mark.parametrize(
    "change",
    [{"groups": 4}, {"groups": True}, {"groups": -3}, {"trials": 0}, {"trials": 5.0}, {"trials": True}, {"correct": 3}],
)
def test_numbers_that_stand_for_no_lists_are_refused(change):
    whole = {"groups": 3, "trials": 5, "correct": [1, 2, 3]}
    assert Counts.model_validate_json(json.dumps(whole)).trials == (5, 5, 5)
    with pytest.raises(ValidationError):
        Counts.model_validate_json(json.dumps(whole | change))


def test_numbers_stand_for_lists_in_files_alone():
    with pytest.raises(ValidationError):
        Counts(groups=3, trials=5, correct=(1, 2, 3))
