"""The data sets that are rendered rather than read, by name."""

from relbench.data.data_set import DataSet
from relbench.data.datasets.glyphs import GLYPHS, TEXTURED

RENDERED: dict[str, DataSet] = {"glyphs": GLYPHS, "glyphs-textured": TEXTURED}
