"""The time that a GPU was at work, from what torch's profiler saw."""

from collections.abc import Iterable
from typing import Any

import torch


def busy_seconds(profiler: torch.profiler.profile) -> float:
    """Seconds during which the GPU did anything: kernels and copies that overlap count once.

    What torch annotates, such as the whole of an optimiser's step, is no work.

    Raises:
        RuntimeError: the profiler saw no work on a GPU, as where it may not read the GPU's counters.
    """
    events: Any = profiler.events  # which torch has not typed
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in events() or ()
        if event.device_type.name == "CUDA" and not getattr(event, "is_user_annotation", False)
    ]
    if not spans:
        raise RuntimeError("torch's profiler saw no work on the GPU")
    return covered(spans) / 1e6


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length that spans, each from a start to an end, cover together."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
