"""Random numbers of code that takes no generator, such as the first values of layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """For the time of a `with`, torch's global generator on the CPU is a freshly seeded one; then it is as before.

    Not by torch.manual_seed: that would reseed the GPUs' too, which are not put back.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
