"""Padding, sums and activations inside the convolutions: the same numbers, less memory traffic.

oneDNN's convolutions, which PyTorch uses on CPUs, can pad what they read, and add to and clip what
they write. Only what leaves the operations of each number and their order as they are is put in.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx

from genattr.engine.program import Network, Program, attribute, program, traced
from genattr.errors import reason

log = logging.getLogger(__name__)

PAYS = 512  # images before a network is traced: that takes as long as fusing then saves
aten = torch.ops.aten
CONVOLUTION = aten.convolution.default
HAS_ONE_DNN = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
FUSED: Any = torch.ops.mkldnn._convolution_pointwise.default if HAS_ONE_DNN else None
FUSED_SUM: Any = torch.ops.mkldnn._convolution_pointwise.binary if HAS_ONE_DNN else None
RELU: dict[Any, str] = {aten.relu.default: "relu"}  # all that PyTorch lets follow a sum
CLIPS = RELU | {aten.hardtanh.default: "hardtanh"}
FEW_CHANNELS = 4  # of a kernel; with more, zeros around the kernel cost more than a padded copy


class Passes:
    """Passes of a network without gradient, with layers fused once that pays, if the bits stay.

    So which passes are fused, and after how many, never shows in the results.

    Parameters
    ----------
    network
        Maps (B, C, H, W) to (B, K), on the CPU.
    example
        (1, C, H, W).
    """

    def __init__(self, network: Network, example: Tensor) -> None:
        self._network, self._example = network, example
        self._seen = 0
        self._keeps_bits: dict[int, bool] = {}  # by the rows of a batch

    def __call__(self, images: Tensor) -> Tensor:
        rows = len(images)
        self._seen += rows
        if self._seen <= PAYS or self._fused is None:
            return self._network(images)
        if rows not in self._keeps_bits:
            return self._compared(self._fused, images)
        return self._fused([images]) if self._keeps_bits[rows] else self._network(images)

    @cached_property
    def _fused(self) -> Program | None:
        try:
            found, obstacle = fused(self._network, self._example), "nothing can be fused"
        except Exception as error:
            found, obstacle = None, f"it cannot be traced ({reason(error)})"
        if found is None:
            log.info("network: layer by layer, because %s", obstacle)
        return found

    def _compared(self, fused: Program, images: Tensor) -> Tensor:
        """Compute a batch both ways, and remember whether they give the same bits."""
        expected, found = self._network(images), fused([images])
        same = torch.equal(expected, found)
        self._keeps_bits[len(images)] = same
        way = "layers fused" if same else "layer by layer, because fused ones give other bits"
        log.info("network: %s, in batches of %d", way, len(images))
        return expected


def fused(network: Network, example: Tensor) -> Program | None:
    """Return a network without gradient, with layers fused; None if there is nothing to fuse.

    Parameters
    ----------
    network
        Maps (B, C, H, W) to (B, K), on the CPU.
    example
        (1, C, H, W).
    """
    module = traced(network, example)
    return program(module) if fuse(module) else None


def fuse(module: fx.GraphModule) -> int:
    """Put what surrounds a traced network's convolutions into them; return how many changed."""
    convolutions = module.graph.find_nodes(op="call_function", target=CONVOLUTION)
    able = [node for node in convolutions if HAS_ONE_DNN and _is_able(module, node)]
    return sum([_Surrounded(module, node).fuse() for node in able])


def _is_able(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether oneDNN has this convolution: of maps, not transposed, with weights of 32 bits."""
    _, weight, _, stride, _, _, transposed, *_ = _args(node)
    known = weight.op == "get_attr" and attribute(module, weight).dtype == torch.float32
    return known and not transposed and len(stride) == 2


class _Surrounded:
    """A convolution, with the zeros before it, and the sum and the activation after it."""

    def __init__(self, module: fx.GraphModule, node: fx.Node) -> None:
        self.node, self.graph = node, module.graph
        self.padding = _padding(node, attribute(module, _args(node)[1]))
        self.total = _total(node)
        self.clip = _only_reader(self.total or node, RELU if self.total else CLIPS)

    def fuse(self) -> bool:
        """Replace all of them by one operation; return whether there is anything to replace."""
        last = self.clip or self.total or self.node
        if last is self.node and self.padding is None:
            return False
        with self.graph.inserting_before(last):
            replacement = self._replacement()
        replacement.meta = last.meta
        last.replace_all_uses_with(replacement)
        for node in (self.clip, self.total, self.node, self.padding):
            if node is not None and not node.users:
                self.graph.erase_node(node)
        return True

    def _replacement(self) -> fx.Node:
        source, weight, bias, stride, around, dilation, _, _, groups = _args(self.node)
        if self.padding is not None:
            source, pads = _args(self.padding)[:2]
            around, zeros = _grown(pads)
            if any(zeros):
                weight = self.graph.call_function(aten.constant_pad_nd.default, (weight, zeros))
        convolution = (weight, bias, around, stride, dilation, groups)
        clip = CLIPS[self.clip.target] if self.clip else None
        bounds = list(self.clip.args[1:]) if self.clip else []
        if self.total is None:
            alone = (source, *convolution, clip or "none", bounds, "")
            return self.graph.call_function(FUSED, alone)
        one, other = _args(self.total)
        added = other if one is self.node else one
        both = (source, added, *convolution, "add", 1.0, clip, bounds, "")
        return self.graph.call_function(FUSED_SUM, both)


def _args(node: fx.Node) -> Any:
    return node.args


def _only_reader(node: fx.Node, targets: Any) -> fx.Node | None:
    """Return the operation that alone reads a node, if it is one of these."""
    readers = list(node.users)
    return readers[0] if len(readers) == 1 and readers[0].target in targets else None


def _total(node: fx.Node) -> fx.Node | None:
    """Return the sum with a computed map of the same shape that alone reads a convolution."""
    total = _only_reader(node, (aten.add.Tensor,))
    maps = total.all_input_nodes if total and not total.kwargs else []
    shapes = {read.meta["val"].shape for read in maps}
    has_weights = any(read.op == "get_attr" for read in maps)  # of one row, however many there are
    return total if len(maps) == 2 and len(shapes) == 1 and not has_weights else None


def _padding(node: fx.Node, weight: Tensor) -> fx.Node | None:
    """Return the operation that puts zeros around what a convolution reads."""
    source, _, _, _, around, dilation, *_ = _args(node)
    if source.target is not aten.constant_pad_nd.default or len(source.args[1]) != 4:
        return None
    left, right, top, bottom = source.args[1]
    fits = (left == right and top == bottom) or weight.shape[1] <= FEW_CHANNELS
    is_zero = [*source.args, 0.0][2] == 0 and min(source.args[1]) >= 0
    padding: fx.Node = source
    return padding if fits and is_zero and not any(around) and dilation == [1, 1] else None


def _grown(pads: Sequence[int]) -> tuple[list[int], list[int]]:
    """Turn left, right, top, bottom into equal padding, and zeros around the kernel."""
    left, right, top, bottom = pads
    down, across = max(top, bottom), max(left, right)
    return [down, across], [across - left, across - right, down - top, down - bottom]
