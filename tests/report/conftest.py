"""Fixtures of summaries, pages and figures."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from summaries import LONG, MANY, SIZES, SPECIAL, STUDY, TEACHER, build

from relbench.analysis.methods import Floor
from relbench.analysis.summary import Summary
from relbench.evaluation.comparison import Comparison, Interval
from relbench.report.figures import canvas
from relbench.report.page import page_text

MakeSummary = Callable[..., Summary]


@pytest.fixture(scope="session")
def make_summary() -> MakeSummary:
    """A function that turns sketches and seeds into a summary."""
    return build


@pytest.fixture(scope="session")
def study() -> Summary:
    """The quick start: six methods, three seeds."""
    return build()


@pytest.fixture(scope="session")
def one_class() -> Summary:
    """The same, as it is where all queries are of one class: no interval over queries, and no verdict."""

    def without(comparison: Comparison) -> Comparison:
        difference = Interval(comparison.difference)
        unknown = dict.fromkeys(("p_value", "p_over_classes", "p_adjusted", "freedom", "detectable"))
        return replace(
            comparison, interval=difference, over_classes=difference, parts=(), verdict="no verdict", **unknown
        )

    summary = build()
    judged = [
        replace(one, against_teacher=one.against_teacher and without(one.against_teacher)) for one in summary.methods
    ]
    pairs = [replace(pair, comparison=without(pair.comparison)) for pair in summary.pairs]
    return summary.replaced(entries=(), methods=tuple(judged), pairs=tuple(pairs))


@pytest.fixture(
    scope="session",
    params=[
        (STUDY, (0, 1, 2)),
        (STUDY, (7,)),
        ((TEACHER,), (0, 1, 2)),
        (MANY, (0, 1, 2)),
        (LONG, (0,)),
        (SPECIAL, (0, 1, 2)),
    ],
    ids=["study", "one seed", "teacher only", "twenty methods", "long label", "special characters"],
)
def any_summary(request: pytest.FixtureRequest) -> Summary:
    """Each shape of a summary that a report must cope with."""
    sketches, seeds = request.param
    return build(sketches, seeds)


@pytest.fixture(scope="session", params=[MANY, SPECIAL], ids=["twenty methods", "special characters"])
def crowded_summary(request: pytest.FixtureRequest) -> Summary:
    """What is hardest to draw."""
    return build(request.param)


DOT = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 450"/>'


@pytest.fixture(scope="session")
def page_of() -> Callable[[Summary], str]:
    """A function that makes the page with pictures that cost no time."""

    def make(summary: Summary) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for draw in ("forest_figure", "recall_figure", "size_figure", "training_figure", "distances_figure"):
                patch.setattr(f"relbench.report.page.{draw}", lambda *_, **__: DOT)
            return page_text(summary)

    return make


@pytest.fixture(scope="session")
def page(any_summary: Summary, page_of: Callable[[Summary], str]) -> str:
    """The page of each shape of a summary, with pictures that cost no time."""
    return page_of(any_summary)


@pytest.fixture(scope="session")
def many() -> Summary:
    """Twenty methods, sixteen loss terms."""
    return build(MANY, (0,))


@pytest.fixture(scope="session")
def many_seeds() -> Summary:
    """The same, three seeds."""
    return build(MANY)


@pytest.fixture(scope="session")
def floored(study: Summary) -> Summary:
    """The quick start with its floors."""
    names = study.methods[0].metrics
    pixels = Floor("raw pixels", "", 0, 1, {name: Interval(0.2) for name in names}, "Raw pixels: as they are.")
    metrics = {name: Interval(0.1, 0.08, 0.12) for name in names}
    network = Floor("untrained network", "conv4-8/32", 56_000, 3, metrics, "Untrained network: as it is built.")
    return study.replaced(floors={"Glyphs": (pixels, network)})


@pytest.fixture(scope="session", params=[STUDY, MANY, SIZES], ids=["study", "twenty methods", "many sizes"])
def sized_summary(request: pytest.FixtureRequest) -> Summary:
    """Few sizes and many."""
    return build(request.param, (0,))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn in a test."""
    drawn: list[Figure] = []

    class Kept(Figure):
        def __init__(self, **settings: object) -> None:
            super().__init__(**settings)  # type: ignore[arg-type]
            drawn.append(self)

    monkeypatch.setattr(canvas, "Figure", Kept)
    return drawn
