"""Views that are still to be made: what they become on a device, and how they travel there."""

import pickle

import numpy as np
import pytest
import torch
from data.every_source import TRANSFORMS, folder, sources  # noqa: F401 - fixtures

from relbench.benchmarks.pretended import DEVICE, pretended
from relbench.data.random_views import CPU, PendingSource, PendingViews

PENDING = ("files", "decoded", "resized photos", "never mirrored", "glyphs", "textured", *TRANSFORMS)
ONLY = torch.tensor([3, 0, 9, 3])


def pending(source, only=None):
    return source.pending_batch(torch.arange(10), torch.Generator().manual_seed(2), only)


def finished(source, only=None):
    return source.train_batch(torch.arange(10), torch.Generator().manual_seed(2), only)


@pytest.mark.parametrize("kind", PENDING)
@pytest.mark.parametrize("only", [None, ONLY])
def test_views_are_those_of_a_batch_that_is_made_at_once(sources, kind, only):  # noqa: F811
    source = sources[kind]
    assert isinstance(source, PendingSource)
    views = pending(source, only)
    expected = finished(source, only)
    for made in (views.on(CPU), views.on(CPU), pickle.loads(pickle.dumps(views)).on(CPU)):  # again: nothing is used up
        assert torch.equal(made, expected)
        assert made.dtype == expected.dtype


@pytest.mark.parametrize("kind", PENDING)
def test_a_device_makes_them_of_bytes_and_numbers_without_waiting(sources, kind):  # noqa: F811
    """A pretended GPU, which computes as the CPU does: the same bytes, and the same glyphs to rounding."""
    views, expected = pending(sources[kind]), finished(sources[kind])
    assert views.images.dtype == torch.uint8
    with pretended() as gpu:
        views.on(torch.device(DEVICE))  # textures are brought there once
        gpu.waits.clear()
        made = views.on(torch.device(DEVICE))
        assert not gpu.waits
    assert made.device.type == DEVICE
    apart = (made.host.double() - expected.double()).abs().max()
    assert apart <= {"glyphs": 1e-5, "textured": 1}.get(kind, 0)


def test_bytes_are_those_of_images_and_numbers(sources):  # noqa: F811
    views = pending(sources["padded"])
    assert views.nbytes == 10 * (3 * 20 * 20 + 2 * 8 + 1)  # pixels, two places of eight bytes, mirrored or not


def doubled(images, numbers):
    return images * numbers["by"]


def test_pinned_and_moved_alike(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: seen.append(tensor.shape) or tensor)
    views = PendingViews(torch.ones(4, 1), {"by": torch.arange(4)[:, None]}, doubled)
    np.testing.assert_array_equal(views.pin_memory().on(CPU)[:, 0], [0, 1, 2, 3])
    assert seen == [(4, 1), (4, 1)]
