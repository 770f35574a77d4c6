"""Batches on their way to a GPU: on a stream of their own, while it computes the steps before.

The host is ahead of the GPU, as no step waits (`relbench bench waits`). What it sends is copied at once on a stream
that copies alone, and only the computation of that batch waits for it.
"""

from functools import cache

import torch
from torch import Tensor

from relbench.data.random_views import PendingViews
from relbench.losses.placement import beside


def send(images: Tensor | PendingViews, labels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Images and labels on a device, images made there where they are still to be made.

    Args:
        images: of a batch, or what they are made of. Those in pinned memory are copied from there, others from a
            pinned copy.
        labels: likewise.
        device: of the computation.
    """
    if device.type == "cuda":
        there, labels = _on_a_stream_of_their_own(_pinned(images), labels.pin_memory(), device)
    else:
        there = _copied(images, device)
        labels = beside(labels, _tensors(there)[0])
    return there.make(there.images, there.numbers) if isinstance(there, PendingViews) else there, labels


def _on_a_stream_of_their_own(
    images: Tensor | PendingViews, labels: Tensor, device: torch.device
) -> tuple[Tensor | PendingViews, Tensor]:
    computing, copying = torch.cuda.current_stream(device), _copying(device)
    with torch.cuda.stream(copying):
        there, labels_there = _copied(images, device), labels.to(device, non_blocking=True)
    computing.wait_stream(copying)
    for tensor in (*_tensors(there), labels_there):
        tensor.record_stream(computing)  # its memory, which is the copying stream's, is not used anew before
    return there, labels_there


@cache
def _copying(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _pinned(images: Tensor | PendingViews) -> Tensor | PendingViews:
    """In memory that a GPU copies from by itself; what is on a GPU already stays."""
    return images if _tensors(images)[0].is_cuda else images.pin_memory()


def _copied(images: Tensor | PendingViews, device: torch.device) -> Tensor | PendingViews:
    return images.to(device) if isinstance(images, PendingViews) else images.to(device, non_blocking=True)


def _tensors(images: Tensor | PendingViews) -> tuple[Tensor, ...]:
    return (images.images, *images.numbers.values()) if isinstance(images, PendingViews) else (images,)
