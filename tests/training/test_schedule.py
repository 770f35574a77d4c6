"""Where a rate decays, where the history has entries, and where a longer training may go on from a shorter one."""

import pytest

from relbench.experiment import Experiment, Term, Training
from relbench.settings import changed
from relbench.training.schedule import is_logged, logged_until, may_go_on_from


def run(steps=100, **training):
    return Experiment(terms=(Term(loss="triplet"),), training=Training(steps=steps, validate_every=20, **training))


@pytest.mark.parametrize(
    ("shorter", "longer", "leads"),
    [
        (run(60), run(100), True),
        (run(100), run(100), False),
        (run(120), run(100), False),
        (run(50), run(100), False),  # no validation there, so no checkpoint
        (run(60), run(100, decay_at=(0.7,)), True),  # the rate has not changed yet
        (run(60), run(100, decay_at=(0.6,)), False),  # it has, if only at the end
        (run(60, decay_at=(1.0,)), run(100, decay_at=(0.6,)), True),
        (run(60, decay_at=(1.0,)), run(100), False),
        (run(60, decay_at=(0.5,)), run(100, decay_at=(0.5,)), False),
        (run(60, decay_at=(0.5,)), run(100, decay_at=(0.3, 0.8)), True),
        (run(60, learning_rate=2.0), run(100), False),
        (changed(run(60), {"seed": 1}), run(100), False),
    ],
)
def test_a_longer_run_is_a_shorter_one_up_to_there(shorter, longer, leads):
    assert may_go_on_from(longer, shorter) == leads


def test_entries_stand_close_together_at_the_beginning():
    logged = [step for step in range(1, 300) if is_logged(step)]
    assert logged == [*range(1, 32), *range(32, 64, 2), *range(64, 128, 4), *range(128, 256, 8), 256, 272, 288]


def test_the_number_of_entries():
    count = 0
    for step in range(1, 5000):
        count += is_logged(step)
        assert logged_until(step) == count
    assert [logged_until(steps) for steps in (1000, 8000, 80_000)] == [111, 159, 211]
