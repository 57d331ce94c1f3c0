"""Settings of Sphinx; ``python -m website`` builds the site."""

from pathlib import Path

import ziamath

import genattr

MATH_FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"  # OFL

project = "genattr"
author = "The genattr authors"
version = release = genattr.__version__
language = "en"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "website.diagrams",
    "website.docstrings",
    "website.mathml",
]

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math", "mermaid"]
myst_heading_anchors = 4
highlight_language = "text"
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "genattr"
html_math_renderer = "mathml"
html_favicon = "assets/icon.svg"
html_static_path = ["assets", str(MATH_FONT)]
html_css_files = ["site.css"]
html_copy_source = False
html_show_search_summary = False  # read by requests, which a site in a folder may not make
html_show_sourcelink = False
html_show_copyright = False
