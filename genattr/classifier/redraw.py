"""Layers of a network in the order in which they run, and other weights for them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from genattr import seeds


def weighted_layers(network: nn.Module, run: Callable[[], object]) -> list[str]:
    """Return the names of the modules that have weights of their own, as they begin to run.

    Parameters
    ----------
    run
        Runs the network once. A module that is not called, because its parent uses its weights
        itself, comes right after that parent.
    """
    begun: dict[str, int] = {}

    def noted(name: str) -> Callable[..., None]:
        return lambda *_: begun.update({name: begun.get(name, len(begun))})

    modules = network.named_modules()
    hooks = [module.register_forward_pre_hook(noted(name)) for name, module in modules]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    own = [name for name, module in network.named_modules() if weights_of(module)]
    return sorted(own, key=lambda name: _position(name, begun))


def _position(name: str, begun: dict[str, int]) -> int:
    """Return when a module, or else the closest one around it, begins to run."""
    while name and name not in begun:
        name = name.rpartition(".")[0]
    return begun.get(name, -1)


def weights_of(module: nn.Module) -> list[Tensor]:
    """Return a module's own parameters that are numbers with a fraction."""
    return [each for each in module.parameters(recurse=False) if each.is_floating_point()]


def redrawn(network: nn.Module, names: Collection[str], seed: int) -> nn.Module:
    """Return a copy of a network whose named layers have random weights.

    Each tensor is drawn from a normal distribution with its own mean and deviation, so that
    activations keep their size also where a batch norm was folded into a convolution.

    Parameters
    ----------
    seed
        The draws of a layer depend on it and on the layer's name.
    """
    copied = copy.deepcopy(network)
    for name in names:
        draws = seeds.generator(seed, name)
        for weights in weights_of(copied.get_submodule(name)):
            noise = torch.randn(weights.shape, generator=draws).to(weights)
            mean, deviation = weights.data.mean(), weights.data.std(correction=0)
            weights.data = mean + deviation * noise
    return copied


def spread(names: Sequence[str], steps: int) -> list[int]:
    """Return up to ``steps`` whole numbers from 1 to the number of names, evenly, 1 first."""
    count = min(steps, len(names))
    if count == 1:
        return [len(names)]
    return [1 + round((len(names) - 1) * step / (count - 1)) for step in range(count)]
