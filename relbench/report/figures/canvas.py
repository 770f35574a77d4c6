"""Canvas of every figure of a report: size, colours, style.

The first six colours are Okabe and Ito's (2008, jfly.uni-koeln.de/color), without yellow, which is too pale on white,
and black, which is the teacher's; the others are after Paul Tol's muted scheme (personal.sron.nl/~pault). A page shows
the same drawing on dark ground: whatever has a colour here has a colour there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib.style
from matplotlib.figure import Figure

from relbench.fonts import make_readable
from relbench.plain_text import visible

DOTS_PER_INCH = 150
INK, PAPER, FAINT, STRIP, GRID = "#1b1b1b", "#ffffff", "#767676", "#f0f0f0", "#b0b0b0"
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"),
    *("#332288", "#999933", "#882255", "#6e6e6e"),
)
ON_DARK = {  # what stands for a colour where the page is dark
    INK: "#e8e8e8",
    PAPER: "#15171a",
    FAINT: "#a3a3a3",
    STRIP: "#26292e",
    GRID: "#6c727a",
    "#0072b2": "#3f9be0",
    "#d55e00": "#f2792f",
    "#009e73": "#1fbf92",
    "#cc79a7": "#db9cc0",
    "#56b4e9": "#56b4e9",
    "#e69f00": "#e69f00",
    "#332288": "#a194ff",
    "#999933": "#bcbc4c",
    "#882255": "#d9528f",
    "#6e6e6e": "#a0a0a0",
}
STYLE = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "font.size": 9.5,
    "grid.alpha": 0.3,
    "grid.color": GRID,
    "legend.frameon": False,
    "svg.fonttype": "path",  # the same picture where the font is missing
    "svg.hashsalt": "relbench",  # names inside the file that do not change from one run to the next
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a label is a dollar
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def drawn(size: tuple[float, float], kind: str) -> Iterator[tuple[Figure, BytesIO]]:
    """A figure of a size in inches, whose picture is in the buffer after the block; no matplotlibrc has a say."""
    content = BytesIO()
    with matplotlib.style.context(["default", STYLE], after_reset=True):
        figure = Figure(figsize=size, layout="constrained", facecolor=PAPER)
        yield figure, content
        make_readable(figure)
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: no line hidden from a legend by an underscore, no letter unseen."""
    shown = visible(text)
    return f" {shown}" if shown.startswith("_") else shown


def shortened(text: str, letters: int) -> str:
    """Text cut to a number of letters; textwrap would drop a name without blanks whole."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
