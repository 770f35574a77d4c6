"""What every picture of a report is drawn on.

The colours are Okabe and Ito's (2008, jfly.uni-koeln.de/color), less yellow, which is too pale on white, and black,
which is the teacher's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import matplotlib.style
from matplotlib.figure import Figure

from relbench.fonts import make_readable
from relbench.plain_text import visible

DOTS_PER_INCH = 150
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "font.size": 9.5,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.fonttype": "path",  # the same picture where the font is missing
    "text.parse_math": False,  # a dollar in a label is a dollar
    "svg.hashsalt": "relbench",  # names inside the file that do not change from one run to the next
}


@contextmanager
def drawn(size: tuple[float, float], kind: str) -> Iterator[tuple[Figure, BytesIO]]:
    """A figure of so many inches, whose picture is in the buffer after the block; a user's matplotlibrc has no say."""
    content = BytesIO()
    with matplotlib.style.context(["default", STYLE], after_reset=True):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        yield figure, content
        make_readable(figure)
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: no line hidden from a legend by an underscore, no letter unseen."""
    shown = visible(text)
    return f" {shown}" if shown.startswith("_") else shown
