"""The page about one decision, and the index of several: HTML files with everything inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.nn import functional

import genattr
from genattr.plot.figures import MAPS, MOST_BOXES, overlay
from genattr.plot.parts import Colors, Pixels
from genattr.report.decision import SHARES, TOLD, Answer, Decision
from genattr.report.facts import Facts

ENLARGED = 448  # pixels that a picture has at least, so that drawn lines are fine
YELLOW = (255, 208, 0)
STOPS = 16  # of the color scale
NARROW = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True)
class Shown:
    """A picture with its caption.

    Attributes
    ----------
    data
        A data URI.
    alt
        What it shows, for people who do not see it.
    title, text
        Below it.
    """

    data: str
    alt: str
    title: str
    text: str = ""


@dataclass(frozen=True)
class Entry:
    """One page in the index.

    Attributes
    ----------
    file
        Its name.
    image_id, label, probability
        Of the decision.
    picture
        A small overlay, as a data URI.
    summary
        The page's first sentences.
    """

    file: str
    image_id: str
    label: str
    probability: str
    picture: str
    summary: str


def render(decision: Decision, facts: Facts) -> str:
    """Write the page about one decision."""
    heat, over = _heatmap(decision, facts.colors)
    return _fill(
        "decision.html",
        decision=decision,
        facts=facts,
        probability=percent(decision.answer.probability),
        summary=summary(decision),
        photo=_photo(decision),
        heat=heat,
        over=over,
        scale=_scale(decision, facts.colors),
        asked=_asked(decision),
        strongest=_row(decision.strongest, "strongest", decision.label),
        weakest=_row(decision.weakest, "weakest", decision.label),
        reversed_at=" and ".join(map(part, decision.reversed_at)),
        other=_other(decision, facts),
        settings={**_of_photo(decision), **facts.settings},
        details=_details(decision),
    )


def entry(file: str, decision: Decision, facts: Facts) -> Entry:
    """Sum up a page for the index."""
    small = Image.fromarray(overlay(decision.answer.image, decision.values, facts.colors))
    return Entry(
        file,
        decision.sample.image_id,
        decision.label,
        percent(decision.answer.probability),
        _data(small.resize((160, 160))),
        summary(decision),
    )


def render_index(entries: Sequence[Entry], title: str, facts: Facts) -> str:
    """Write the index of the pages of a run."""
    return _fill("decisions.html", entries=entries, title=title, facts=facts)


def _fill(template: str, **values: Any) -> str:
    """Fill a template; every text is escaped."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True,
        loader=FileSystemLoader(Path(__file__).parent),
    )  # fmt: skip
    environment.filters["percent"] = percent
    return environment.get_template(template).render(**values, version=genattr.__version__)


def percent(share: float) -> str:
    """Write a probability: "71.5 %", and extremes with the digits that tell them from 0 and 1."""
    value = 100 * share
    if value < 0.1:
        number = f"{value:.1g}" if value >= 1e-3 else "below 0.001"
    elif value > 99.9:
        number = f"{value:.2f}" if value < 99.99 else "above 99.99"
    else:
        number = f"{value:.1f}"
    return f"{number}{NARROW}%"


def part(share: float) -> str:
    """Write a share of the photo: "10 %"."""
    return f"{100 * share:.3g}{NARROW}%"


def summary(decision: Decision) -> str:
    """Say in a few sentences what the page shows."""
    whole, without, control = (
        answer.probability
        for answer in (decision.answer, decision.without, decision.without_weakest)
    )
    told = [
        f"The classifier gives this photo {percent(whole)} for “{decision.label}”.",
        f"Without the {part(TOLD)} of the photo that the heatmap marks strongest, it gives "
        f"{percent(without)}; without the {part(TOLD)} that it marks weakest, {percent(control)}.",
    ]
    if decision.is_doubtful:
        told.append("Its marked parts matter no more than others: do not rely on this heatmap.")
    if decision.rank > 1:
        first = decision.choices[0]
        told.insert(1, f"Its first choice is “{first.label}” ({percent(first.probability)}).")
    return " ".join(told)


def _photo(decision: Decision) -> Shown:
    boxes = decision.sample.boxes
    picture = _enlarged(decision.answer.image)
    _draw_boxes(picture, [] if boxes is None else boxes.tolist(), decision.answer.image.shape[0])
    height, width = decision.sample.native_size
    size = decision.answer.image.shape[0]
    text = f"{size} x {size} pixels, of {width} x {height}"
    text += "" if boxes is None else "; yellow: labeled boxes"
    return Shown(_data(picture), f"the photo {decision.sample.image_id}",
                 "What the classifier sees", text)  # fmt: skip


def _heatmap(decision: Decision, colors: Colors) -> tuple[Shown, Shown]:
    """Return the heatmap alone, and over the photo."""
    values = decision.values.clip(min=0) if colors == "single" else decision.values
    strength = values / max(float(np.abs(values).max()), 1e-30)
    place = strength if colors == "single" else (strength + 1) / 2
    alone = (mpl.colormaps[MAPS[colors]](place)[:, :, :3] * 255).round().astype(np.uint8)
    over = overlay(decision.answer.image, decision.values, colors)
    return (
        Shown(_data(_enlarged(alone)), "the heatmap", "Heatmap"),
        Shown(_data(_enlarged(over)), "the heatmap over the photo", "Over the photo"),
    )


def _scale(decision: Decision, colors: Colors) -> Mapping[str, str]:
    """Return the color scale as a gradient of CSS, and the numbers at its ends and its middle."""
    palette = mpl.colormaps[MAPS[colors]]
    stops = ", ".join(mpl.colors.to_hex(palette(i / STOPS)) for i in range(STOPS + 1))
    single = colors == "single"
    values = decision.values.clip(min=0) if single else decision.values
    most = float(np.abs(values).max())
    low, middle = (0.0, most / 2) if single else (-most, 0.0)
    cells = decision.heatmap.values
    numbers = {"low": low, "middle": middle, "high": most}
    numbers |= {"lowest": float(cells.min()), "highest": float(cells.max())}
    return {"gradient": stops} | {name: _number(value) for name, value in numbers.items()}


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _asked(decision: Decision) -> Sequence[Shown]:
    """Return the photo with a hole outlined, and what the classifier saw in its place."""
    if decision.hidden is None:
        return []
    hidden = decision.hidden
    before = _enlarged(_outlined(decision.answer.image, hidden.hole))
    kind = "What the method removes in the end" if hidden.is_final else "What was hidden"
    share = f"{part(float(hidden.hole.mean()))} of the photo, outlined"
    after = "the photo with the hole filled"
    return [
        Shown(_data(before), "the photo with a hole outlined", kind, share),
        _seen(hidden.answer, "What stood there", after, decision.label),
    ]


def _seen(answer: Answer, title: str, alt: str, label: str) -> Shown:
    first = f"first choice: {answer.first.label}, {percent(answer.first.probability)}"
    first = "the first choice" if answer.first.label == label else first
    text = f"{percent(answer.probability)}; {first}"
    return Shown(_data(Image.fromarray(answer.image)), alt, title, text)


def _row(answers: Sequence[Answer], which: str, label: str) -> Sequence[Shown]:
    parts = [f"{which} {part(share)}" for share in SHARES]
    return [
        _seen(answer, f"without the {name}", f"the photo without the {name}", label)
        for answer, name in zip(answers, parts, strict=True)
    ]


def _other(decision: Decision, facts: Facts) -> Sequence[Shown]:
    """Return the same part removed by both fillers."""
    alt = "the photo without its strongest part, filled by"
    return [
        _seen(answer, title, f"{alt} {title}", decision.label)
        for answer, title in (
            (decision.without, facts.filler.title),
            (decision.other, decision.others_title),
        )
    ]


def _of_photo(decision: Decision) -> Mapping[str, str]:
    pixels = np.ascontiguousarray(decision.answer.image).tobytes()
    height, width = decision.sample.native_size
    return {
        "Photo": f"{decision.sample.image_id}, {width} x {height} pixels",
        "SHA-256 of what the classifier sees": hashlib.sha256(pixels).hexdigest(),
        "Class": f"{decision.label} (index {decision.heatmap.target})",
    }


def _details(decision: Decision) -> str:
    """Say what the heatmap cost, and the method's further numbers."""
    heatmap = decision.heatmap
    told = [f"{heatmap.n_scored:,} images scored", f"{heatmap.n_filled:,} filled",
            f"{heatmap.seconds:.1f} s"]  # fmt: skip
    told += [f"{key.replace('_', ' ')} {value:.4g}" for key, value in heatmap.details.items()]
    return " · ".join(told)


def _outlined(image: Pixels, hole: NDArray[np.float32]) -> Pixels:
    """Draw a line around a hole; half of a soft one is its border."""
    inside = torch.from_numpy(hole >= 0.5).float()[None, None]
    edge = (functional.max_pool2d(inside, 3, 1, 1) > inside)[0, 0].numpy()
    drawn = image.copy()
    drawn[edge] = YELLOW
    return drawn


def _enlarged(image: Pixels) -> Image.Image:
    """Turn pixels into a picture, with each pixel repeated where there are few."""
    times = max(-(-ENLARGED // len(image)), 1)
    picture = Image.fromarray(image)
    side = len(image) * times
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def _draw_boxes(picture: Image.Image, boxes: Sequence[Sequence[float]], size: int) -> None:
    draw, times = ImageDraw.Draw(picture), picture.width / size
    for x0, y0, x1, y1 in boxes[:MOST_BOXES]:
        corners = [x0 * times, y0 * times, x1 * times - 1, y1 * times - 1]
        draw.rectangle(corners, outline=(0, 0, 0), width=5)
        draw.rectangle([c + d for c, d in zip(corners, (1, 1, -1, -1), strict=True)],
                       outline=YELLOW, width=3)  # fmt: skip


def _data(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
