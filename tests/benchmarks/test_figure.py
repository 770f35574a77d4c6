import pytest

from relbench.benchmarks.figure import Figure, in_digits


@pytest.mark.parametrize(
    ("value", "bound", "met", "verdict"),
    [
        (1.05, "at most", True, "at most 1.05: met"),
        (1.06, "at most", False, "at most 1.05: MISSED"),
        (1.05, "at least", True, "at least 1.05: met"),
        (1.04, "at least", False, "at least 1.05: MISSED"),
    ],
)
def test_a_target_is_a_bound(value, bound, met, verdict):
    figure = Figure(name="a", value=value, target=1.05, bound=bound)
    assert (figure.met, figure.verdict) == (met, verdict)


def test_without_a_target():
    figure = Figure(name="a", value=12_345.6, unit="")
    assert (figure.met, figure.verdict, figure.shown, figure.shown_spread) == (None, "", "12,346", "")


def test_spread():
    assert Figure(name="a", value=2, spread=(0.0123, 150)).shown_spread == "0.0123 to 150"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (0.001234, "0.00123"), (1.234, "1.23"), (99.99, "99.99"), (100.4, "100"), (1e-12, "0.00000000")],
)
def test_digits(value, text):
    assert in_digits(value) == text
