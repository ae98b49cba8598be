"""How the documentation is built: ``sphinx-build -W -n docs docs/_build/html``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pidj-async"
author = "the pidj-async developers"
release = version = version_of("pidj-async")

extensions = ["endpoint_table", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "pidj-async"
html_show_copyright = False
html_copy_source = False

# Single backticks in docstrings name our own objects, or arguments, which are no objects and stay plain.
default_role = "py:obj"
# There is no inventory of other projects to look into, because the build needs no network. What is ours and public must
# resolve; type variables have one letter.
nitpick_ignore_regex = [(r"py:.*", r"(?!pidj_async\.).*"), (r"py:.*", r".*\._.*"), (r"py:class", r".*\.[A-Z]")]
# Two classes are called Reply, one of the API and one of a handler; an annotation that names either finds both.
suppress_warnings = ["ref.python"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
