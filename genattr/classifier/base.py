"""Base of network classifiers: normalization, fast inference, class names, a fingerprint."""

from __future__ import annotations

import copy
import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from genattr import seeds
from genattr.assets.weights import fingerprint
from genattr.classifier.folding import fold_batch_norm
from genattr.classifier.labels import ClassNames
from genattr.classifier.trial import trial_images
from genattr.engine.fuse import Passes
from genattr.errors import UserError, require
from genattr.ops.foreign import picked, telling, unlike_numbers
from genattr.parameters import Allowed, Pixels, that
from genattr.protocols import Classifier

log = logging.getLogger(__name__)
LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in gray, as Pillow has them
SMALLEST, LARGEST = 1e-38, 1 - 2**-24  # probabilities, before their logs
NOISE = 1e-3  # of the sum of probabilities, in 16 bits too
Outputs = Literal["logits", "probabilities", "sigmoid_logits", "sigmoid_probabilities"]
Side = Annotated[Pixels, Allowed("positive")]
Names = Annotated[
    str | Sequence[str | int] | None,
    Allowed(
        "imagenet, places365, a text file with one class name a line, names in brackets, or null"
    ),
]
Normalization = Annotated[
    Sequence[float], *that(lambda values: len(values) in (1, 3), "1 or 3 numbers")
]
Scale = Annotated[
    Sequence[float],
    *that(
        lambda values: len(values) in (1, 3) and all(value > 0 for value in values),
        "above 0: 1 or 3 numbers",
    ),
]


@dataclass(frozen=True, kw_only=True)
class NetworkClassifier(Classifier):
    """A PyTorch network as ``protocols.Classifier``; a subclass says how it is built.

    A network with one output is a binary classifier: class 1 has the probability p that its output
    gives, and class 0 has 1 - p.

    Parameters
    ----------
    input_size
        D in pixels.
    mean, std
        Normalization of the channels in [0, 1]: one number, or one per channel.
    outputs
        ``logits``, whose softmax is taken; ``probabilities`` if the network ends in a softmax;
        ``sigmoid_logits`` if each class has a probability of its own, the sigmoid of its logit, as
        in multi-label networks; ``sigmoid_probabilities`` if the network ends in that sigmoid.
    output
        Which of several outputs it is: a position or a name. None: there is only one.
    channels
        ``rgb``, or ``gray`` for a network of one channel, which gets the luma (ITU-R BT.601).
    labels
        Names of the classes: ``imagenet``, ``places365``, a text file with one name per line, or
        the names themselves. None: ImageNet's if there are 1000 classes, Places365's if there are
        365, else numbered.
        After construction, the attribute holds the names themselves, by index.
    """

    _passes: ClassVar[Passes | None] = None  # without gradient, once somebody has asked to fuse

    input_size: Side
    mean: Normalization
    std: Scale
    outputs: Outputs
    labels: Names = field(metadata={"identity": False})  # type: ignore[assignment]
    output: int | str | None = None
    channels: Literal["rgb", "gray"] = "rgb"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("mean", "std"):
            count = len(getattr(self, key))
            require(
                count == 1 or self.channels == "rgb",
                f"classifier.{key}: {count} numbers; a network of one channel takes one, such as "
                f"classifier.{key}=[0.5]",
            )
        object.__setattr__(self, "labels", ClassNames(self.labels, self._count_classes))

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with its weights."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the network for people."""

    @property
    def network(self) -> nn.Module | None:
        return self._prepared

    def with_network(self, change: Callable[[nn.Module], nn.Module]) -> NetworkClassifier:
        changed = change(self._prepared)
        twin = copy.copy(self)
        twin.__dict__["_prepared"] = changed
        twin.__dict__.pop("_passes", None)
        return twin

    @cached_property
    def _prepared(self) -> nn.Module:
        """The network, ready for fast inference: evaluation mode, folded, channels last.

        Raises
        ------
        UserError
            If it does not take images of the input size, does not give one number per class, or
            the numbers of classes and labels differ.
        """
        with seeds.fixed(0):
            network = self.build().eval().float()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        count = self._count_outputs(network, self._example)
        self.__dict__["n_outputs"] = count
        self.__dict__["fingerprint"] = self.hash_of(network) + "-binary" * (count == 1)
        assert self.labels is not None
        _ = len(self.labels)  # raises UserError if their number differs
        folded = fold_batch_norm(network, self._example, self._answers)
        return folded.to(memory_format=torch.channels_last)

    @property
    def _example(self) -> Tensor:
        """One plain image, normalized: (1, channels, D, D)."""
        channels = 1 if self.channels == "gray" else 3
        return torch.full((1, channels, self.input_size, self.input_size), 0.1)

    @torch.no_grad()
    def _answers(self, network: nn.Module) -> Tensor:
        """Return a network's logits for fine and for coarse noise, which excite every channel."""
        noise = trial_images(self.input_size)[:2]
        return self._as_logits(self._ask(network, self._normalized(noise)))

    def hash_of(self, network: nn.Module) -> str:
        """Hash the weights, and anything else that the network computes with."""
        return fingerprint(network)

    @torch.no_grad()
    def _count_outputs(self, network: nn.Module, example: Tensor) -> int:
        """Score one image, check the output, and return how many numbers it has."""
        output = self._ask(network, example)
        total = float(output.sum())
        adds_up = bool((output >= 0).all()) and abs(total - 1) < NOISE
        is_alone = output.shape[1] == 1
        if self.outputs == "probabilities" and not adds_up and not is_alone:
            tried = self._ask(network, self._normalized(trial_images(self.input_size)))
            likely = "sigmoid_probabilities" if looks_like_probabilities(tried) else "logits"
            raise UserError(
                f"classifier.outputs=probabilities: those of {self.title} add up to {total:.3g}, "
                f"not to 1; try classifier.outputs={likely}"
            )
        if adds_up and not is_alone and self.outputs == "logits":
            log.warning("%s: looks as if it needs classifier.outputs=probabilities", self.title)
        return int(output.shape[1])

    def check_outputs(self, images: Tensor) -> None:
        outputs = self.raw(images)
        in_range = looks_like_probabilities(outputs)
        adds_up = bool(((outputs.sum(dim=1) - 1).abs() < NOISE).all())
        low, high = float(outputs.min()), float(outputs.max())
        told = (
            f"classifier.outputs={self.outputs}: those of {self.title} are {low:.3g} to {high:.3g}"
        )
        if self.has_logits:
            kind = "probabilities" if adds_up and not self.sigmoid else "sigmoid_probabilities"
            require(
                not in_range,
                f"{told} in all images that were tried, as probabilities are and logits are not: "
                f"try classifier.outputs={kind}",
            )
            return
        kind = "sigmoid_logits" if self.sigmoid else "logits"
        require(in_range, f"{told}, not in [0, 1]: try classifier.outputs={kind}")
        require(
            adds_up or self.sigmoid,
            f"{told} and do not add up to 1: try classifier.outputs=sigmoid_probabilities",
        )

    def _ask(self, network: nn.Module, normalized: Tensor) -> Tensor:
        """Return the (B, outputs) of a network; UserError if it fails, or gives something else."""
        rows = len(normalized)
        output = picked(self._call(network, normalized), self.output, "classifier.output")
        odd = unlike_numbers(output, normalized.device) if isinstance(output, Tensor) else ""
        require(not odd, f"{self.title} gives {odd}, not a plain one on {normalized.device}")
        output = _one_row_each(output, rows) if isinstance(output, Tensor) else output
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        require(
            isinstance(shape, tuple) and len(shape) == 2 and shape[0] == rows,
            f"{self.title} gives {shape} for {_images(rows)}, not ({rows}, classes)",
        )
        require(
            output.is_floating_point() and output.shape[1] > 0,
            f"{self.title} gives {shape[1]} numbers of {output.dtype} for an image: one logit or "
            "probability a class is needed, not a class's number",
        )
        return output.float()

    def _call(self, network: nn.Module, normalized: Tensor) -> Any:
        size = self.input_size
        try:
            with telling(
                f"{self.title} fails on images of {size} x {size} pixels (classifier.input_size)"
            ):
                return network(normalized)
        except UserError as error:
            may_be_gray = self.channels == "rgb" and "channel" in str(error)
            hint = "; a network of one channel needs classifier.channels=gray" * may_be_gray
            raise UserError(f"{error}{hint}") from error.__cause__

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights before folding."""
        _ = self._prepared
        return str(self.__dict__["fingerprint"])

    @property
    def _n_outputs(self) -> int:
        if "n_outputs" not in self.__dict__:
            _ = self._prepared
        return int(self.__dict__["n_outputs"])

    def _count_classes(self) -> int:
        return max(self._n_outputs, 2)

    @cached_property
    def _shift(self) -> Tensor:
        return torch.tensor(list(self.mean)).view(1, -1, 1, 1)

    @cached_property
    def _scale(self) -> Tensor:
        return torch.tensor(list(self.std)).view(1, -1, 1, 1)

    @cached_property
    def _luma(self) -> Tensor:
        return torch.tensor(LUMA).view(1, -1, 1, 1)

    def to(self, device: torch.device) -> None:
        """Move the network and its normalization."""
        self._prepared.to(device)
        for name in ("_shift", "_scale", "_luma"):
            self.__dict__[name] = getattr(self, name).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, 3, D, D) in [0, 1] to (B, K) logits or log-probabilities, differentiable."""
        return self._as_logits(self.raw(images))

    def raw(self, images: Tensor) -> Tensor:
        """Map (B, 3, D, D) in [0, 1] to the network's own (B, outputs), differentiable."""
        normalized = self._ready(images)
        if self._passes is not None and self._may_be_fused(images):
            return self._passes(normalized)
        return self._ask(self._prepared, normalized)

    def fuse(self) -> None:
        example = self._example.contiguous(memory_format=torch.channels_last)
        self.__dict__["_passes"] = Passes(partial(self._ask, self._prepared), example)

    def _may_be_fused(self, images: Tensor) -> bool:
        """Whether nothing but the answers is wanted; traces of one image see the network itself."""
        wants_more = torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
        is_batch = images.device.type == "cpu" and len(images) > 1
        return is_batch and not wants_more and not has_hooks(self._prepared)

    def _ready(self, images: Tensor) -> Tensor:
        return self._normalized(images).contiguous(memory_format=torch.channels_last)

    def _normalized(self, images: Tensor) -> Tensor:
        if self.channels == "gray":
            images = (images * self._luma).sum(dim=1, keepdim=True)
        return (images - self._shift) / self._scale

    def _as_logits(self, output: Tensor) -> Tensor:
        """Turn the network's outputs into one logit a class, or the log of its probability."""
        is_alone = output.shape[1] == 1
        if self.outputs == "probabilities" and not is_alone:
            return output.clamp(min=SMALLEST).log()
        if not self.has_logits:
            output = output.clamp(SMALLEST, LARGEST).log() - (-output.clamp(max=LARGEST)).log1p()
        return torch.cat([-output, output], dim=1) if is_alone else output

    @property
    def sigmoid(self) -> bool:
        return self.outputs.startswith("sigmoid") or self._n_outputs == 1

    @property
    def has_logits(self) -> bool:
        return not self.outputs.endswith("probabilities")

    @property
    def reading(self) -> str:
        if self._n_outputs == 1:
            kind = "the sigmoid of one logit" if self.has_logits else "one probability"
            return f"{kind}, of class 1; class 0 has the rest"
        if self.has_logits:
            return super().reading
        alone = "of a class each" if self.sigmoid else "that add up to 1"
        return f"{self._n_outputs} probabilities {alone}"

    @property
    def idle(self) -> Sequence[str]:
        unused = {"output": self.output is None, "channels": self.channels == "rgb"}
        return [*super().idle, *(key for key, is_unused in unused.items() if is_unused)]


def has_hooks(network: nn.Module) -> bool:
    """Whether somebody watches the network's layers."""
    return any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def looks_like_probabilities(output: Tensor) -> bool:
    """Whether all outputs are in [0, 1], but for rounding."""
    return bool(((output >= -NOISE) & (output <= 1 + NOISE)).all())


def _one_row_each(output: Tensor, rows: int) -> Tensor:
    """Add the axis that a network with one number an image leaves out; drop axes of one cell."""
    if output.ndim < 2 and output.numel() == rows:
        return output.view(rows, 1)
    return output.flatten(1) if output.ndim == 4 and output.shape[2:] == (1, 1) else output


def _images(count: int) -> str:
    return "one image" if count == 1 else f"{count} images"
