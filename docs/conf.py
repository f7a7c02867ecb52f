"""How Sphinx builds the documentation: ``pip install -e '.[docs]' && sphinx-build -W -b html docs docs/_build/html``.

Nothing is fetched while it builds. The pages in ``docs/components`` are written by ``_ext/benchkit_pages.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from benchkit import __version__  # as it is installed, the version that the pages are made from

project = "benchkit"
author = "the benchkit maintainers"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "benchkit_pages"]
exclude_patterns = ["_build", "components/_matrix.md", "components/_site"]
highlight_language = "text"
smartquotes = False  # "--population" is an option, not a dash

myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Class attributes", "params_style")]

html_theme = "furo"
html_title = f"benchkit {version}"
html_static_path = ["_static"]
html_extra_path = ["components/_site"]
html_css_files = ["benchkit.css"]
html_copy_source = False
html_show_copyright = False
