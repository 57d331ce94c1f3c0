"""A network for 16 bits: its weights are stored so, and its last layer keeps 32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
PARAMETERS = {"weight", "bias"}
Inputs = tuple[Tensor, ...]
Named = dict[str, Tensor]


@dataclass
class _Seen:
    """The layers that ran in a forward pass.

    Attributes
    ----------
    makers
        The layer that made a tensor, by the tensor's node in the graph of gradients.
    exact
        Whether a layer's output stays the same, bit for bit, with weights stored in 16 bits; in
        the order in which they ran.
    """

    makers: dict[Any, nn.Module] = field(default_factory=dict)
    exact: dict[nn.Module, bool] = field(default_factory=dict)


def lower(network: nn.Module, answers: Callable[[], Tensor], dtype: torch.dtype) -> bool:
    """Store weights in 16 bits where that changes nothing, and keep the last layers in 32 bits.

    Autocast then finds no weight left to cast. What it does with all other operations stays. Only
    layers that run as modules are found, so nothing changes in a TorchScript network.

    Parameters
    ----------
    network
        In evaluation mode, without gradients of its own; modified in place.
    answers
        Runs the network under autocast on images that need a gradient, and returns its (B, K).
    dtype
        The 16 bits.

    Returns
    -------
    Whether the last layers were found; if not, autocast computes them, and rounds the answers.
    """
    with _watched(network, dtype) as seen:
        answer = answers()
    last = _last(answer, seen.makers) or {*[*seen.exact][-1:]}
    plain = {layer: layer.forward for layer in last}
    for layer in last:
        _keep(layer, answer.device.type)
    kept = set() if _is_rounded(answers(), dtype) else last
    for layer in last - kept:
        layer.forward = plain[layer]
    for layer, is_exact in seen.exact.items():
        if is_exact and layer not in kept:
            _store(layer, dtype)
    return len(kept) > 0


def _is_rounded(answer: Tensor, dtype: torch.dtype) -> bool:
    """Whether all numbers have 16 bits; zeros alone tell nothing."""
    return bool(answer.any()) and torch.equal(answer, answer.to(dtype).float())


@contextmanager
def _watched(network: nn.Module, dtype: torch.dtype) -> Iterator[_Seen]:
    """Note which layers run."""
    seen = _Seen()

    def note(layer: nn.Module, inputs: Inputs, named: Named, output: Tensor) -> None:
        if output.grad_fn is not None:
            seen.makers[output.grad_fn] = layer
        is_exact = _is_plain(layer) and _is_exact(layer, inputs, named, output, dtype)
        seen.exact[layer] = seen.exact.pop(layer, True) and is_exact

    layers = [module for module in network.modules() if isinstance(module, LAYERS)]
    hooks = [layer.register_forward_hook(note, with_kwargs=True) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _is_plain(layer: nn.Module) -> bool:
    return {name for name, _ in layer.named_parameters()} <= PARAMETERS


@torch.no_grad()
def _is_exact(
    layer: nn.Module, inputs: Inputs, named: Named, output: Tensor, dtype: torch.dtype
) -> bool:
    """Whether a layer gives the same with weights in 16 bits, as autocast casts them."""
    twin = copy.deepcopy(layer)
    _store(twin, dtype)
    again: Tensor = twin.forward(*inputs, **named)
    return torch.equal(again, output)


def _store(layer: nn.Module, dtype: torch.dtype) -> None:
    for name, value in layer.named_parameters():
        setattr(layer, name, nn.Parameter(value.to(dtype), requires_grad=False))


def _last(logits: Tensor, makers: Mapping[Any, nn.Module]) -> set[nn.Module]:
    """Return the layers from which a path leads to the logits that meets no other layer."""
    found: set[nn.Module] = set()
    passed: set[Any] = set()
    waiting: list[Any] = [logits.grad_fn]
    while waiting:
        node = waiting.pop()
        if node in makers:
            found.add(makers[node])
        elif node is not None and node not in passed:
            passed.add(node)
            waiting += [before for before, _ in node.next_functions]
    return found


def _keep(layer: nn.Module, device: str) -> None:
    """Let a layer compute in 32 bits, also under autocast."""
    forward = layer.forward

    def in_full(*inputs: Tensor, **named: Tensor) -> Tensor:
        exact = [tensor.float() for tensor in inputs]
        with torch.autocast(device, enabled=False):
            result: Tensor = forward(*exact, **{k: tensor.float() for k, tensor in named.items()})
        return result

    layer.forward = in_full
