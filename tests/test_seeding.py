from typing import get_args

import pytest
import torch

from relbench.seeding import Stream, seeded, step_generator, step_seed


def drawn(seed):
    with seeded(seed):
        return torch.rand(3)


def test_equal_seeds_give_equal_numbers():
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_the_global_generator_is_put_back():
    before = torch.get_rng_state()
    drawn(1)
    with pytest.raises(KeyError), seeded(2):
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_seeds_and_steps_differ():
    places = [(seed, stream, step) for seed in range(3) for stream in get_args(Stream) for step in range(5)]
    draws = {torch.rand(4, generator=step_generator(*place)).tolist()[0] for place in places}
    assert len(draws) == len(places) == 3 * len(get_args(Stream)) * 5


def test_the_numbers_of_a_step_are_pinned():
    """Whoever changes them makes all finished runs worthless: count CODE_VERSION up if that is meant."""
    seeds = [step_seed(0, "batches", 0), step_seed(0, "views", 0), step_seed(7, "losses", 10**8)]
    assert seeds == [2568496070, 4001394723, 537915556]


def test_no_two_steps_of_a_stream_have_the_same_seed():
    """Hashes of 32 bits would have met five times among so many."""
    assert len({step_seed(1, "views", step) for step in range(200_000)}) == 200_000


def test_the_first_numbers_of_neighbouring_steps_are_independent():
    """Mean, variance and correlation of 5,000 uniform numbers, within four standard errors."""
    drawn = torch.stack([torch.rand(2, generator=step_generator(0, "views", step)) for step in range(5000)])
    first, second = drawn.double().T
    assert abs(first.mean() - 1 / 2) < 4 * (1 / 12 / 5000) ** 0.5
    assert abs(first.var() - 1 / 12) < 4 * (1 / 180 / 5000) ** 0.5
    pairs = torch.stack([first[1:], first[:-1], second[1:]])
    assert torch.corrcoef(pairs).fill_diagonal_(0).abs().max() < 4 / 5000**0.5
