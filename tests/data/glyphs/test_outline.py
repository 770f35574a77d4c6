"""Pixels of an outline against a brute-force count of points inside it."""

import hashlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from relbench.data.glyphs.outline import CURVE_STEPS, SCANLINES, Face, SegmentPen, rasterise

SIZE = 16  # pixels; the window is 16 too, so that a pixel is a unit, and its lower left corner is 0, 0


def contour(*corners):
    """A closed contour as straight pieces."""
    following = [*corners[1:], corners[0]]
    return np.array([(*one, *two) for one, two in zip(corners, following, strict=True)], dtype=float)


def box(left, bottom, right, top):
    """Anticlockwise."""
    return contour((left, bottom), (right, bottom), (right, top), (left, top))


SHAPES = {
    "square": box(3, 2, 13, 14),
    "square off the grid": box(3.3, 2.25, 12.7, 13.75),
    "clockwise square": box(3, 2, 13, 14)[::-1][:, [2, 3, 0, 1]],
    "triangle": contour((1, 1), (15, 4), (6, 14.5)),
    "corners on a scanline": contour((8, 2), (14, 8.125), (8, 14), (2, 8.125)),
    "overlap": np.concatenate([box(1, 1, 10, 10), box(6, 6, 15, 15)]),
    "overlap turned round": np.concatenate([box(1, 1, 10, 10), box(6, 6, 15, 15)[:, [2, 3, 0, 1]]]),
    "ring": np.concatenate([box(2, 2, 14, 14), contour((5, 5), (5, 11), (11, 11), (11, 5))]),
    "ring without a hole": np.concatenate([box(2, 2, 14, 14), box(5, 5, 11, 11)]),
    "star": contour(*[(8 + 7 * np.cos(2.5 * k), 8 + 7 * np.sin(2.5 * k)) for k in range(5)]),
    "two apart": np.concatenate([box(1, 1, 4, 15), contour((8, 3), (15, 3), (11, 12))]),
}


def winding(outline, x, y):
    """How often the contours go round a point, piece by piece."""
    turns = 0
    for x0, y0, x1, y1 in outline:
        if min(y0, y1) <= y < max(y0, y1):
            crossing = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            turns += (crossing > x) * (1 if y1 > y0 else -1)
    return turns


def supersampled(outline, size, points):
    """Share of a pixel's points, points by points of them, that lie inside."""
    middle = (outline[:, 0::2].min() + outline[:, 0::2].max()) / 2 - size / 2
    share = np.zeros((size, size))
    for row in range(size * points):
        for column in range(size * points):
            x, y = (column + 0.5) / points + middle, size - (row + 0.5) / points
            share[row // points, column // points] += winding(outline, x, y) != 0
    return share / points**2


def drawn(outline, size=SIZE, bottom=0.0):
    return rasterise(outline, size, window=float(size), bottom=bottom) / 255


@pytest.mark.parametrize("name", SHAPES)
def test_against_points_inside(name):
    """With as many rows of points as scanlines, what differs is only the count of points within a row."""
    points = SCANLINES
    difference = np.abs(drawn(SHAPES[name]) - supersampled(SHAPES[name], SIZE, points))
    assert difference.max() <= 1 / points + 1 / 255  # each row of points: ends off by half a point each
    assert difference.mean() < 0.02


def area(outline):
    x0, y0, x1, y1 = outline.T
    return abs((x0 * y1 - x1 * y0).sum()) / 2


@pytest.mark.parametrize(
    "name", ["square", "clockwise square", "triangle", "corners on a scanline", "two apart", "ring"]
)
def test_ink_is_the_area(name):
    expected = area(SHAPES[name]) if name != "ring" else 12 * 12 - 6 * 6
    assert drawn(SHAPES[name]).sum() == pytest.approx(expected, rel=0.005)


def test_overlap_is_inked_once():
    assert drawn(SHAPES["overlap"]).sum() == pytest.approx(2 * 81 - 16, rel=0.001)
    assert drawn(SHAPES["ring without a hole"]).sum() == pytest.approx(144, rel=0.001)


def test_a_square_by_hand():
    """Window 4, square from (1, 1) to (3, 2.5): one full row and a half one, two pixels wide; y goes upwards."""
    expected = np.array([[0, 0, 0, 0], [0, 128, 128, 0], [0, 255, 255, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(rasterise(box(1, 1, 3, 2.5), 4, window=4.0, bottom=0.0), expected)


def test_coverage_across_a_row_is_exact():
    """Width 1.5, centred in 4 pixels: 0.75 of each of the two in the middle."""
    row = rasterise(box(0, 0, 1.5, 4), 4, window=4.0, bottom=0.0)[0]
    assert row.tolist() == [0, 191, 191, 0]


def test_centred_from_left_to_right():
    for shift in (-100.0, 0.25, 7.0):
        np.testing.assert_array_equal(drawn(SHAPES["triangle"] + [shift, 0, shift, 0]), drawn(SHAPES["triangle"]))


@pytest.mark.parametrize("pixels", [1, 3])
def test_a_shift_by_whole_pixels_moves_the_picture(pixels):
    before = drawn(SHAPES["triangle"])
    upwards = drawn(SHAPES["triangle"] + [0, pixels, 0, pixels])
    np.testing.assert_array_equal(upwards[: SIZE - pixels], before[pixels:])
    np.testing.assert_array_equal(drawn(SHAPES["triangle"], bottom=-pixels), upwards)


def test_more_pixels_show_the_same():
    coarse = rasterise(SHAPES["star"], 16, window=16.0, bottom=0.0)
    fine = rasterise(SHAPES["star"], 64, window=16.0, bottom=0.0).reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert np.abs(coarse - fine).max() < 255 * 0.1


def test_what_is_outside_is_cut_off():
    """Of a square of 30 the window shows 16 by 16, of one that lies above it nothing."""
    assert (drawn(box(-7, -7, 23, 23)) == 1).all()
    assert not drawn(box(2, 17, 12, 30)).any()
    half = drawn(box(4, 8, 12, 40))
    np.testing.assert_array_equal(half[:8], np.tile([0.0] * 4 + [1.0] * 8 + [0.0] * 4, (8, 1)))
    assert not half[8:].any()


def test_a_wide_outline_is_cut_off_on_both_sides():
    """A triangle 32 wide and 16 high, the point above: of its 256 the two sides of 8 x 8 / 2 are outside."""
    assert drawn(contour((0, 0), (32, 0), (16, 16))).sum() == pytest.approx(256 - 64, rel=0.005)


def test_no_outline_no_ink():
    picture = rasterise(np.zeros((0, 4)), SIZE, window=1.4, bottom=-0.36)
    assert picture.shape == (SIZE, SIZE)
    assert picture.dtype == np.uint8
    assert not picture.any()


def test_flat_outline_has_no_ink():
    assert not drawn(contour((1, 3), (9, 3))).any()


def test_a_curve_is_a_parabola_in_straight_pieces():
    """Bernstein's form at 0, 1/6, ... 1; the contour is closed by one straight piece."""
    pen = SegmentPen(None)
    pen.moveTo((0, 0))
    pen.qCurveTo((1, 2), (4, 0))
    pen.closePath()
    assert len(pen.pieces) == CURVE_STEPS + 1
    for step, (x, y) in enumerate([piece[:2] for piece in pen.pieces]):
        t = step / CURVE_STEPS
        assert (x, y) == pytest.approx((2 * t * (1 - t) + 4 * t * t, 4 * t * (1 - t)))
    assert pen.pieces[-1] == (4, 0, 0, 0)


@pytest.fixture(scope="module")
def face():
    """DejaVu Sans, from matplotlib."""
    return Face(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@pytest.mark.parametrize("letter", "OÅi8%")
def test_contours_of_a_face_are_closed(face, letter):
    outline = face.outline(ord(letter))
    starts, ends = sorted(map(tuple, outline[:, :2])), sorted(map(tuple, outline[:, 2:]))
    assert starts == ends


def test_letters_of_a_face(face):
    assert {ord("A"), 0x0416} <= face.code_points
    stroke = face.outline(ord("|"))
    assert len(stroke) == 4
    assert stroke[:, 1::2].min() < 0 < stroke[:, 1::2].max()  # a bar goes below the baseline
    letter_o = rasterise(face.outline(ord("O")), 56, 1.4, -0.36)
    middle = 56 * (1.4 - 0.36 - 0.36) / 1.4  # row of the middle of a capital: 0.36 em above the baseline
    assert letter_o[int(middle), 28] == 0  # the hole
    assert letter_o.max() == 255
    assert np.abs(letter_o.astype(int) - letter_o[:, ::-1]).mean() < 2  # left and right alike


def test_an_empty_glyph(face):
    assert face.outline(ord(" ")).shape == (0, 4)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, "0ef9fb3612a4b1f0b2ea661fc75a24f59f63f4dc473b055355493e59e2b95b64"),
        (56, "4c11f42c1c9eaab2aeb8fed9ea724555fca78dbf3b57beec2286406084cf59d6"),
        (448, "9ea73ebb5bc1ed2675d0cc2ab27af55ca05cbb8ce3e5ca8e05addb25b6a2a730"),
    ],
)
def test_pixels_are_pinned(face, size, expected):
    """The data set must not change: who changes these pixels changes Glyphs."""
    pictures = [rasterise(face.outline(ord(letter)), size, 1.4, -0.36) for letter in "Agß€☃"]
    assert hashlib.sha256(np.stack(pictures).tobytes()).hexdigest() == expected
