"""Coloured textures from random numbers: patterns made once, then cropped, mirrored and coloured anew for each view.

A pattern is a grey tile: clouds, stripes, checks or dots, each bent by clouds. The tiles come from a fixed seed and a
handful of IEEE double operations in a fixed order (no sine, no matrix product), so they are equal to the last bit on
every machine.

A view shows a figure on a ground. Either is a colour, over which two patterns are laid, each with a colour of its own
that it adds or takes away. The mean colours of the two are `LEAST_CONTRAST` to `MOST_CONTRAST` apart, the figure's
being the lighter one in red, green and blue: where either could be, a small conv net had learned nothing after 300
steps, as no linear filter then tells figure from ground. Everything about a view is decided by `NUMBERS` uniform random
numbers, and so by nothing that is seen in it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

VERSION = 1  # counts up whenever the same numbers make other textures
SEED = 2022
TILE = 2  # a tile's side in sides of the view
VARIANTS = 16  # tiles of each kind
LEAST_CONTRAST, MOST_CONTRAST = 0.35, 0.5  # Euclidean, each of red, green and blue being in [0, 1]
STRENGTHS = (0.3, 0.2)  # at most, from a pattern's darkest to its brightest place: of the first pattern, the second

LAYERS = (("ground", 0), ("ground", 1), ("figure", 0), ("figure", 1))
PLACE, COLOUR = 5, 3  # numbers that a layer takes: which tile, from where, mirrored how; and its colour
NUMBERS = 7 + len(LAYERS) * (PLACE + COLOUR)  # the first seven: the ground's colour, and how the figure's differs

Field = NDArray[np.float64]
Colours = NDArray[np.float32]


@cache
def tiles(size: int) -> NDArray[np.uint8]:
    """All patterns for views of a size, shape (kinds * VARIANTS, TILE * size, TILE * size); not to be written to."""
    random = np.random.default_rng(SEED)
    patterns = np.stack([_levels(kind(random, TILE * size)) for kind, _ in product(KINDS, range(VARIANTS))])
    patterns.flags.writeable = False
    return patterns


def _levels(field: Field) -> NDArray[np.uint8]:
    """The whole range of bytes."""
    least, most = field.min(), field.max()
    levels: NDArray[np.uint8] = np.floor((field - least) / (most - least) * 255 + 0.5).astype(np.uint8)
    return levels


def _clouds(random: np.random.Generator, side: int) -> Field:
    """Smooth noise of four octaves in about [0, 1]; now and then longer in one direction."""
    rows, columns = _between(random, 0.5, 5), _between(random, 0.5, 5)
    octaves = [2.0**-octave * _noise(random, side, rows * 2**octave, columns * 2**octave) for octave in range(4)]
    total: Field = np.sum(octaves, axis=0) / 1.875
    return total


def _noise(random: np.random.Generator, side: int, rows: float, columns: float) -> Field:
    """Random numbers on a lattice, given its cells per side of a view, and smooth steps between them."""
    lattice = random.random((int(TILE * rows) + 2, int(TILE * columns) + 2))
    down, down_share = _cells(side, rows)
    across, across_share = _cells(side, columns)
    lines = lattice[down] * (1 - down_share)[:, None] + lattice[down + 1] * down_share[:, None]
    return lines[:, across] * (1 - across_share) + lines[:, across + 1] * across_share


def _cells(side: int, count: float) -> tuple[NDArray[np.int64], Field]:
    """Each pixel's cell, and how far it is on the way to the next cell."""
    place = _pixels(side) * count
    cell = np.floor(place)
    share = place - cell
    return cell.astype(np.int64), share * share * (3 - 2 * share)


def _pixels(side: int) -> Field:
    """Middles of a tile's pixels, in sides of a view."""
    return (np.arange(side) + 0.5) * TILE / side


def _between(random: np.random.Generator, least: float, most: float) -> float:
    """Uniform by its square: rather small."""
    number = random.random()
    return least + (most - least) * number * number


def _bent_axes(random: np.random.Generator, side: int) -> tuple[Field, Field]:
    """Two coordinates at right angles in a random direction, counted in periods, bent by clouds."""
    half_tangent, frequency, bend = 2 * random.random() - 1, _between(random, 2, 14), _between(random, 0, 3)
    norm = 1 + half_tangent * half_tangent
    cosine, sine = (1 - half_tangent * half_tangent) / norm * frequency, 2 * half_tangent / norm * frequency
    x, y = _pixels(side), _pixels(side)[:, None]
    bent = bend * _clouds(random, side)
    return x * cosine + y * sine + bent, y * cosine - x * sine + bent


def _wave(random: np.random.Generator, phase: Field) -> Field:
    """Up and down once a period, in [0, 1]: anything from a roof to a square."""
    steepness = 1 + _between(random, 0, 5)
    distance = np.abs(phase - np.floor(phase) - 0.5) * 2
    return np.clip((distance - 0.5) * steepness + 0.5, 0, 1)


def _stripes(random: np.random.Generator, side: int) -> Field:
    axes = _bent_axes(random, side)
    return _wave(random, axes[random.integers(2)])


def _checks(random: np.random.Generator, side: int) -> Field:
    down, across = (_wave(random, axis) for axis in _bent_axes(random, side))
    return down + across - 2 * down * across


def _dots(random: np.random.Generator, side: int) -> Field:
    down, across = (axis - np.floor(axis) - 0.5 for axis in _bent_axes(random, side))
    radius = 0.15 + 0.3 * random.random()
    return np.clip(1.5 - (down * down + across * across) / (radius * radius), 0, 1)


KINDS: tuple[Callable[[np.random.Generator, int], Field], ...] = (_clouds, _stripes, _checks, _dots)


def painted(masks: Colours, numbers: torch.Tensor, patterns: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint figures on grounds.

    Each picture is painted by itself: what it takes then stays in the processor's cache, and its pixels can't depend
    on what else is in the batch. In numpy, as torch's threads would spend their time waiting for each other.

    Args:
        masks: 1 where the figure is, 0 where the ground is, shape (batch, size, size).
        numbers: in [0, 1), float32, shape (batch, NUMBERS).
        patterns: those of `tiles(size)`.

    Returns:
        Pictures, shape (batch, 3, size, size).
    """
    layers = numbers[:, 7:].view(-1, len(LAYERS), PLACE + COLOUR)
    places, means, colours = layers[..., :PLACE].tolist(), mean_colours(numbers).numpy(), _layer_colours(layers)
    pictures = np.empty((len(masks), 3, *masks.shape[1:]), np.uint8)
    brush = _Brush(patterns, masks.shape[-1])
    for at, picture in enumerate(pictures):
        picture[:] = brush.picture(masks[at], places[at], means[at], colours[at])
    return pictures


def mean_colours(numbers: torch.Tensor) -> torch.Tensor:
    """Mean colours of grounds and figures in [0, 1], shape (batch, 2, 3)."""
    contrast = LEAST_CONTRAST + (MOST_CONTRAST - LEAST_CONTRAST) * numbers[:, 6:7]
    lighter = normalize(numbers[:, 3:6]) * contrast
    ground = numbers[:, :3] * (1 - lighter)
    return torch.stack([ground, ground + lighter], dim=1)


def _layer_colours(layers: torch.Tensor) -> Colours:
    """What each pattern adds from its darkest to its brightest place, shape (batch, 2, 2, 3): side, pattern, colour."""
    strengths = torch.tensor([STRENGTHS[pattern] for _, pattern in LAYERS])
    colours = (2 * layers[..., PLACE:] - 1) * strengths[:, None]
    return colours.view(-1, 2, 2, COLOUR).numpy()


class _Brush:
    """Paints one picture after another, always in the same memory."""

    def __init__(self, patterns: NDArray[np.uint8], size: int) -> None:
        self._patterns, self._size = patterns, size
        self._ground, self._figure, self._added = np.empty((3, 3, size, size), np.float32)
        self._pattern = np.empty((size, size), np.float32)

    def picture(self, mask: Colours, places: Sequence[Sequence[float]], means: Colours, colours: Colours) -> Colours:
        """A picture in levels from 0 to 255; overwritten by the next."""
        self._lay(self._ground, places[:2], means[0], colours[0])
        self._lay(self._figure, places[2:], means[1], colours[1])
        self._figure -= self._ground
        self._figure *= mask
        self._ground += self._figure
        return np.clip(self._ground, 0, 255, out=self._ground)

    def _lay(self, out: Colours, places: Sequence[Sequence[float]], mean: Colours, colours: Colours) -> None:
        """Patterns over a colour, so that the whole has that colour in the mean."""
        out[:] = 255 * mean[:, None, None]
        for place, colour in zip(places, colours, strict=True):
            cut = self._cut(place)
            # The mean of every fourth pixel both ways is near enough, and takes a tenth of the time.
            np.subtract(cut, cut[::4, ::4].mean(dtype=np.float32), out=self._pattern)
            out += np.multiply(self._pattern, colour[:, None, None], out=self._added)

    def _cut(self, place: Sequence[float]) -> NDArray[np.uint8]:
        """A part of a tile, perhaps mirrored."""
        size, margin = self._size, self._patterns.shape[-1] - self._size + 1
        tile, top, left = int(place[0] * len(self._patterns)), int(place[1] * margin), int(place[2] * margin)
        down, across = (1 if number < 0.5 else -1 for number in place[3:])
        return self._patterns[tile, top : top + size, left : left + size][::down, ::across]


def painted_on_device(masks: torch.Tensor, numbers: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """As `painted`, by the same operations in the same order, a whole batch at a time: for tensors on any device.

    Args:
        masks: 1 where the figure is, 0 where the ground is, shape (batch, size, size).
        numbers: in [0, 1), float32, shape (batch, NUMBERS).
        patterns: those of `tiles(size)`.
    """
    layers, means = numbers[:, 7:].view(-1, 2, 2, PLACE + COLOUR), mean_colours(numbers)
    ground, figure = (_laid(layers[:, side], means[:, side], patterns) for side in (0, 1))
    return (ground + (figure - ground) * masks[:, None]).clamp_(0, 255).to(torch.uint8)


def _laid(layers: torch.Tensor, mean: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """Patterns over a colour, as `_Brush` lays them."""
    levels = (255 * mean)[:, :, None, None]
    for layer, strength in zip(layers.unbind(1), STRENGTHS, strict=True):
        cut, colour = _cut_from(patterns, layer), (2 * layer[:, PLACE:] - 1) * strength
        middle = cut[:, ::4, ::4].double().mean(dim=(1, 2), keepdim=True).float()
        levels = levels + (cut - middle)[:, None] * colour[:, :, None, None]
    return levels


def _cut_from(patterns: torch.Tensor, layer: torch.Tensor) -> torch.Tensor:
    """Parts of tiles, perhaps mirrored, shape (batch, size, size)."""
    size = patterns.shape[-1] // TILE
    margin, places = patterns.shape[-1] - size + 1, layer[:, :3].double().T
    tile, top, left = (
        (place * most).long() for place, most in zip(places, (len(patterns), margin, margin), strict=True)
    )
    along = torch.arange(size, device=patterns.device)
    down, across = (torch.where(number[:, None] < 0.5, along, size - 1 - along) for number in layer[:, 3:PLACE].T)
    return patterns[tile[:, None, None], (top[:, None] + down)[:, :, None], (left[:, None] + across)[:, None, :]]
