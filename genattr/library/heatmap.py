"""A heatmap with the photo, the class and the settings that it was made from."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from genattr import types
from genattr.errors import UserError, require
from genattr.files import expanded
from genattr.library.door import door
from genattr.plot.parts import Colors
from genattr.results.examples import pixels
from genattr.run.study import Study
from genattr.store import archive

if TYPE_CHECKING:
    from genattr.plot.figures import Picture


@dataclass(frozen=True, repr=False, eq=False)
class Heatmap(types.Heatmap):
    """An attribution map as ``genattr.types.Heatmap``, with what it was made from.

    Attributes
    ----------
    label
        Name of the explained class.
    title
        Names of method, filler and classifier: "SP-G · lightfill · efficientnet_lite0".
    reading
        How the classifier read the image: normalization, size, outputs.
    sample
        The photo as the classifier saw it.
    study
        The components, for ``genattr.score``; None after pickling: no weights travel.
    call
        The call that made it, as text.
    """

    label: str = ""
    title: str = ""
    reading: str = ""
    colors: Colors = "diverging"
    sample: types.Sample | None = None
    study: Study | None = None
    call: str = ""

    @property
    def photo(self) -> Image.Image:
        """The photo as the classifier saw it, D x D."""
        return Image.fromarray(pixels(self._sample.image))

    @property
    def size(self) -> int:
        """D, the side of the photo in pixels."""
        return int(self._sample.image.shape[-1])

    @property
    def _sample(self) -> types.Sample:
        assert self.sample is not None
        return self.sample

    def overlay(self) -> Image.Image:
        """Return the photo colored by the map: red for evidence, blue against, nothing at zero."""
        from genattr.plot.figures import overlay

        values = self.to_image(self.size).numpy()
        return Image.fromarray(overlay(pixels(self._sample.image), values, self.colors))

    def plot(self) -> Picture:
        """Draw photo, heatmap and overlay side by side, with class and probability: a Figure."""
        from genattr.plot.decision import triptych

        return triptych(
            pixels(self._sample.image),
            self.to_image(self.size).numpy(),
            self.colors,
            title=f"{self.label} · p = {self.score:.2f}",
            note=self.title,
        )

    @door
    def save(self, path: str | Path) -> Path:
        """Write the map to a file.

        Parameters
        ----------
        path
            ``.npz``: the values, which ``genattr.load`` reads; ``.png``, ``.pdf``, ``.svg``,
            ``.jpg``: the picture that ``plot`` draws.

        Raises
        ------
        UserError
            If the folder does not exist, or the ending is another one.
        """
        file = _in_a_folder(path)
        if file.suffix == ".npz":
            return archive.write(file, [self], 1)
        figure = self.plot()
        kinds = sorted(figure.canvas.get_supported_filetypes())
        ending = file.suffix.removeprefix(".").lower()
        require(
            ending in kinds,
            f"path={file}: must end in .npz, or in .{', .'.join(kinds)} for a picture",
        )
        figure.savefig(file, facecolor="white")
        return file

    @door
    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page, for whoever must justify the decision.

        It asks the classifier some more: what it says without the strongest parts.

        Parameters
        ----------
        path
            Ends in ``.html``.

        Raises
        ------
        UserError
            If the folder does not exist, the ending is another one, or the heatmap was pickled.
        """
        from genattr.library import reporting

        if self.study is None:
            raise UserError("report: the heatmap was pickled, without its model: explain again")
        file = _in_a_folder(path)
        reporting.write(self, self._sample, self.study, self.call, file)
        return file

    def __repr__(self) -> str:
        high, wide = self.values.shape
        shown = f"{self.label}, p = {self.score:.2f}, {high} x {wide}, {self.title}"
        return f"Heatmap({self.image_id}: {shown})"

    def _repr_png_(self) -> bytes:
        """Return the picture that ``plot`` draws, for notebooks."""
        return self.plot()._repr_png_()

    def _repr_html_(self) -> str:
        """Return that picture with a line about what it is of, for notebooks."""
        picture = b64encode(self._repr_png_()).decode()
        about = escape(f"{self.image_id}: {self.label}, p = {self.score:.2f} · {self.title}")
        return (
            f'<figure style="margin:0"><img alt="{about}" src="data:image/png;base64,{picture}">'
            f"<figcaption>{about}<br><small>{escape(self.reading)}</small></figcaption></figure>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "study": None}


def _in_a_folder(path: str | Path) -> Path:
    file = expanded(path)
    require(file.parent.is_dir(), f"path={file}: there is no folder {file.parent}")
    return file


def with_origin(
    heatmap: types.Heatmap, sample: types.Sample, study: Study, call: str = ""
) -> Heatmap:
    """Add to a heatmap what it was made from."""
    values = {entry.name: getattr(heatmap, entry.name) for entry in fields(types.Heatmap)}
    classifier = study.classifier
    return Heatmap(
        **values,
        label=classifier.labels[heatmap.target],
        title=study.title,
        reading=classifier.reading,
        colors=study.cfg.map_colors,
        sample=sample,
        study=study,
        call=call,
    )
