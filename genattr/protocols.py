"""The interfaces of components: all attributes and methods that the rest of the code uses.

A component derives from one of these classes, or from a base in its package that does
(``filler.base``, ``classifier.base``, ...); methods and metrics have theirs in ``method.base`` and
``metric.base``. For a class that derives from none of them, ``components.build`` adds the
interface as a base, so that missing attributes have the defaults written here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

import torch
from torch import Tensor

from genattr.errors import UserError
from genattr.parameters import fault
from genattr.types import Sample

if TYPE_CHECKING:
    from torch import nn


class Identified:
    """An object that is part of the keys of stored heatmaps.

    Attributes
    ----------
    key_name
        The class's name in such keys, if it has moved since; empty: its module and its name.
    """

    key_name: ClassVar[str] = ""

    @property
    def idle(self) -> Sequence[str]:
        """Names of parameters that change nothing, such as those of a search not chosen."""
        return ()

    @cached_property
    def fingerprint(self) -> str | None:
        """Hash of the weights or other data; None: the results depend on the parameters alone."""
        return None


class Asset(Identified):
    """A file of weights that a component loads.

    Attributes
    ----------
    license
        Of its content.
    name
        The file's.
    origin
        Where it comes from: an address, or a pip package.
    place
        Where it is, or where it is put; None: nothing is known of that before it is fetched.
    is_fetched
        It comes over the network, and not with a pip package.
    """

    is_fetched: ClassVar[bool] = True

    if TYPE_CHECKING:  # parameters, attributes or properties, as each kind likes

        @property
        def license(self) -> str: ...

        @property
        def name(self) -> str: ...

        @property
        def origin(self) -> str: ...

        @property
        def place(self) -> Path | None: ...

    def check(self, file: Path) -> None:
        """Raise UserError unless the file has the expected hash, where one is known."""


class Component(Identified):
    """A part of a run that a group of ``conf/`` offers: a frozen dataclass.

    Its parameters are the keys of its YAML file. Their types define the allowed values; rules
    across parameters are checked in ``__post_init__``, which calls this one first. Error messages
    begin with ``<group>.<parameter>=<value>: ...``; the code that builds the component replaces
    the group by the component's key.

    Attributes
    ----------
    group
        Its group of ``conf/``.
    extra
        The extra that it needs, as in ``pip install 'genattr[extra]'``; empty: none.
    fetches
        By default it loads weights that are fetched at first use.
    wants_gpu
        Without a GPU it takes minutes for each photo, or more.
    """

    group: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    fetches: ClassVar[bool] = False
    wants_gpu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the parameters; UserError names the first that is wrong."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}  # type: ignore[arg-type]
        check(values, type(self), self.group)

    @cached_property
    def title(self) -> str:
        """Name for people; unless the component says otherwise, that of its option."""
        return self.option

    @property
    def in_words(self) -> str:
        """What it does, for people; unless it says otherwise, its class's first sentence."""
        kind = type(self)
        described = inspect.cleandoc(kind.__doc__ or "")
        is_signature = described.startswith(f"{kind.__name__}(")  # what a dataclass has without one
        return "" if is_signature else " ".join(described.partition("\n\n")[0].split())

    @property
    def terms(self) -> str:
        """Licenses of its weights and of those of its parts, for people; empty: none is known."""
        parts = (getattr(self, entry.name) for entry in fields(self))  # type: ignore[arg-type]
        inside = [part.terms for part in parts if isinstance(part, Component)]
        known = [*(asset.license for asset in self.assets), *inside]
        return "; ".join(dict.fromkeys(filter(None, known)))

    @property
    def assets(self) -> Sequence[Asset]:
        """Weights that it loads from elsewhere than the user's own files."""
        return ()

    def files_beside(self, image_id: str) -> Sequence[Path]:
        """Return files that it reads for a photo beside the dataset's, such as a mask."""
        return ()

    def reads(self, sample: Sample) -> dict[str, Any]:
        """Return what it reads of a photo beside the pixels, for keys; BadPhotoError if bad."""
        return {}

    @property
    def is_foreign(self) -> bool:
        """Code of the user's own: it gets copies, and what it gives is checked each time."""
        return not type(self).__module__.startswith(f"{__package__}.")

    @property
    def option(self) -> str:
        """Name of its file, which is that of its option in ``conf/``."""
        return type(self).__module__.rpartition(".")[2]


@cache
def hints_of(owner: type) -> Mapping[str, Any]:
    """Return the types of a class's parameters, with their ranges."""
    return get_type_hints(owner, include_extras=True)


def check(values: Mapping[str, Any], owner: type, where: str) -> None:
    """Check values against the types of their parameters.

    Parameters
    ----------
    owner
        The class whose constructor has the parameters.
    where
        The key of the component that has the values.

    Raises
    ------
    UserError
        Names the first value that is not allowed, and says what is.
    """
    hints = hints_of(owner)
    for key, value in values.items():
        problem = fault(value, hints[key])
        if problem is not None:
            quote = (
                f"""; quote it: "{where}.{key}='{value}'\"""" if "a valid string" in problem else ""
            )
            raise UserError(f"{where}.{key}={value}: {problem}{quote}")


class Dataset(Component):
    """Photos by position, each with a unique name."""

    group: ClassVar[str] = "dataset"

    @property
    def ids(self) -> Sequence[str]:
        """Names of the photos, in the dataset's order, known without opening any."""
        raise NotImplementedError

    @property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo, in the order of ``ids``, known without opening any photo."""
        raise NotImplementedError

    @property
    def label_sets(self) -> Sequence[Sequence[int]]:
        """All classes of each photo, the one of ``photo_labels`` first; empty: no label."""
        return [() if label is None else (label,) for label in self.photo_labels]

    @property
    def has_boxes(self) -> bool:
        """Whether any photo comes with boxes, known without opening any photo."""
        raise NotImplementedError

    @property
    def n_classes(self) -> int | None:
        """Number of classes of the labels, known without opening any photo; or None."""
        return None

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes of the labels, by index; None: the classifier's own indices."""
        return None

    @property
    def may_mean_names(self) -> bool:
        """The labels were written as numbers, which classes might be called by, too."""
        return False

    @property
    def indexes_outputs(self) -> bool:
        """The index of a class is its place among a network's outputs, also without names."""
        return True

    @property
    def shared_files(self) -> Sequence[Path]:
        """Files that tell of many photos, such as a table of labels or boxes."""
        return ()

    def files(self, index: int) -> Sequence[Path]:
        """Return the files that one photo is made of, which a sweep looks at for changes.

        Without any, the photo is loaded for that.
        """
        return ()

    def __len__(self) -> int:
        """Count the photos."""
        return len(self.ids)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo and resize it to size x size; BadPhotoError if it cannot be read."""
        raise NotImplementedError


class Classifier(Component):
    """Images in [0, 1] to logits; normalizes inside.

    Attributes
    ----------
    has_gradient
        It is differentiable by PyTorch; methods with ``needs_gradient`` require it.
    in_pytorch
        PyTorch computes it, which can do so with fewer bits.
    tolerance
        Largest difference of a probability between two calls with the same image.
    """

    group: ClassVar[str] = "classifier"
    has_gradient: ClassVar[bool] = True
    in_pytorch: ClassVar[bool] = True
    tolerance: ClassVar[float] = 1e-4

    if TYPE_CHECKING:  # parameters, attributes or properties, as each classifier likes

        @property
        def input_size(self) -> int:
            """D, the side of the square images that it takes, in pixels."""

        @property
        def labels(self) -> Sequence[str]:
            """Names of the classes, by index."""

    @cached_property
    def network(self) -> nn.Module | None:
        """The PyTorch module, on normalized images, for methods that need it; None: it has none."""
        return None

    @cached_property
    def trials(self) -> dict[str, str]:
        """Outcomes of trials by their names, as each is made once."""
        return {}

    @property
    def of_network(self) -> Classifier:
        """The classifier that runs ``network`` itself, whose layers can be watched."""
        return self

    @property
    def exact(self) -> Classifier:
        """The same with 32 bits: itself, unless it computes with fewer."""
        return self

    def with_network(self, change: Callable[[nn.Module], nn.Module]) -> Classifier:
        """Return a twin that has what ``change`` makes of its network; itself if it has none."""
        return self

    def to(self, device: torch.device) -> None:
        """Move the weights."""

    def fuse(self) -> None:
        """From now on, let passes without gradient on the CPU fuse layers, if the bits stay."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, 3, D, D) to (B, K) logits, or log-probabilities."""
        raise NotImplementedError

    @property
    def sigmoid(self) -> bool:
        """Each class has a probability of its own, the sigmoid of its logit.

        So it is with binary and multi-label networks. With others, the softmax over all logits
        gives the probabilities.
        """
        return False

    @property
    def has_logits(self) -> bool:
        """The network gives logits; if not, it gives probabilities, and ``__call__`` their logs."""
        return True

    @property
    def reading(self) -> str:
        """How the outputs become probabilities, for people: "softmax over 1000 logits"."""
        rule = "sigmoid of each of" if self.sigmoid else "softmax over"
        return f"{rule} {len(self.labels)} logits"

    @property
    def alternatives(self) -> int:
        """How many equally likely choices there are by chance: all classes, or yes and no."""
        return 2 if self.sigmoid else len(self.labels)

    def check_outputs(self, images: Tensor) -> None:
        """Refuse outputs in (B, 3, D, D) images that are not what the parameters say of them."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Map (B, K) logits to (B, K) probabilities, differentiable."""
        return logits.sigmoid() if self.sigmoid else logits.softmax(1)

    def log_odds(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return log p - log(1 - p) of each row's target, finite also where p is 1.

        Parameters
        ----------
        logits
            (B, K).
        targets
            (B,) class indices.

        Returns
        -------
        (B,).
        """
        own = logits.gather(1, targets[:, None])[:, 0]
        if self.sigmoid:
            return own
        others = logits.scatter(1, targets[:, None], -torch.inf)
        return own - others.logsumexp(1)


class Filler(Component):
    """Fills holes; ``filler.base.PlainFiller`` has False for the three properties.

    Attributes
    ----------
    is_light
        It comes along whole and fills in a moment: a report fills holes again to show them.
    counts
        Counts of its fills by name, such as holes that another filler had to fill.
    """

    group: ClassVar[str] = "filler"
    is_light: ClassVar[bool] = False
    counts: Mapping[str, float] = MappingProxyType({})

    if TYPE_CHECKING:  # parameters, attributes or properties, as each filler likes

        @property
        def inpaints(self) -> bool:
            """It synthesizes from the hole's surroundings, as G methods require."""

        @property
        def reads_hole(self) -> bool:
            """Its image depends on the hole; if not, one fill per photo is enough."""

        @property
        def stochastic(self) -> bool:
            """It draws from the seeds."""

    def for_sample(self, sample: Sample) -> Filler:
        """Return the filler for this photo: itself, unless a parameter depends on the photo."""
        return self

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return whole filled images; never composites.

        Parameters
        ----------
        images
            (B, 3, D, D) in [0, 1].
        hole
            (B, 1, D, D) bool, True = removed.
        seeds
            One per row; used only by stochastic fillers.

        Returns
        -------
        (B, 3, D, D) in [0, 1].
        """
        raise NotImplementedError


class Segmentation(Component):
    """Splits photos into segments, for a method or a filler that owns it.

    Attributes
    ----------
    uses
        Which of the owner's parameters ``n_segments``, ``compactness`` and ``sigma`` matter to it.
    """

    group: ClassVar[str] = "segmentation"
    uses: ClassVar[Sequence[str]] = ()

    def split(self, sample: Sample, n_segments: int, compactness: float, sigma: float) -> Tensor:
        """Split a photo.

        Parameters
        ----------
        n_segments, compactness, sigma
            The owner's: the approximate number of segments, and SLIC's weight of distance against
            color and width of the smoothing before.

        Returns
        -------
        (D, D) int64 labels, exactly 0..K-1, on the CPU; BadPhotoError if there are none.
        """
        raise NotImplementedError
