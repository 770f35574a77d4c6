import pytest
import torch

from relbench.seeding import seeded


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
