import sys
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from relbench.evaluation import nearest
from relbench.evaluation.knn.approximate import (
    Centred,
    _at_precision,
    _faiss_fault,
    choose_backend,
    key_blocks,
    multiplier,
)
from relbench.evaluation.knn.neighbours import Search
from relbench.evaluation.knn.order import fold
from relbench.evaluation.knn.points import check_points, squared_distances

BACKENDS = ("faiss", "torch")
COUNT = 150


@pytest.fixture(scope="session")
def expected(ranking):
    def neighbours(embeddings, k, query=None, gallery=None):
        everything = np.ones(len(embeddings), bool)
        gallery = everything if gallery is None else gallery
        asking = np.flatnonzero(everything if query is None else query).tolist()
        return [ranking(embeddings, item, gallery)[:k] for item in asking]

    return neighbours


@pytest.fixture
def ordinary():
    return np.random.default_rng(7).standard_normal((COUNT, 33)).astype(np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_neighbours_are_those_of_plain_loops_on_every_backend(embeddings, backend, expected):
    wanted = np.array(expected(embeddings, COUNT - 1))
    for k in (1, 5, 100, COUNT - 1):
        np.testing.assert_array_equal(nearest(embeddings, k, backend=backend), wanted[:, :k])


def test_rows_with_crowds_of_neighbours_get_the_same_answer(embeddings, expected):
    # so few candidates are allowed that nearly every row takes the way of the crowded ones
    with patch.object(Search, "most", lambda _, k: k):
        assert nearest(embeddings, 7).tolist() == expected(embeddings, 7)


def test_query_and_gallery_masks(embeddings, expected):
    generator = np.random.default_rng(1)
    query, gallery = generator.random(COUNT) < 0.3, generator.random(COUNT) < 0.7
    wanted = expected(embeddings, 20, query, gallery)
    for backend in BACKENDS:
        assert nearest(embeddings, 20, query=query, gallery=gallery, backend=backend).tolist() == wanted


def test_the_query_is_left_out_by_index_and_its_duplicates_stay():
    # three equal rows: dropping the first column would drop row 0 from the lists of rows 1 and 2
    assert nearest(np.zeros((3, 2)), 2).tolist() == [[1, 2], [0, 2], [0, 1]]


def test_blocks_of_any_size_give_the_same(ordinary):
    for chunk in (1, 7, COUNT, 10 * COUNT):
        np.testing.assert_array_equal(nearest(ordinary, 9, chunk=chunk), nearest(ordinary, 9))


def test_a_large_gallery_is_folded(expected):
    generator = np.random.default_rng(2)
    embeddings = generator.standard_normal((5001, 6), dtype=np.float32)
    query = np.arange(5001) % 500 == 0
    wanted = expected(embeddings, 12, query)
    for backend in BACKENDS:
        assert nearest(embeddings, 12, query=query, backend=backend).tolist() == wanted


def test_masses_of_equal_neighbours_are_fast_and_exact():
    embeddings = np.full((4000, 16), 0.5, np.float32)
    found = nearest(embeddings, 3)
    assert found[:3].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3]]
    assert (found[3:] == [0, 1, 2]).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.tuples(st.integers(3, 12), st.integers(1, 4)), elements=st.floats(-3, 3, width=16)))
def test_any_matrix(expected, matrix):
    wanted = expected(matrix, 2)
    for backend in BACKENDS:
        assert nearest(matrix, 2, backend=backend).tolist() == wanted


@pytest.mark.parametrize("working", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_keys_err_by_less_than_the_bound(embeddings, backend, working):
    centred = Centred(check_points(embeddings, None, None))
    count = len(centred.points.rows)
    row, column = np.nonzero(~np.eye(count, dtype=bool))
    rows = np.ldexp(centred.points.rows.astype(np.float64), -centred.points.exponent)
    truth = np.square(rows[row] - rows[column]).sum(axis=1).reshape(count, -1)
    multiply = multiplier(centred, (backend, torch.device("cpu")), working)
    block = next(key_blocks(multiply, centred, np.arange(count), count, working))
    found = block.keys[row, column].reshape(count, -1).astype(np.float64)
    shift = found - truth
    # a key is a distance up to one number per query, so two errors differ by at most the slack
    assert (np.ptp(shift, axis=1) <= block.slack).all()


@pytest.mark.parametrize("power", [-1020, -700, 700, 1020])
def test_squares_neither_overflow_nor_vanish(ordinary, power):
    # a power of two changes no digit, so it must not change the order either
    wanted = nearest(ordinary.astype(np.float64), 20)
    np.testing.assert_array_equal(nearest(np.ldexp(ordinary.astype(np.float64), power), 20), wanted)


def test_a_shift_of_all_rows_costs_no_precision(ordinary):
    here, far = (Centred(check_points(rows, None, None)) for rows in (ordinary, ordinary + np.float32(64)))
    scale = 2.0 ** (far.points.exponent - here.points.exponent)
    np.testing.assert_allclose(far.norms * scale, here.norms, rtol=1e-4)
    np.testing.assert_allclose(
        far.slack(slice(None), "float32") * scale**2, here.slack(slice(None), "float32"), rtol=1e-3
    )


@pytest.mark.parametrize("k", [1, 3, 40, 500])
def test_the_bound_on_the_kth_key_holds_and_is_close(k):
    keys = np.random.default_rng(4).standard_normal((20, 9001)).astype(np.float32)
    bound = fold(keys, k).kth_bound(k)
    within = (keys <= bound[:, None]).sum(axis=1)
    assert (within >= k).all()
    assert within.mean() < 1.2 * k + 1


def test_a_distance_does_not_depend_on_its_place():
    points = check_points(np.random.default_rng(5).standard_normal((400, 37)).astype(np.float32), None, None)
    queries, columns = np.random.default_rng(6).integers(0, 400, (2, 900))
    together = squared_distances(points, queries, columns)
    alone = [squared_distances(points, queries[[i]], columns[[i]])[0] for i in range(900)]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, squared_distances(points, columns, queries))


def test_reduced_precision_is_kept_out_and_put_back():
    ones = torch.ones(2, 2)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (ones @ ones).dtype == torch.bfloat16
            with _at_precision("highest", torch.device("cpu")):
                assert (ones @ ones).dtype == torch.float32
                assert torch.get_float32_matmul_precision() == "highest"
            assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_around_the_search_changes_nothing(ordinary, backend):
    wanted = nearest(ordinary, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(nearest(torch.from_numpy(ordinary), 9, backend=backend), wanted)


def test_tensors_of_every_precision():
    exact = torch.randn(50, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        rounded = exact.to(dtype)
        np.testing.assert_array_equal(nearest(rounded, 4), nearest(rounded.detach().double().numpy(), 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same(embeddings, expected):
    assert nearest(torch.from_numpy(embeddings).cuda(), 20).tolist() == expected(embeddings, 20)


@contextmanager
def faiss_is(module):
    """In this block: None is a faiss that is not installed."""
    _faiss_fault.cache_clear()
    with patch.dict(sys.modules, {"faiss": module}):
        yield
    _faiss_fault.cache_clear()


def processor(factors):
    """Of this kind of fast products, in this block."""
    return patch("relbench.evaluation.knn.approximate.fast_factors", lambda: factors)


class WrongFaiss:
    """Computes nothing."""

    @staticmethod
    def swig_ptr(array):
        return array

    @staticmethod
    def pairwise_L2sqr(*_):  # noqa: N802 - faiss's name
        pass


@pytest.mark.parametrize(("broken", "fault"), [(object(), "AttributeError"), (WrongFaiss, "wrong distances")])
def test_a_faiss_that_is_there_but_broken_is_not_taken(broken, fault):
    """As built for another numpy, say: torch finds the same neighbours."""
    rows = np.array([[0.0], [1.0], [3.0]])
    with patch("torch.cuda.is_available", return_value=False), processor(None), faiss_is(broken):
        assert nearest(rows, 1).tolist() == [[1], [0], [1]]
        with pytest.raises(ValueError, match=rf"needs faiss \(.*{fault}.*\): install"):
            nearest(rows, 1, backend="faiss")


def test_auto_takes_torch_where_it_is_fast_else_faiss_and_torch_where_faiss_is_missing():
    with patch("torch.cuda.is_available", return_value=False):
        for factors, wanted in ((None, "faiss"), ("float32", "torch"), ("bfloat16", "torch")):
            with processor(factors):
                assert choose_backend("auto", np.zeros((2, 2))) == (wanted, torch.device("cpu"))
        with faiss_is(None), processor(None):
            assert choose_backend("auto", np.zeros((2, 2))) == ("torch", torch.device("cpu"))
    with patch("torch.cuda.is_available", return_value=True), processor(None):
        assert choose_backend("auto", np.zeros((2, 2))) == ("torch", torch.device("cuda"))
        assert choose_backend("auto", torch.zeros(2, 2)) == ("faiss", torch.device("cpu"))  # whoever has it there
        assert choose_backend("torch", torch.zeros(2, 2)) == ("torch", torch.device("cpu"))


def test_faiss_is_not_loaded_for_torch():
    with patch.dict(sys.modules, {"faiss": None}):
        assert nearest(np.array([[0.0], [1.0], [3.0]]), 1, backend="torch").tolist() == [[1], [0], [1]]


@pytest.mark.parametrize(
    ("rows", "k", "options", "message"),
    [
        (np.array([[0.0], [1.0], [np.nan], [np.inf]]), 1, {}, "first in row 2 \\(2 row"),
        (np.zeros(4), 1, {}, "shape \\(rows, dim\\), not \\(4,\\)"),
        (np.zeros((4, 2, 2)), 1, {}, "shape \\(rows, dim\\)"),
        (np.zeros((4, 0)), 1, {}, "shape \\(rows, dim\\)"),
        (np.zeros((1, 3)), 1, {}, "at least two"),
        (np.zeros((0, 3)), 1, {}, "at least two"),
        (np.zeros((4, 2)), 0, {}, "k = 0 is outside 1..3"),
        (np.zeros((4, 2)), 2.0, {}, "k = 2.0 must be a whole number, not of type float"),
        (np.zeros((4, 2)), True, {}, "k = True must be a whole number, not of type bool"),
        (np.zeros((4, 2)), 4, {}, "k = 4 is outside 1..3"),
        (np.zeros((4, 2)), 1, {"backend": "annoy"}, "'annoy' is unknown"),
        (np.zeros((4, 2)), 1, {"query": np.zeros(4, bool)}, "query selects no row"),
        (np.zeros((4, 2)), 1, {"gallery": np.zeros(4, bool)}, "gallery selects no row"),
        (np.zeros((4, 2)), 1, {"query": np.ones(3, bool)}, "query must be a boolean mask of shape \\(4,\\)"),
        (np.zeros((4, 2)), 1, {"gallery": np.arange(4)}, "gallery must be a boolean mask"),
        (np.zeros((4, 2)), 3, {"gallery": np.array([1, 1, 1, 0], bool)}, "k = 3 is outside 1..2"),
        (np.zeros((4, 2)), 1, {"gallery": np.array([1, 0, 0, 0], bool)}, "k = 1 is outside 1..0"),
    ],
)
def test_refusals(rows, k, options, message):
    with pytest.raises(ValueError, match=message) as refusal:
        nearest(rows, k, **options)
    assert "\n" not in str(refusal.value)


def test_integers_that_no_float_holds_are_refused():
    with pytest.raises(
        ValueError, match=f"embeddings hold integers up to {2**60}, which no floating type holds exactly"
    ):
        nearest(np.array([[0], [1], [2**60]]), 1)


def test_a_gallery_apart_from_the_queries_may_be_used_up():
    gallery = np.array([False, True, True, True])
    assert nearest(np.array([[0.0], [3.0], [1.0], [2.0]]), 3, query=~gallery, gallery=gallery).tolist() == [[2, 3, 1]]


@pytest.mark.parametrize("rows", [np.zeros((4, 2), bool), np.zeros((4, 2), complex), [[0.0], [1.0]]])
def test_only_numbers_are_taken(rows):
    with pytest.raises(TypeError, match="float16, float32 or float64"):
        nearest(rows, 1)


def test_missing_faiss_is_one_clear_error():
    with (
        faiss_is(None),
        pytest.raises(ValueError, match="install faiss-cpu"),
    ):
        nearest(np.zeros((4, 2)), 1, backend="faiss")


@pytest.mark.parametrize("power", [-1000, -4, 0, 900])
def test_whole_numbers_are_ordered_without_a_comparison(power):
    """Masses of exact ties, with repeated rows and without: products are the distances."""
    numbers = np.random.default_rng(3).integers(-2, 3, (120, 4))
    for rows in (numbers, np.unique(numbers, axis=0)):
        search = Search(
            check_points(np.ldexp(rows.astype(np.float64), power), None, None), ("torch", torch.device("cpu"))
        )
        assert search.distinct.whole
        distances = np.square(rows[:, None] - rows).sum(axis=2)
        np.fill_diagonal(distances, distances.max() + 1)
        wanted = np.argsort(distances, axis=1, kind="stable")
        with patch("relbench.evaluation.knn.order.squared_distances", side_effect=AssertionError):
            for k in (1, 3, len(rows) // 2, len(rows) - 1):
                found = search.distinct.nearest_columns(np.arange(len(rows)), k)
                np.testing.assert_array_equal(found, wanted[:, :k])


def test_rows_of_many_digits_are_not_taken_for_whole_numbers(ordinary):
    for rows in (ordinary, np.where(ordinary > 0, 0.1, -0.1)):
        assert not Search(check_points(rows, None, None), ("torch", torch.device("cpu"))).distinct.whole


@pytest.mark.parametrize(("exponent", "factor"), [(-451, 451), (-390, 0), (0, 0), (390, 0), (451, -452), (1010, -1000)])
def test_small_distances_beside_large_numbers(exponent, factor):
    """As the canonical distance's documentation says: in order down to 2^-500, and 0 below 2^-538."""
    for power, wanted in ((-500, [1, 2, 0]), (-541, [0, 1, 2])):
        rows = np.ldexp([[1.0], [0.0], [3.0], [1.0], [2.0]], [[exponent], [0], *[[power - factor]] * 3])
        found = squared_distances(check_points(rows, None, None), np.ones(3, int), np.array([2, 3, 4]))
        assert np.argsort(found, kind="stable").tolist() == wanted
        assert found.any() == (power == -500)
