"""The documentation's settings, as Sphinx reads them: `make docs` builds it, without network."""

import sys
from pathlib import Path

import relbench

sys.path.insert(0, str(Path(__file__).parent))  # generators, the extension beside this file

project = "relbench"
copyright = "the authors of relbench; MIT licence"
version = release = relbench.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generators"]
exclude_patterns = ["_build", "generators"]

html_theme = "furo"
html_title = f"relbench {release}"
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it is fetched, which a browser refuses of pages that lie in a folder
smartquotes = False  # --set would become a dash and "set"
highlight_language = "text"
pygments_style, pygments_dark_style = "friendly", "monokai"

nitpicky = True
default_role = "py:obj"  # in docstrings, `name` is a link where the site has that name, and else code
nitpick_ignore_regex = [("py:obj", ".*"), ("py:.*", r"(?!relbench\.(losses|evaluation)\.\w+$).*")]

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_custom_sections = ["Source", "Numerics", "Cost"]
napoleon_use_ivar = True
napoleon_use_rtype = False
