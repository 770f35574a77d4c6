"""Views of small images: those of torchvision's transforms of PIL's images, drawn as they draw them."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import RandomCrop, RandomResizedCrop
from torchvision.transforms import functional as pil_views

from relbench.data.images.augmentation import (
    SmallViews,
    flipped,
    padded_crops,
    random_boxes,
    random_colours,
    recoloured,
    resized_crops,
    turned,
    turns,
)
from relbench.data.random_views import random_views as views_by
from relbench.transforms import SmallTransform

CHANGES = (pil_views.adjust_brightness, pil_views.adjust_contrast, pil_views.adjust_saturation)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(count, side):
    return torch.randint(256, (count, 3, side, side), generator=seeded(side), dtype=torch.uint8)


def random_views(images, transform, generator):
    return views_by(SmallViews(transform, images.shape[-1]), images, generator)


def rotated(images, angles):
    return turned(images, turns(angles, images.shape[-1]))


def as_pil(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def by_pil(images, change, *drawn):
    """The views that a function of a PIL image, and of the numbers drawn for it, makes of each."""
    views = [change(as_pil(image), *numbers) for image, *numbers in zip(images, *drawn, strict=True)]
    return torch.stack([torch.from_numpy(np.array(view)).permute(2, 0, 1) for view in views])


@pytest.mark.parametrize("side", [32, 13])
@pytest.mark.parametrize(("padding", "mode"), [("zero", "constant"), ("reflect", "reflect")])
def test_padded_crops_are_pils(side, padding, mode):
    images, places = noise(60, side), torch.randint(9, (2, 60), generator=seeded())
    places[:, :2] = torch.tensor([[0, 8], [8, 0]])
    views = padded_crops(images, places, 4, padding)

    def cropped(image, top, left):
        return pil_views.crop(pil_views.pad(image, 4, padding_mode=mode), top, left, side, side)

    assert torch.equal(views, by_pil(images, cropped, *places.tolist()))
    assert views.is_contiguous()


def test_padded_crops_by_definition():
    images, places = noise(5, 6), torch.tensor([[0, 1, 2, 4, 3], [4, 0, 2, 1, 3]])
    for padding in ("zero", "reflect"):
        views = padded_crops(images, places, 2, padding)
        for number, channel, row, column in np.ndindex(5, 3, 6, 6):
            at = [int(place[number]) + where - 2 for place, where in zip(places, (row, column), strict=True)]
            inside = all(0 <= one < 6 for one in at)
            top, left = (min(abs(one), 10 - abs(one)) for one in at)
            expected = 0 if padding == "zero" and not inside else images[number, channel, top, left]
            assert views[number, channel, row, column] == expected


@pytest.mark.parametrize("place", [-1, 9])
def test_a_crop_beyond_the_padding_is_refused(place):
    with pytest.raises(ValueError, match="begin at 0 to 8"):
        padded_crops(noise(1, 8), torch.tensor([[0], [place]]), 4, "zero")


@pytest.mark.parametrize("side", [32, 13])
def test_flips_are_pils(side):
    images, chosen = noise(20, side), torch.rand(20, generator=seeded()) < 0.5
    expected = by_pil(images, lambda image, mirror: pil_views.hflip(image) if mirror else image, chosen)
    flipped(images, chosen)
    assert torch.equal(images, expected)


@pytest.mark.parametrize(("side", "apart"), [(32, 0), (64, 0), (13, 2)])
def test_resized_crops_are_pils(side, apart):
    count = 300
    images, boxes = noise(count, side), random_boxes(count, side, seeded())
    boxes[:, 0] = torch.tensor([0, 0, side, side])
    boxes[:, 1] = torch.tensor([side - 1, 3, 1, 1])
    views = resized_crops(images, boxes)

    def cropped(image, *box):
        return pil_views.resized_crop(image, *box, [side, side])

    expected = by_pil(images, cropped, *boxes.tolist())
    assert (views.int() - expected.int()).abs().max() <= apart
    assert torch.equal(views[0], images[0])


def test_resized_crops_by_definition():
    """Half a pixel's offset, and the crop's edge continued."""
    image, (top, left, height, width) = noise(1, 8), (1, 2, 5, 3)
    part = image[0, :, top : top + height, left : left + width].double()

    def line(values, place):
        length = len(values)
        centre = (place + 0.5) * length / 8 - 0.5
        below = math.floor(centre)
        share = centre - below
        near, far = (values[min(max(below + step, 0), length - 1)] for step in (0, 1))
        return math.floor((1 - share) * near + share * far + 0.5)

    (view,) = resized_crops(image, torch.tensor([[top], [left], [height], [width]]))
    for channel in range(3):
        rows = [[line(row.tolist(), column) for column in range(8)] for row in part[channel]]
        expected = [[line([row[column] for row in rows], at) for column in range(8)] for at in range(8)]
        assert view[channel].tolist() == expected


def test_random_boxes_are_distributed_as_torchvisions():
    count, side = 4000, 32
    tops, lefts, heights, widths = random_boxes(count, side, seeded()).numpy()
    torch.manual_seed(0)
    image = torch.zeros(3, side, side)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]).T
    of_ours = (tops, lefts, heights, widths, heights * widths, widths / heights)
    of_theirs = (*theirs, theirs[2] * theirs[3], theirs[3] / theirs[2])
    for ours, other in zip(of_ours, of_theirs, strict=True):
        assert ks_2samp(ours, other).pvalue > 1e-3
    assert ((tops + heights <= side) & (lefts + widths <= side) & (tops >= 0) & (lefts >= 0)).all()
    assert ((heights >= 1) & (widths >= 1)).all()


@pytest.mark.parametrize("side", [32, 13])
def test_rotations_are_pils(side):
    images, angles = noise(80, side), 360 * torch.rand(80, generator=seeded()) - 180
    angles[0] = 0
    expected = by_pil(images, pil_views.rotate, angles.tolist())
    assert torch.equal(rotated(images, angles), expected)


def test_a_quarter_turn():
    images = noise(1, 8)
    assert torch.equal(rotated(images, torch.tensor([90.0])), images.rot90(1, (2, 3)))


def test_colours_are_pils():
    images, (factors, orders) = noise(200, 16), random_colours(200, 0.6, seeded())
    dark = torch.linspace(0, 1, 200)[:, None, None, None]
    images = (images * dark).to(torch.uint8)

    def changed(image, order, *strengths):
        for number in order:
            image = CHANGES[number](image, strengths[number])
        return image

    expected = by_pil(images, changed, orders.tolist(), *factors.tolist())
    apart = (recoloured(images, factors, orders).int() - expected.int()).abs()
    assert apart.max() <= 1
    assert (apart > 0).float().mean() < 1e-3  # machines that add a product in one step round a few levels otherwise


def test_factors_of_colours_are_uniform_and_orders_equally_likely():
    factors, orders = random_colours(6000, 0.4, seeded())
    for factor in factors:
        assert factor.min() >= 0.6
        assert factor.max() <= 1.4
        assert ks_2samp(factor.numpy(), np.linspace(0.6, 1.4, 6000)).pvalue > 1e-3
    counts = Counter(map(tuple, orders.tolist()))
    assert len(counts) == 6
    assert all(abs(count - 1000) < 5 * 1000**0.5 for count in counts.values())


def test_the_documented_numbers_are_drawn():
    images, every = noise(50, 16), SmallTransform(pad=3, padding="reflect", rotation=30, jitter=0.3)
    generator = seeded(5)
    views = padded_crops(images, torch.randint(7, (2, 50), generator=generator), 3, "reflect")
    flipped(views, torch.rand(50, generator=generator) < 0.5)
    views = rotated(views, 30 * (2 * torch.rand(50, generator=generator) - 1))
    views = recoloured(views, *random_colours(50, 0.3, generator))
    assert torch.equal(random_views(images, every, seeded(5)), views)
    resized = SmallTransform(crop="resized", flip=False)
    assert torch.equal(random_views(images, resized, seeded(5)), resized_crops(images, random_boxes(50, 16, seeded(5))))
    whole = SmallTransform(crop="none", flip=False)
    assert torch.equal(random_views(images, whole, seeded(5)), images)


def test_places_and_flips_are_distributed_as_torchvisions():
    """Every place as likely as any other, half of the views mirrored."""
    ramp = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    ramp[:, 0], ramp[:, 1], ramp[:, 2] = 10 + torch.arange(8)[:, None], 10 + torch.arange(8), 1
    views = random_views(ramp.expand(4000, -1, -1, -1), SmallTransform(pad=1), seeded()).int()
    inside = views[:, :, 3:5, 3:5]
    tops, lefts = inside[:, 0, 0, 0], inside[:, 1, 0].min(dim=1).values
    mirrored = inside[:, 1, 0, 0] > inside[:, 1, 0, 1]
    counts = Counter(zip(tops.tolist(), lefts.tolist(), mirrored.tolist(), strict=True))
    assert len(counts) == 18
    assert all(abs(count - 4000 / 18) < 5 * (4000 / 18) ** 0.5 for count in counts.values())
    torch.manual_seed(0)
    draw = RandomCrop(8, padding=1).get_params
    theirs = Counter(draw(torch.zeros(3, 10, 10), (8, 8))[:2] for _ in range(900))
    assert set(theirs) == {(top, left) for top in range(3) for left in range(3)}


@pytest.mark.parametrize("transform", [{}, {"crop": "resized", "rotation": 15, "jitter": 0.4}])
def test_no_other_random_numbers_are_used(transform):
    images, settings = noise(20, 16), SmallTransform(**transform)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = random_views(images, settings, seeded())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(random_views(images, settings, seeded()), first)
    assert first.dtype == torch.uint8
    assert not torch.equal(random_views(images, settings, seeded(1)), first)


def test_an_empty_batch():
    for settings in (SmallTransform(rotation=10, jitter=0.1), SmallTransform(crop="resized")):
        assert random_views(noise(0, 16), settings, seeded()).shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    "transform",
    [
        SmallTransform(),
        SmallTransform(padding="reflect", pad=3, flip=False),
        SmallTransform(crop="resized"),
        SmallTransform(crop="none", flip=False, rotation=20),
    ],
)
@pytest.mark.parametrize("side", [28, 16])
def test_views_of_grey_images_are_those_of_their_plane(transform, side):
    grey = noise(40, side)[:, :1]
    coloured = random_views(grey.repeat(1, 3, 1, 1), transform, seeded(1))
    views = random_views(grey.clone(), transform, seeded(1))
    assert views.shape == grey.shape
    assert torch.equal(views.repeat(1, 3, 1, 1), coloured)
    assert not torch.equal(views, grey)
