"""Seeding of code that takes no generator, such as the initial values of layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator on the CPU inside a `with`, and restore it after it.

    torch.manual_seed would also reseed those of the GPUs, which are not restored.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
