"""Distorted views against their definition in plain loops."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import affine_grid, interpolate

from relbench.data.glyphs import views
from relbench.data.glyphs.views import Distortion, affine_maps, places
from relbench.data.random_views import random_views


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=3, side=16, channels=1):
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator(9))


def bright_pixel(side, row, column):
    picture = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    picture[0, 0, row, column] = 255
    return picture


def matrix(numbers):
    """Scale times rotation times shear, and the shift."""
    angle, scale = views.ROTATION * numbers[0], math.exp(views.SCALE * numbers[1])
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1, views.SHEAR * numbers[2]], [views.SHEAR * numbers[3], 1]])
    return scale * rotation @ shear, views.SHIFT * np.array(numbers[4:])


def view_in_loops(picture, linear, shift, size):
    """Each pixel of the view takes, by bilinear weights, from where the map sends its middle; outside is 0."""
    side = len(picture)
    view = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            place = np.array([(2 * column + 1) / size - 1, (2 * row + 1) / size - 1])
            x, y = ((linear @ place + shift + 1) * side - 1) / 2  # in pixels, the first one's middle being 0
            for at_row in range(side):
                for at_column in range(side):
                    weight = max(0, 1 - abs(x - at_column)) * max(0, 1 - abs(y - at_row))
                    view[row, column] += weight * picture[at_row, at_column] / 255
    return view


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_as_defined(monkeypatch, strength):
    monkeypatch.setattr(views, "NOISE", 0.0)
    given = pictures(side=10)
    found = random_views(Distortion(size=6, strength=strength), given, generator(4)).numpy()
    numbers = (2 * torch.rand(3, 6, generator=generator(4)).double() - 1) * strength
    for picture, row, view in zip(given, numbers.tolist(), found, strict=True):
        np.testing.assert_allclose(view[0], view_in_loops(picture[0].numpy(), *matrix(row), size=6), atol=2e-5)


def test_maps_as_defined():
    numbers = 2 * torch.rand(5, 6, generator=generator(), dtype=torch.float64) - 1
    for row, found in zip(numbers.tolist(), affine_maps(numbers), strict=True):
        linear, shift = matrix(row)
        np.testing.assert_allclose(found[:, :2], linear)
        np.testing.assert_allclose(found[:, 2], shift)


@pytest.mark.parametrize("size", [1, 13, 28])
def test_places_on_a_device_are_those_of_the_affine_grid(size):
    maps = affine_maps(2 * torch.rand(5, 6, generator=generator()) - 1)
    expected = affine_grid(maps, [5, 1, size, size], align_corners=False)
    torch.testing.assert_close(places(maps, size), expected, atol=1e-6, rtol=0)


def undistorted_but(place, value, size):
    """A view with one of the six numbers at `value`, the others at none, without noise."""
    numbers = torch.full((1, 6), 0.5)
    numbers[0, place] = 1.0
    strength = value / (views.ROTATION, views.SCALE, views.SHEAR, views.SHEAR, views.SHIFT, views.SHIFT)[place]
    distortion = Distortion(size, strength)
    return lambda picture: distortion.moved(picture, distortion.maps(numbers))


def test_a_quarter_turn_moves_a_pixel():
    """The view at (x, y) shows the picture at (-y, x): what is at the right (3, 6 of 8) is seen on top (1, 3)."""
    view = undistorted_but(0, math.pi / 2, size=8)(bright_pixel(8, 3, 6))[0, 0]
    assert view[1, 3] == pytest.approx(1, abs=1e-5)
    assert view.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("place", "seen"), [(4, (5, 2)), (5, (3, 4))])
def test_a_shift_moves_a_pixel(place, seen):
    """By half of half the side, 2 of 8 pixels: the window goes right or down, what is seen goes left or up."""
    view = undistorted_but(place, 0.5, size=8)(bright_pixel(8, 5, 4))[0, 0]
    assert view[seen] == pytest.approx(1, abs=1e-5)
    assert view.sum() == pytest.approx(1, abs=1e-5)


def test_scale_shows_more_of_the_page():
    """Twice as much from side to side: a full picture of 8 becomes a square of 4 in the middle."""
    full = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    view = undistorted_but(1, math.log(2), size=8)(full)[0, 0]
    expected = torch.zeros(8, 8)
    expected[2:6, 2:6] = 1
    torch.testing.assert_close(view, expected, atol=1e-5, rtol=0)


def test_strength_zero_only_resizes():
    given = pictures(side=16, channels=3)
    for size in (16, 8, 11):
        resized = interpolate(given.float() / 255, size=(size, size), mode="bilinear", align_corners=False)
        found = Distortion(size, 0.0)
        torch.testing.assert_close(random_views(found, given, generator()), resized, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.fixed(given, torch.arange(3)), resized, atol=1e-5, rtol=0)


def test_half_the_size_is_the_mean_of_four():
    given = pictures(side=16)
    mean = given.float().view(3, 1, 8, 2, 8, 2).mean(dim=(3, 5)) / 255
    torch.testing.assert_close(random_views(Distortion(8, 0.0), given, generator()), mean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("strength", [0.0, 1.0, 2.0])
def test_range_and_shape(strength):
    found = random_views(Distortion(12, strength), pictures(count=20, channels=2), generator())
    assert found.shape == (20, 2, 12, 12)
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_noise(strength):
    """In the middle of an even grey only the noise is left."""
    grey = torch.full((50, 1, 32, 32), 128, dtype=torch.uint8)
    for found in (
        random_views(Distortion(32, strength), grey, generator()),
        Distortion(32, strength).fixed(grey, torch.arange(50)),
    ):
        middle = found[:, :, 12:20, 12:20]
        assert middle.std().item() == pytest.approx(views.NOISE * strength, rel=0.05)
        assert middle.mean().item() == pytest.approx(128 / 255, abs=0.01)


def test_numbers_fill_their_ranges():
    """Uniform from -1 to 1, so also their largest amounts are those at the head of the file."""
    white = torch.full((2000, 1, 2, 2), 255, dtype=torch.uint8)
    seen = []
    original = views.affine_maps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "affine_maps", lambda numbers: seen.append(numbers) or original(numbers))
        random_views(Distortion(2, 1.0), white, generator())
        Distortion(2, 1.0).fixed(white, torch.arange(2000))
    for numbers in seen:
        assert numbers.abs().max() <= 1
        assert (numbers.amin(dim=0) < -0.99).all()
        assert (numbers.amax(dim=0) > 0.99).all()
        assert numbers.std(dim=0) == pytest.approx(torch.full((6,), 1 / math.sqrt(3)), rel=0.05)


def test_random_depends_on_the_generator_alone():
    given, distortion = pictures(), Distortion(8, 1.0)
    before = torch.get_rng_state()
    first, again, other = (random_views(distortion, given, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_random_distorts_each_picture_in_a_way_of_its_own():
    same = pictures(count=1).expand(4, -1, -1, -1)
    found = random_views(Distortion(8, 1.0), same, generator())
    assert len({view.numpy().tobytes() for view in found}) == 4


def test_fixed_depends_on_the_key_alone():
    """Not on the place in the batch, nor on what else is in it: to the last bit."""
    given, distortion, keys = pictures(count=9), Distortion(8, 1.0), torch.tensor([3, 1, 4, 15, 9, 2, 6, 5, 35])
    whole = distortion.fixed(given, keys)
    order = torch.tensor([7, 2, 0])
    assert torch.equal(distortion.fixed(given[order], keys[order]), whole[order])
    same = distortion.fixed(given[:1].expand(3, -1, -1, -1), torch.tensor([5, 6, 5]))
    assert torch.equal(same[0], same[2])
    assert not torch.equal(same[0], same[1])


def test_fixed_leaves_the_global_generator():
    before = torch.get_rng_state()
    Distortion(8, 1.0).fixed(pictures(), torch.arange(3))
    assert torch.equal(torch.get_rng_state(), before)
