"""Batch normalization folded into the convolution before it: the same function, fewer passes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genattr.ops.foreign import telling

log = logging.getLogger(__name__)
Pairs = dict[str, str]


def fold_batch_norm(
    network: nn.Module, example: Tensor, answers: Callable[[nn.Module], Tensor] | None = None
) -> nn.Module:
    """Return a network in evaluation mode whose convolutions hold their batch norms.

    A batch norm is folded if its input in a forward pass is a convolution's output, so this works
    for any network, however its code is written. A batch norm that takes its statistics from each
    batch cannot be folded. If the output changes, the network is returned unfolded.

    Parameters
    ----------
    network
        In evaluation mode; not modified.
    example
        (1, 3, D, D) input for the forward passes.
    answers
        Returns a network's logits for a few images, to compare before and after. None: its
        output for the example.
    """
    pairs = _pairs(network, example)
    if not pairs:
        return network
    folded = copy.deepcopy(network)
    for norm, conv in pairs.items():
        _fold(folded, conv, norm)
    answers = answers or (lambda some: some(example))
    before, after = answers(network), answers(folded)
    scale = max(float(before.nan_to_num(0, 0, 0).abs().max()), 1)
    if torch.allclose(before, after, rtol=1e-3, atol=1e-4 * scale):
        return folded
    log.warning("batch norm is left unfolded: folding changes the output of this network")
    return network


def _pairs(network: nn.Module, example: Tensor) -> Pairs:
    """Find which convolution feeds which batch norm, by name; each used once."""
    source: dict[int, tuple[str, int]] = {}
    kept: list[Tensor] = []
    pairs: Pairs = {}

    def after_conv(name: str, output: Tensor) -> None:
        source[id(output)] = name, output._version
        kept.append(output)

    def before_norm(name: str, features: Tensor) -> None:
        conv, version = source.pop(id(features), ("", 0))
        if conv and features._version == version:  # and nothing was done to it in place
            pairs[name] = conv

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(
                module.register_forward_hook(lambda _m, _i, out, name=name: after_conv(name, out))
            )
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            hooks.append(
                module.register_forward_pre_hook(
                    lambda _m, inputs, name=name: before_norm(name, inputs[0])
                )
            )
    told = f"the classifier's network fails on a plain image of {tuple(example.shape)}"
    with telling(told), torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    return pairs


def _fold(network: nn.Module, conv_name: str, norm_name: str) -> None:
    norm = network.get_submodule(norm_name)
    conv = network.get_submodule(conv_name)
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    fused = fuse_conv_bn_eval(conv, norm)
    _replace(network, conv_name, fused)
    _replace(network, norm_name, _what_follows(norm))


def _what_follows(norm: nn.Module) -> nn.Module:
    """Return the dropout and activation inside timm's batch norms."""
    parts = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(*(part for part in parts if not isinstance(part, nn.Identity)))


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
