"""Crops, flips and colours of small images in torch alone: the bytes of the CPU's form."""

import pytest
import torch

from relbench.benchmarks.pretended import DEVICE, pretended
from relbench.data.images import on_device
from relbench.data.images.augmentation import ON_CPU, ON_DEVICE, SmallViews, padded_crops, random_boxes, resized_crops
from relbench.transforms import SmallTransform

COUNT = 40
TRANSFORMS = (
    SmallTransform(),
    SmallTransform(padding="reflect"),
    SmallTransform(padding="reflect", pad=40),  # more than a small image, and so reflected more than once
    SmallTransform(pad=0),
    SmallTransform(crop="none"),
    SmallTransform(crop="none", flip=False, rotation=30),
    SmallTransform(pad=2, rotation=180, jitter=0.5),
)
RESIZED = SmallTransform(crop="resized", rotation=10, jitter=0.3)


def noise(side, channels):
    generator = torch.Generator().manual_seed(side)
    return torch.randint(256, (COUNT, channels, side, side), dtype=torch.uint8, generator=generator)


def both_forms(transform, side, channels):
    """Views by numpy and by torch; neither writes to the images."""
    images, maker = noise(side, channels), SmallViews(transform, side)
    numbers = maker.draw(COUNT, torch.Generator().manual_seed(1))
    views = [maker.made(images, numbers, forms) for forms in (ON_CPU, ON_DEVICE)]
    assert torch.equal(images, noise(side, channels))
    return views


@pytest.mark.parametrize("side", [1, 9, 16, 28, 33])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_both_forms_make_the_same_bytes(transform, side, channels):
    if channels == 1:
        transform = transform.model_copy(update={"jitter": 0.0})
    numpys, torchs = both_forms(transform, side, channels)
    assert (numpys.shape, numpys.dtype) == (torchs.shape, torchs.dtype)
    assert torch.equal(numpys, torchs)


@pytest.mark.parametrize("side", [8, 32, 64])
def test_resized_crops_too_where_sums_are_exact(side):
    assert torch.equal(*both_forms(RESIZED, side, 3))


@pytest.mark.parametrize("side", [13, 28, 84])
def test_elsewhere_resized_crops_differ_by_a_level_at_most(side):
    """By none where products are added in one step."""
    images, boxes = noise(side, 3), random_boxes(COUNT, side, torch.Generator().manual_seed(2))
    apart = (resized_crops(images, boxes).int() - on_device.resized_crops(images, boxes).int()).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 1e-3


def test_an_empty_batch():
    for transform in (*TRANSFORMS, RESIZED):
        maker = SmallViews(transform, 16)
        numbers = maker.draw(0, torch.Generator())
        assert maker.made(torch.empty(0, 3, 16, 16, dtype=torch.uint8), numbers, ON_DEVICE).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("transform", [*TRANSFORMS, RESIZED])
def test_nothing_waits_for_the_device(transform):
    maker, images = SmallViews(transform, 16), noise(16, 3)
    numbers = maker.draw(COUNT, torch.Generator().manual_seed(1))
    with pretended() as gpu:
        there = {name: drawn.to(DEVICE) for name, drawn in numbers.items()}
        given = images.to(DEVICE)
        gpu.waits.clear()
        views = maker.make(given, there)
        assert not gpu.waits
    assert views.device.type == DEVICE
    assert torch.equal(views.host, maker.make(images, numbers))


def test_a_place_beyond_the_padding_reads_no_other_memory():
    images = noise(8, 1)[:1]
    for place in (-9, 99):
        places = torch.full((2, 1), place)
        assert not on_device.padded_crops(images, places, 4, "zero").any()
        with pytest.raises(ValueError, match="begin at 0 to 8"):
            padded_crops(images, places, 4, "zero")
