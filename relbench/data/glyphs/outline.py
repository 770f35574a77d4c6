"""From a font file's outlines to pixels, the same on every machine.

FreeType's rasteriser changes between versions; a data set may not. Outlines in a font file are integers, and what is
done with them here is a handful of IEEE double operations in a fixed order, so the pixels are equal to the last bit.
"""

from pathlib import Path

import numpy as np
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont
from numpy.typing import NDArray

CURVE_STEPS = 6  # straight pieces a quadratic curve: off by less than a hundredth of a pixel at 64 pixels per em
SCANLINES = 4  # per row of pixels; across a row the coverage is exact

Segments = NDArray[np.float64]  # (pieces, 4): x0, y0, x1, y1 in ems, y upwards


class SegmentPen(BasePen):
    """Collects a glyph's contours as straight pieces."""

    def __init__(self, glyphs: object) -> None:
        super().__init__(glyphs)
        self.points: list[tuple[float, float]] = []
        self.pieces: list[tuple[float, float, float, float]] = []

    def _moveTo(self, pt: tuple[float, float]) -> None:
        self.points = [pt]

    def _lineTo(self, pt: tuple[float, float]) -> None:
        self.pieces.append((*self.points[-1], *pt))
        self.points.append(pt)

    def _qCurveToOne(self, pt1: tuple[float, float], pt2: tuple[float, float]) -> None:
        x0, y0 = self.points[-1]
        for step in range(1, CURVE_STEPS + 1):
            t = step / CURVE_STEPS
            a, b, c = (1 - t) * (1 - t), 2 * t * (1 - t), t * t
            self._lineTo((a * x0 + b * pt1[0] + c * pt2[0], a * y0 + b * pt1[1] + c * pt2[1]))

    def _closePath(self) -> None:
        if self.points[-1] != self.points[0]:
            self._lineTo(self.points[0])


class Face:
    """One font file: which code points it draws, and their outlines."""

    def __init__(self, path: Path) -> None:
        font = TTFont(path)
        self._glyphs = font.getGlyphSet()
        self._names: dict[int, str] = font.getBestCmap()
        self._em = float(font["head"].unitsPerEm)

    @property
    def code_points(self) -> frozenset[int]:
        """The code points that the face can draw."""
        return frozenset(self._names)

    def outline(self, code_point: int) -> Segments:
        """The glyph's contours, closed, in ems."""
        pen = SegmentPen(self._glyphs)
        self._glyphs[self._names[code_point]].draw(pen)
        return np.array(pen.pieces, dtype=np.float64).reshape(-1, 4) / self._em


def rasterise(outline: Segments, size: int, window: float, bottom: float) -> NDArray[np.uint8]:
    """Draw an outline into a square of pixels, ink 255 on 0, filled by the non-zero winding rule.

    Args:
        outline: straight pieces in ems, shape (pieces, 4).
        size: side of the picture in pixels.
        window: side of the square of the page that the picture shows, in ems; centred on the ink from left to right.
        bottom: the window's lower edge above the baseline, in ems.

    Returns:
        Picture of shape (size, size), first row on top.
    """
    if not len(outline):
        return np.zeros((size, size), dtype=np.uint8)
    scale = size / window
    middle = (outline[:, 0::2].min() + outline[:, 0::2].max()) / 2
    x = (outline[:, 0::2] - middle + window / 2) * scale
    y = (bottom + window - outline[:, 1::2]) * scale
    lines, starts, ends = _inked_spans(x, y, size)
    span, columns = _columns_of(starts, ends, size)
    ink = np.clip(ends[span] - columns, 0, 1) - np.clip(starts[span] - columns, 0, 1)
    # bincount adds up in the order given, and so always to the same last bit.
    coverage = np.bincount(lines[span] // SCANLINES * size + columns, ink, minlength=size * size).reshape(size, size)
    return np.floor(coverage / SCANLINES * 255 + 0.5).astype(np.uint8)


def _columns_of(
    starts: NDArray[np.float64], ends: NDArray[np.float64], size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number of the span, and column, of each pixel that a span may touch."""
    first = np.clip(np.floor(starts), 0, size - 1).astype(int)
    counts = np.clip(np.floor(ends), 0, size - 1).astype(int) - first + 1
    span = np.repeat(np.arange(len(starts)), counts)
    before = np.cumsum(counts) - counts
    return span, first[span] + np.arange(len(span)) - before[span]


def _inked_spans(
    x: NDArray[np.float64], y: NDArray[np.float64], size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Scanline, start and end in pixels of each stretch of ink."""
    centres = (np.arange(size * SCANLINES) + 0.5) / SCANLINES
    top, low = y.min(axis=1), y.max(axis=1)
    piece, line = np.nonzero((top[:, None] <= centres) & (centres < low[:, None]))
    rise = y[piece, 1] - y[piece, 0]
    crossing = x[piece, 0] + (centres[line] - y[piece, 0]) / rise * (x[piece, 1] - x[piece, 0])
    order = np.lexsort((crossing, line))
    # A closed outline crosses each scanline as often down as up, so one running sum serves all scanlines.
    winding = np.cumsum(np.sign(rise[order]).astype(int))
    before = np.concatenate(([0], winding[:-1]))
    starts, ends = (before == 0) & (winding != 0), (before != 0) & (winding == 0)
    return line[order][starts], crossing[order][starts], crossing[order][ends]
