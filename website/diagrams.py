"""Mermaid's diagrams, drawn as SVG while the site is built: no script, no browser, no Node.js."""

from __future__ import annotations

import re
from hashlib import sha256

import mmdr
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

IDS = re.compile(r'(?<=["#])merman(?!-foreign)')  # begin so in each drawing; a page may have two


class Diagram(SphinxDirective):
    """A ```` ```mermaid ```` block."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        source = "\n".join(self.content)
        name = f"diagram-{sha256(source.encode()).hexdigest()[:8]}"
        drawing = IDS.sub(name, mmdr.render(source).svg())
        return [nodes.raw("", f'<div class="diagram">{drawing}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the block."""
    app.add_directive("mermaid", Diagram)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
