"""The page itself: one HTML file with everything inside."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd
from PIL import Image

import genattr
from genattr.report import table

TEMPLATE = Path(__file__).with_name("page.html")
LARGEST_WEBP = 16383  # pixels a side, by the format
QUALITY = 90


@dataclass(frozen=True)
class Figure:
    """A picture and what it shows.

    Attributes
    ----------
    caption
        For people.
    file
        A PNG.
    """

    caption: str
    file: Path

    @property
    def data(self) -> str:
        """The picture as a data URI: WebP, where that has fewer bytes than the PNG."""
        png, webp = self.file.read_bytes(), _as_webp(self.file)
        kind, content = ("webp", webp) if webp and len(webp) < len(png) else ("png", png)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _as_webp(file: Path) -> bytes:
    """Return a picture as WebP; empty where it is too large for the format."""
    with Image.open(file) as picture:
        if max(picture.size) > LARGEST_WEBP:
            return b""
        buffer = BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=QUALITY, method=2)
    return buffer.getvalue()


@dataclass(frozen=True)
class Section:
    """The part of the page about one sweep.

    Attributes
    ----------
    title
        Its name.
    tables
        Title, data frames of texts, and notes of each table.
    figures
        In order.
    links
        Paths from the page to folders with more.
    """

    title: str
    tables: Sequence[tuple[str, Sequence[pd.DataFrame], Sequence[str]]]
    figures: Sequence[Figure]
    links: Sequence[str] = ()


def render(sections: Sequence[Section], notes: Sequence[str] = ()) -> str:
    """Fill the template; every text is escaped, and notes stand at the top."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(sections=sections, notes=notes, version=genattr.__version__)


def markdown(sections: Sequence[Section], notes: Sequence[str] = ()) -> str:
    """Write the tables and their notes as plain text, and other notes at the top."""
    return "\n".join([*notes, *(line for section in sections for line in _lines(section))])


def _lines(section: Section) -> Iterator[str]:
    yield f"# {section.title}\n"
    for title, frames, notes in section.tables:
        yield f"## {title}\n"
        yield from (f"{table.markdown(frame)}\n" for frame in frames if len(frame))
        yield from (f"- {note}" for note in notes)
        yield ""
