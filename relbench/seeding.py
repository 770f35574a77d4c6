"""Seeding: the random numbers of each training step, and of code that takes no generator, such as new layers."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

Stream = Literal["batches", "views", "losses", "global", "test episodes", "validation episodes"]
"""What random numbers are drawn for; "global" are torch's own generators, from which layers such as dropout draw."""


def step_generator(seed: int, stream: Stream, step: int) -> torch.Generator:
    """Generator of all random numbers that a training step draws for one purpose.

    A step's numbers follow from these three alone, so they are the same wherever a training begins, in which process
    they are drawn, and whatever else is trained beside it.

    Args:
        seed: of the run.
        stream: the purpose.
        step: counted from 0 at the beginning of the first stage, below 2^32.
    """
    return torch.Generator().manual_seed(step_seed(seed, stream, step))


def step_seed(seed: int, stream: Stream, step: int) -> int:
    """Seed of `step_generator`: 32 bits, all that torch's generator on the CPU takes of a seed.

    The steps of a stream have different seeds, as `_mixed` is a bijection.
    """
    return _mixed(_mixed(step) ^ _key(seed, stream))


@cache
def _key(seed: int, stream: Stream) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {stream}".encode()).digest()[:4], "little")


def _mixed(number: int) -> int:
    """A bijection of 32-bit numbers that changes half of the bits: the finalizer of MurmurHash3 (Appleby)."""
    number = (number ^ (number >> 16)) * 0x85EBCA6B & 0xFFFFFFFF
    number = (number ^ (number >> 13)) * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ (number >> 16)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator on the CPU inside a `with`, and restore it after it.

    torch.manual_seed would also reseed those of the GPUs, which are not restored.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
