"""Classifiers and fillers of a user's own that misbehave, always or at times."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from genattr.classifier.given import GivenClassifier
from genattr.filler.callable import CallableFiller
from genattr.protocols import Classifier, Filler

SIDE, CLASSES = 12, 3
BUFFERS: dict[Any, Tensor] = {}  # that a part returns each time
Answer = Callable[..., Any]


def draws(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


WEIGHTS = 0.06 * torch.randn(3 * SIDE**2, CLASSES, generator=draws(0), dtype=torch.float32)
STEPS = torch.tensor([0.3, 0.5, 0.7]).view(1, 3, 1, 1)


def logits(images: Tensor) -> Tensor:
    """Return three logits, which leave [0, 1]."""
    return images.flatten(1) @ WEIGHTS


def fill(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
    """Fill by the mean of what is kept, and by one color where nothing is."""
    kept = (~hole).float()
    count = kept.sum(dim=(2, 3), keepdim=True)
    mean = (images * kept).sum(dim=(2, 3), keepdim=True) / count.clamp(min=1)
    return torch.where(count > 0, mean, STEPS).expand_as(images).clone().clamp(0, 1)


class Slope(torch.autograd.Function):
    """The identity, whose gradient is something else."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.change = change
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        return ctx.change(gradient), None


class UnprintableError(Exception):
    """An error that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def raising(error: BaseException) -> Answer:
    def fail(*_: Any) -> Any:
        raise copy.copy(error)

    return fail


def _spoiled(value: float, part: Any) -> Answer:
    def spoil(out: Tensor, *_: Any) -> Tensor:
        out = out.clone()
        out[part] = value
        return out

    return spoil


def _buffered(out: Tensor, *_: Any) -> Tensor:
    return BUFFERS.setdefault(tuple(out.shape), torch.empty(out.shape)).copy_(out)


def _shared(out: Tensor, *_: Any) -> Tensor:
    """Return the same memory each time, which PyTorch cannot know."""
    buffer = BUFFERS.setdefault(("array", *out.shape), torch.empty(out.shape))
    buffer.numpy()[:] = out.detach().numpy()
    return torch.from_numpy(buffer.numpy())


def _wiped(out: Tensor, images: Tensor, *_: Any) -> Tensor:
    out = out.clone()
    with torch.no_grad():
        images.zero_()
    return out


def _set(change: Callable[[], Any]) -> Answer:
    def then(out: Tensor, *_: Any) -> Tensor:
        change()
        return out

    return then


def _strided(out: Tensor, *_: Any) -> Tensor:
    wide = out.repeat_interleave(2, dim=-1)
    return wide[..., ::2]


Kinds = dict[str, Answer]
STATES: Kinds = {
    "default dtype": _set(lambda: torch.set_default_dtype(torch.float64)),
    "no gradients from now on": _set(lambda: torch.set_grad_enabled(False)),
    "gradients from now on": _set(lambda: torch.set_grad_enabled(True)),
    "threads": _set(lambda: torch.set_num_threads(2)),
    "seed": _set(lambda: torch.manual_seed(3)),
    "default device": _set(lambda: torch.set_default_device("meta")),
    "autocast": _set(lambda: torch.set_autocast_enabled("cpu", True)),
    "deterministic": _set(lambda: torch.use_deterministic_algorithms(True)),
}
HARMLESS: Kinds = {  # the result is as if nothing was wrong
    "as it should be": lambda out, *_: out,
    "float64": lambda out, *_: out.double(),
    "requires grad": lambda out, *_: out + torch.zeros(1, requires_grad=True),
    "not contiguous": _strided,
    "same buffer": _buffered,
    "wipes its input": _wiped,
    **STATES,
}
SHAPES: Kinds = {
    "no batch": lambda out, *_: out.sum(0) if len(out) > 1 else out[0],
    "swapped": lambda out, *_: out.transpose(0, 1),
    "a row more": lambda out, *_: torch.cat([out, out[-1:]]),
    "a row less": lambda out, *_: out[:-1],
    "an axis more": lambda out, *_: out.unsqueeze(-1).expand(*out.shape, 2),
    "scalar": lambda out, *_: out.mean(),
    "number": lambda out, *_: 0.5,
    "list": lambda out, *_: list(out),
    "list of numbers": lambda out, *_: out.tolist(),
    "dict": lambda out, *_: {"one": out, "other": out + 1},
    "empty dict": lambda *_: {},
    "none": lambda *_: None,
    "text": lambda *_: "a\nlong\ntext",
    "array": lambda out, *_: out.detach().numpy(),
    "complex": lambda out, *_: out + 1j,
    "integer": lambda out, *_: out.round().long(),
    "bool": lambda out, *_: out > 0.5,
    "sparse": lambda out, *_: out.to_sparse(),
    "meta": lambda out, *_: out.to("meta"),
    "quantized": lambda out, *_: torch.quantize_per_tensor(out, 0.1, 0, torch.qint8),
}
ERRORS: Kinds = {
    type(error).__name__ + name: raising(error)
    for name, error in {
        "": ValueError("wrong\nin\n\x1b[31mmany lines"),
        " of a key": KeyError("head"),
        " without a text": AssertionError(),
        " unprintable": UnprintableError(),
        " of a loop": StopIteration(),
        " of depth": RecursionError("too deep"),
        " of memory": MemoryError(),
        " of zero": SystemExit(0),
        " of text": SystemExit("bye"),
        " of one": SystemExit(1),
        " of the system": OSError(28, "No space left on device"),
    }.items()
}  # fmt: skip
NUMBERS: Kinds = {
    "NaN": _spoiled(torch.nan, ...),
    "NaN in one row": _spoiled(torch.nan, 0),
    "NaN in one place": _spoiled(torch.nan, (slice(None), 0)),
    "infinity": _spoiled(torch.inf, ...),
    "infinity in one place": _spoiled(torch.inf, (slice(None), 1)),
    "minus infinity": _spoiled(-torch.inf, (slice(None), 0)),
    "enormous": lambda out, *_: out.double() * 1e300,
}
OF_CLASSIFIERS: Kinds = {
    "a class more": lambda out, *_: torch.cat([out, out[:, :1]], dim=1),
    "a class less": lambda out, *_: out[:, :-1],
    "no class": lambda out, *_: out[:, :0],
    "one class": lambda out, *_: out[:, :1],
    "others each time": lambda out, *_: out + 3 * torch.randn(out.shape),
    "NaN in the gradient": lambda out, *_: Slope.apply(out, lambda g: g * torch.nan),
    "infinity in the gradient": lambda out, *_: Slope.apply(out, lambda g: g + torch.inf),
    "an error in the gradient": lambda out, *_: Slope.apply(out, raising(ValueError("back"))),
    "an exit in the gradient": lambda out, *_: Slope.apply(out, raising(SystemExit(3))),
    "no gradient": lambda out, *_: out.detach(),
    "same memory": _shared,
}
OF_FILLERS: Kinds = {
    "same memory": _shared,
    "kept pixels": lambda out, images, hole, *_: torch.where(hole, out, 1 - images),
    "too bright": lambda out, *_: out + 1,
    "too dark": lambda out, *_: out - 1,
    "levels": lambda out, *_: out * 255,
    "another side": lambda out, *_: out[..., ::2],
    "channels last": lambda out, *_: out.permute(0, 2, 3, 1),
    "gray": lambda out, *_: out[:, :1],
    "others each time": lambda out, *_: torch.rand(out.shape),
}
EQUAL = {*HARMLESS, "kept pixels"}  # the heatmap must be as that of a part that behaves
WHEN = ("always", "late", "at times")


@dataclass
class Behavior:
    """How a part misbehaves, and when.

    Attributes
    ----------
    after
        Calls before which nothing happens, if it is late.
    """

    kind: str = "as it should be"
    when: str = "always"
    after: int = 0
    calls: int = 0
    happened: bool = False

    def __call__(self, good: Answer, kinds: Kinds, images: Tensor, *rest: Any) -> Any:
        self.calls += 1
        out = good(images, *rest)
        if not self._is_now(images):
            return out
        self.happened = True
        return kinds[self.kind](out, images, *rest)

    def _is_now(self, images: Tensor) -> bool:
        if self.when == "late":
            return self.calls > self.after
        return self.when == "always" or float(images.detach()[0, 0, :3].mean()) < 0.45

    @property
    def is_harmless(self) -> bool:
        return self.kind in EQUAL


CLASSIFIERS = {**HARMLESS, **SHAPES, **ERRORS, **NUMBERS, **OF_CLASSIFIERS}
FILLERS = {**HARMLESS, **SHAPES, **ERRORS, **NUMBERS, **OF_FILLERS}
NOW = Behavior()  # of the function that a path names


@dataclass(frozen=True, eq=False)
class OwnClassifier(Classifier):
    """A class of the user's."""

    behavior: Behavior = field(metadata={"identity": False})
    labels: Sequence[str] = ("a", "b", "c")
    input_size: int = SIDE
    title: ClassVar[str] = "Mine"  # type: ignore[misc]

    def __call__(self, images: Tensor) -> Tensor:
        answer: Tensor = self.behavior(logits, CLASSIFIERS, images)
        return answer


@dataclass(frozen=True, eq=False)
class OwnFiller(Filler):
    """A class of the user's."""

    behavior: Behavior = field(metadata={"identity": False})
    reads_hole: bool
    inpaints: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    title: ClassVar[str] = "Paint"  # type: ignore[misc]

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled: Tensor = self.behavior(fill, FILLERS, images, hole, seeds)
        return filled


def filling(images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Any:
    """Fill as a function of the user's."""
    return NOW(fill, FILLERS, images, hole, seeds)


def classifier(behavior: Behavior, *, is_class: bool) -> Classifier:
    """Return a classifier that behaves so: a class of the user's, or a function."""
    if is_class:
        return OwnClassifier(behavior)

    def mine(images: Tensor) -> Any:
        return behavior(logits, CLASSIFIERS, images)

    return GivenClassifier(
        function=mine, name="Mine", assumed="", input_size=SIDE, mean=[0.0], std=[1.0],
        outputs="logits", output=None, channels="rgb", labels=["a", "b", "c"],
    )  # fmt: skip


def filler(behavior: Behavior, *, is_class: bool, reads_hole: bool) -> Filler:
    """Return a filler that behaves so: a class of the user's, or a function at a path."""
    if is_class:
        return OwnFiller(behavior, reads_hole)
    NOW.__dict__.update(behavior.__dict__)
    return CallableFiller("tests.faults.parts:filling", True, reads_hole, False)
