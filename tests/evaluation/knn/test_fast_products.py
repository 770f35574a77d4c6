"""Products whose factors are rounded to bfloat16, here by hand, so that no processor needs units for them."""

from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from relbench.evaluation import query_results
from relbench.evaluation.knn import approximate, neighbours, ranking
from relbench.evaluation.knn.approximate import Centred, _split, fast_factors, key_blocks, multiplier
from relbench.evaluation.knn.neighbours import Search
from relbench.evaluation.knn.points import check_points

CPU = ("torch", torch.device("cpu"))
KS = (1, 2, 7, 50)


@contextmanager
def rounding_factors():
    """A processor whose fast products round their factors; the precision of each product so far."""
    product, precisions = approximate._product, []

    def rounded(left, right, keys, precision):
        if precision == "medium":
            left, right = (factor.bfloat16().float() for factor in (left, right))
        precisions.append(precision)
        product(left, right, keys, "highest")

    with (
        patch.object(approximate, "_product", rounded),
        patch.object(approximate, "fast_factors", lambda: "bfloat16"),
        patch.object(neighbours, "fast_factors", lambda: "bfloat16"),
    ):
        yield precisions


@pytest.fixture
def rounding():
    with rounding_factors() as precisions:
        yield precisions


def same(found, wanted):
    for name in ("rank", "positives", "r_precision", "average_precision"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))


def test_keys_err_by_less_than_the_bound(embeddings, rounding):
    centred = Centred(check_points(embeddings, None, None))
    count = len(centred.points.rows)
    row, column = np.nonzero(~np.eye(count, dtype=bool))
    rows = np.ldexp(centred.points.rows.astype(np.float64), -centred.points.exponent)
    truth = np.square(rows[row] - rows[column]).sum(axis=1).reshape(count, -1)
    multiply = multiplier(centred, CPU, "bfloat16")
    block = next(key_blocks(multiply, centred, np.arange(count), count, "bfloat16"))
    assert rounding == ["medium"]
    shift = block.keys[row, column].reshape(count, -1).astype(np.float64) - truth
    assert (np.ptp(shift, axis=1) <= block.slack).all()


def test_the_bound_is_needed_and_close():
    """The worst numbers, halfway between two of bfloat16, move two keys apart by nearly as much as the bound allows."""
    number = 1 + 2.0**-8  # becomes 1
    points = check_points(number * np.repeat([[1.0], [1.0], [-1.0]], 64, axis=1), None, None)
    with patch.object(Centred, "mean", np.zeros(64)):
        centred = Centred(points)
        scale = 2.0**-points.exponent
        shift = 4 * 64 * scale**2 * (number**2 - 1)  # -2 <x, y> of two items on either side
        assert shift < centred.slack(slice(None), "bfloat16")[0] < 1.02 * shift
        assert centred.slack(slice(None), "float32")[0] < shift / 50


def test_every_answer_is_the_same(embeddings, labels, rounding):
    """With so few queries none is sampled, so that the fast products must do, however many items they leave open."""
    assert len(embeddings) < ranking.FEWEST_TO_SAMPLE
    found = query_results(embeddings, labels, KS, backend="torch")
    assert set(rounding) == {"medium"}
    same(found, query_results(embeddings, labels, KS, backend="faiss"))


NUMBERS = st.one_of(st.floats(-3, 3, width=16), st.sampled_from([1e18, -1e18, 1 + 2.0**-9, 1 + 2.0**-8, 0.0]))


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(18, 40), st.integers(1, 5)), elements=NUMBERS), st.integers(1, 3))
def test_any_matrix(matrix, repeats):
    """Random, tied, repeated and huge rows."""
    rows = np.repeat(matrix, repeats, axis=0)
    codes = np.arange(len(rows)) // 3
    wanted = query_results(rows, codes, (1, 2), backend="faiss")
    with rounding_factors() as precisions:
        same(query_results(rows, codes, (1, 2), backend="torch"), wanted)
    assert precisions[0] == "medium"


def test_larger_sets_take_the_fast_products_and_far_off_ones_do_not(rounding):
    generator = np.random.default_rng(0)
    codes = np.arange(2000) // 5
    near = generator.standard_normal((400, 16))[codes] + 0.3 * generator.standard_normal((2000, 16))
    for rows, wanted in ((near, "medium"), (near + 0.001 * near**9, "highest")):
        rounding.clear()
        same(
            query_results(rows, codes, KS, backend="torch"),
            query_results(rows, codes, KS, backend="faiss"),
        )
        assert rounding[-1] == wanted


def test_numbers_are_split_without_loss():
    numbers = np.random.default_rng(0).standard_normal(1000).astype(np.float32) ** 2
    parts = _split(numbers)
    np.testing.assert_array_equal(parts.astype(np.float64).sum(axis=1), numbers)
    np.testing.assert_array_equal(torch.from_numpy(parts).bfloat16().float().numpy(), parts)


def test_precision_is_put_back_after_an_error():
    for precision in ("medium", "highest"):
        with pytest.raises(RuntimeError, match="cannot be multiplied"):
            approximate._product(torch.ones(2, 3), torch.ones(2, 3), np.empty((2, 3), np.float32), precision)
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.fixture
def asked_anew():
    fast_factors.cache_clear()
    yield
    fast_factors.cache_clear()


@pytest.mark.parametrize(
    ("capability", "tiles", "rounds", "wanted"),
    [
        ("AVX2", True, True, None),
        ("AVX512", True, False, "bfloat16"),
        ("AVX512", False, True, "bfloat16"),
        ("AVX512", False, False, "float32"),
    ],
)
def test_factors_are_taken_for_rounded_unless_nothing_speaks_for_it(asked_anew, capability, tiles, rounds, wanted):
    del asked_anew
    with (
        patch("torch.backends.cpu.get_cpu_capability", return_value=capability),
        patch("torch.backends.mkldnn.is_available", return_value=True),
        patch("torch.cpu._is_amx_tile_supported", create=True, return_value=tiles),
        patch.object(approximate, "_rounds_factors", return_value=rounds),
    ):
        assert fast_factors() == wanted


def test_rounded_factors_are_seen(rounding):
    assert approximate._rounds_factors()
    assert rounding == ["medium"]


def test_fast_products_of_this_processor_keep_what_is_promised(asked_anew):
    """Whatever it is: where factors are said to be float32, products of many shapes show no coarser rounding."""
    del asked_anew
    if fast_factors() != "float32":
        assert fast_factors() in (None, "bfloat16")
        return
    generator = np.random.default_rng(0)
    for rows, columns, dim in ((1, 3000, 33), (100, 100, 513), (64, 1000, 2)):
        centred = Centred(check_points(generator.standard_normal((rows + columns, dim)), None, None))
        truth = np.square(centred.exact(slice(rows))[:, None] - centred.exact(slice(None))[None]).sum(axis=2)
        block = next(key_blocks(multiplier(centred, CPU, "float32"), centred, np.arange(rows), rows, "float32"))
        shift = np.where(np.isfinite(block.keys), block.keys - truth, np.nan)
        assert (np.nanmax(shift, axis=1) - np.nanmin(shift, axis=1) <= block.slack).all()


def test_types_of_a_search(rounding):
    del rounding
    points = check_points(np.eye(3), None, None)
    assert Search(points, CPU).types == ("bfloat16", "float32", "float64")
    for backend in (("faiss", torch.device("cpu")), ("torch", torch.device("cuda"))):
        assert Search(points, backend).types == ("float32", "float64")
