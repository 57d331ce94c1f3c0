"""What methods of other packages share: the network they hook into, its layers, their draws."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from genattr import seeds
from genattr.classifier.trial import trial_images
from genattr.errors import UserError, did_you_mean, nearest, require
from genattr.filler.gray import Gray
from genattr.ops.foreign import telling
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.scoring import answers
from genattr.types import Sample

log = logging.getLogger(__name__)

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
TOKEN_NORMS = 3  # layer norms after the last convolution by which a transformer is known
GRAY = (0.5, 0.5, 0.5)


class Explained(nn.Module):
    """The explained quantity of images, as a network around the classifier's own.

    Its batches are not padded, so that hooks see the images alone.

    Parameters
    ----------
    probe
        Of a classifier with a network, whose layers are submodules.
    """

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self.network = probe.network
        self._classifier = probe.classifier.of_network
        self._scorer = probe.scorer

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, D, D) in [0, 1] to (N,)."""
        self._scorer.counts.add_scored(len(images))
        return self._scorer.read(answers(self._classifier, images)).explained

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Leave the gradients of the parameters, which are not ours, as they are."""


@contextmanager
def borrowed(network: nn.Module | None) -> Iterator[None]:
    """Let nothing work in place, so that hooks keep what they see; set all back afterwards.

    Hooks that are left behind are removed, also after an error.
    """
    modules = list(network.modules()) if network is not None else []
    before = [[dict(getattr(module, name)) for name in HOOKS] for module in modules]
    in_place = [module for module in modules if vars(module).get("inplace") is True]
    try:
        _set_in_place(in_place, False)
        yield
    finally:
        _set_in_place(in_place, True)
        for module, kept in zip(modules, before, strict=True):
            for name, hooks in zip(HOOKS, kept, strict=True):
                now = getattr(module, name)
                now.clear()
                now.update(hooks)


def _set_in_place(modules: Sequence[nn.Module], value: bool) -> None:
    for module in modules:
        module.__dict__["inplace"] = value


@contextmanager
def drawing(probe: Probe, purpose: str) -> Iterator[None]:
    """Let PyTorch's and NumPy's own generators depend on run seed, photo and purpose alone.

    Both are set back afterwards; the package's warnings are not shown.
    """
    seed = probe.generator(purpose).initial_seed()
    state = np.random.get_state()
    with seeds.fixed(seed, probe.image.device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)


def trial_probe(classifier: Classifier, device: torch.device) -> Probe:
    """Return a probe of noise with a gray filler, on which a method is tried before a run."""
    size = classifier.input_size
    sample = Sample(trial_images(size)[1], None, "noise", None, (size, size))
    return Probe(sample, 0, classifier, Gray(GRAY), device=device)


def refuse(name: str, names: Sequence[str], package: str, key: str = "method.name") -> NoReturn:
    """Raise the UserError of a name that a package does not have."""
    hint = did_you_mean(nearest(name, names)) or f"; there is {', '.join(names)}"
    raise UserError(f"{key}={name}: no such name in {package}{hint}")


def check_options(
    options: Mapping[str, Any], takers: Sequence[Callable[..., Any]], own: Sequence[str], key: str
) -> None:
    """Refuse options that none of some functions takes, and those that are set here.

    Parameters
    ----------
    options
        Keyword arguments.
    takers
        Their parameters are allowed.
    own
        Parameters that are not the user's to give.
    key
        The configuration's key of the options.
    """
    known = [name for taker in takers for name in inspect.signature(taker).parameters]
    free = sorted({*known} - {*own, "self", "args", "kwargs"})
    for name in options:
        hint = did_you_mean(nearest(name, free)) or f"; there is {', '.join(free) or 'none'}"
        require(name in free, f"{key}.{name}: no such option{hint}")


def split_options(
    options: Mapping[str, Any], first: Callable[..., Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that a function takes, and the others, with tuples for lists."""
    names = inspect.signature(first).parameters
    values = {name: as_tuple(value) for name, value in options.items()}
    return (
        {name: value for name, value in values.items() if name in names},
        {name: value for name, value in values.items() if name not in names},
    )


def as_tuple(value: Any) -> Any:
    """Return lists, also inside lists, as tuples, which packages ask for."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


def layer_of(probe: Probe, name: str | None) -> tuple[str, nn.Module]:
    """Return a layer of the probe's network by its dotted name; None: the last convolution.

    Raises
    ------
    UserError
        If there is no such layer, or no convolution whose output is a map.
    """
    network = probe.network
    layers = dict(network.named_modules())
    chosen = _last_convolution(probe) if name is None else name
    if chosen not in layers or not chosen:
        names = [each for each in layers if each]
        last = f"; the last ones are {', '.join(names[-3:])}"
        hint = did_you_mean(nearest(chosen, names)) or last
        raise UserError(f"method.layer={name}: {probe.classifier.title} has no such layer{hint}")
    if name is None:
        _tell_layer(probe.classifier.title, chosen)
    return chosen, layers[chosen]


def outputs_of(probe: Probe) -> list[tuple[str, nn.Module, Tensor]]:
    """Return the layers of the probe's network with their outputs for the photo, as they run."""
    seen: list[tuple[str, nn.Module, Tensor]] = []

    def watched(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, _, output: seen.append((name, module, output))

    with borrowed(probe.network), torch.no_grad():
        for name, module in probe.network.named_modules():
            module.register_forward_hook(watched(name))
        probe.classifier.of_network(probe.image[None])
    return [each for each in seen if isinstance(each[2], Tensor)]


def _last_convolution(probe: Probe) -> str:
    """Return the name of the last convolution that runs on more than one pixel."""
    ran = outputs_of(probe)
    places = [
        at
        for at, (_, module, output) in enumerate(ran)
        if isinstance(module, nn.Conv2d) and output.shape[-2:].numel() > 1
    ]
    after = ran[places[-1] + 1 :] if places else ran
    norms = [name for name, module, _ in after if isinstance(module, nn.LayerNorm)]
    title = probe.classifier.title
    if len(norms) >= TOKEN_NORMS:
        raise UserError(
            f"method.layer: {title} has no convolution behind its patches: give a layer by its "
            f"name, such as method.layer={norms[-TOKEN_NORMS]}"
        )
    require(bool(places), f"method.layer: {title} has no convolution: give a layer by its name")
    return ran[places[-1]][0]


@cache  # tells it once
def _tell_layer(title: str, name: str) -> None:
    log.info("method.layer: the last convolution of %s is %s", title, name)


@contextmanager
def telling_failure(method: str, probe: Probe) -> Iterator[None]:
    """Turn errors of a package into one line that names the method and the classifier."""
    with telling(f"{method} fails on {probe.classifier.title}"):
        yield
