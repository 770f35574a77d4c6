"""Textures: tiles, and painting against its definition in plain loops."""

import hashlib

import numpy as np
import pytest
import torch

from relbench.data.glyphs import textures
from relbench.data.glyphs.textures import (
    LAYERS,
    LEAST_CONTRAST,
    MOST_CONTRAST,
    NUMBERS,
    TILE,
    mean_colours,
    painted,
    painted_on_device,
    tiles,
)


@pytest.fixture(scope="module")
def patterns():
    return tiles(16)


def numbers(count, seed=0):
    return torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(seed))


def masks(count, size=16):
    return np.random.default_rng(3).random((count, size, size)).astype(np.float32)


def test_tiles_are_always_the_same():
    """Who changes these changes the data: count VERSION up."""
    digest = hashlib.sha256(tiles(16).tobytes()).hexdigest()
    assert (textures.VERSION, digest) == (1, "e5e3bcb61b9a9662f01e73d836873440219633f122a54236082ffcacc88e88d8")


@pytest.mark.parametrize("size", [8, 17, 32])
def test_tiles(size):
    found = tiles(size)
    assert found.shape == (64, TILE * size, TILE * size)
    assert found.dtype == np.uint8
    assert (found.min(axis=(1, 2)) == 0).all()
    assert (found.max(axis=(1, 2)) == 255).all()
    assert len({tile.tobytes() for tile in found}) == 64
    assert (found.std(axis=(1, 2)) > 20).all()  # none is nearly even


def test_a_larger_tile_shows_the_same(patterns):
    """A tile is defined in sides of the view: that of twice the size looks the same from afar."""
    halved = tiles(32).reshape(64, 32, 2, 32, 2).mean(axis=(2, 4))
    alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(patterns, halved, strict=True)]
    assert np.median(alike) > 0.95


def painted_in_loops(mask, row, patterns):
    """Ground and figure pixel by pixel: a mean colour, and by how much two patterns differ from their means."""
    size = len(mask)
    margin = patterns.shape[-1] - size + 1
    means = mean_colours(torch.tensor([row]))[0].tolist()
    picture = np.zeros((3, size, size))
    for surface, share in ((0, 1 - mask), (1, mask)):
        level = np.zeros((3, size, size)) + 255 * np.array(means[surface])[:, None, None]
        for pattern in (0, 1):
            start = 7 + 8 * (2 * surface + pattern)
            tile, top, left, flip, mirror, *colour = row[start : start + 8]
            top, left = int(top * margin), int(left * margin)
            cut = patterns[int(tile * 64), top : top + size, left : left + size].astype(float)
            cut = cut[::-1] if flip >= 0.5 else cut
            cut = cut[:, ::-1] if mirror >= 0.5 else cut
            mean = np.mean([cut[down, across] for down in range(0, size, 4) for across in range(0, size, 4)])
            for channel in range(3):
                strength = (2 * colour[channel] - 1) * textures.STRENGTHS[pattern]
                level[channel] += strength * (cut - mean)
        picture += share * level
    return picture.clip(0, 255)


def test_painted_as_defined(patterns):
    drawn, figures = numbers(12), masks(12)
    found = painted(figures, drawn, patterns)
    for figure, row, picture in zip(figures, drawn.tolist(), found, strict=True):
        np.testing.assert_allclose(picture, painted_in_loops(figure, row, patterns) - 0.5, atol=0.51)


def test_numbers_at_their_ends(patterns):
    for end in (0.0, 1 - 2**-24):
        found = painted(masks(1), torch.full((1, NUMBERS), end), patterns)
        assert np.abs(found[0] - painted_in_loops(masks(1)[0], [end] * NUMBERS, patterns)).max() <= 1.01


def test_figure_and_ground_differ_in_the_mean():
    """By no less and no more than is said, and both are colours; the whole range is used."""
    means = mean_colours(numbers(5000))
    contrast = (means[:, 0] - means[:, 1]).norm(dim=1)
    assert contrast.min() > LEAST_CONTRAST - 1e-5
    assert contrast.max() < MOST_CONTRAST + 1e-5
    assert contrast.std() > 0.25 * (MOST_CONTRAST - LEAST_CONTRAST)
    assert means.min() >= 0
    assert means.max() <= 1
    assert (means[:, 1] >= means[:, 0]).all()
    assert means.mean(dim=2).std() > 0.1
    assert (means.mean(dim=(0, 1)) - 0.5).abs().max() < 0.02  # no colour is preferred


def test_no_direction_gives_a_colour_none_the_less():
    assert torch.equal(mean_colours(torch.zeros(1, NUMBERS)), torch.zeros(1, 2, 3))


def test_painted_surfaces_have_their_mean_colours():
    """But for what is cut off at black and white, and the pixels that the mean leaves out."""
    drawn, patterns = numbers(200, seed=1), tiles(32)
    drawn[:, :3] = 0.3 + 0.4 * drawn[:, :3]
    means = mean_colours(drawn)
    for surface in (0, 1):
        found = painted(np.full((200, 32, 32), surface, np.float32), drawn, patterns).mean(axis=(2, 3)) / 255
        assert np.abs(found - means[:, surface].numpy()).mean() < 0.02


def test_what_is_painted_depends_on_its_numbers_alone(patterns):
    """Not on the figure, its place in the batch, or what else is in it."""
    drawn = numbers(9)
    grounds = painted(np.zeros((9, 16, 16), np.float32), drawn, patterns)
    found = painted(masks(9).round(), drawn, patterns)
    bare = np.broadcast_to(masks(9).round()[:, None] == 0, found.shape)
    np.testing.assert_array_equal(found[bare], grounds[bare])
    order = [7, 2, 0]
    np.testing.assert_array_equal(painted(masks(9).round()[order], drawn[order], patterns), found[order])


def test_every_number_counts(patterns):
    """A picture half figure, half ground, changes with each of its numbers."""
    half = np.zeros((1, 16, 16), np.float32)
    half[:, 8:] = 1
    drawn = torch.full((1, NUMBERS), 0.3)
    before = painted(half, drawn, patterns)
    for place in range(NUMBERS):
        other = drawn.clone()
        other[0, place] = 0.8
        assert not np.array_equal(painted(half, other, patterns), before), place
    assert len(LAYERS) * 8 + 7 == NUMBERS


@pytest.mark.parametrize("size", [8, 13, 32])
def test_the_form_for_devices_paints_the_same_bytes(size):
    drawn, figures = numbers(30), masks(30, size)
    drawn[0], drawn[1] = 0.0, 1 - 2**-24
    found = painted_on_device(torch.from_numpy(figures), drawn, torch.tensor(tiles(size)))
    np.testing.assert_array_equal(found, painted(figures, drawn, tiles(size)))
