"""The size of an evaluation: gallery, queries and dimension."""

from relbench.settings import Settings

DIMS = (128, 512)
"""Dimensions that are planned for where none is named."""

NUMBER_BYTES = 4  # of a float32
LARGEST = 10**15  # rows: below, float64 holds every whole number
FORM = "write the gallery's size, and perhaps x its dimension and : the number of queries, as in 1e9x128:1e4"


class Workload(Settings):
    """An exact evaluation.

    Attributes:
        gallery: rows.
        queries: rows; those of the gallery unless they were named.
        dim: columns of both.
    """

    gallery: int
    queries: int
    dim: int

    @property
    def pairs(self) -> int:
        """Distances: of every query to every row of the gallery."""
        return self.gallery * self.queries

    @property
    def operations(self) -> int:
        """Multiplications and additions of the products: 2 n q d."""
        return 2 * self.pairs * self.dim

    @property
    def gallery_bytes(self) -> int:
        """As a file of float32."""
        return self.gallery * self.dim * NUMBER_BYTES

    @property
    def query_bytes(self) -> int:
        """As a file of float32."""
        return self.queries * self.dim * NUMBER_BYTES


def parse_workloads(text: str) -> tuple[Workload, ...]:
    """Workloads from `GALLERY[xDIM][:QUERIES]`: one for each dimension.

    Args:
        text: numbers may have an exponent. Without a dimension there are several (`DIMS`); without queries, all rows of
            the gallery are queries.

    Raises:
        ValueError: it is not of this form, or a number is not whole, below 1 or beyond 1e15.

    Example:
        >>> [(each.gallery, each.queries, each.dim) for each in parse_workloads("1e6x64:1e3")]
        [(1000000, 1000, 64)]
    """
    sizes, _, asked = text.partition(":")
    rows, _, columns = sizes.partition("x")
    if text.endswith((":", "x")) or sizes.endswith("x"):
        raise ValueError(f"--plan {text!r} stops where a number should follow: {FORM}")
    gallery = _whole(rows, text)
    queries = _whole(asked, text) if asked else gallery
    dims = (_whole(columns, text),) if columns else DIMS
    return tuple(Workload(gallery=gallery, queries=queries, dim=dim) for dim in dims)


def _whole(number: str, text: str) -> int:
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"--plan {text!r}: {number!r} is not a number: {FORM}") from None
    if not 1 <= value <= LARGEST or value != int(value):
        raise ValueError(f"--plan {text!r}: {number} is not a whole number from 1 to {LARGEST:.0e}: {FORM}")
    return int(value)
