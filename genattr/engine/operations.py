"""Which of PyTorch's operations are local, and how each works on a part of a map.

Local: an output cell reads input cells around the same place, through weights that are the same
everywhere. Sliding operations get parts that carry their padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from genattr.engine.program import in_place
from genattr.engine.window import Kernel

aten = torch.ops.aten
Maps = Sequence[Tensor]
Shape = torch.Size


@dataclass(frozen=True)
class Source:
    """A local map that an operation reads.

    Attributes
    ----------
    shape
        (B, C, H, W) without the padding.
    before
        Rows and columns that a separate padding operation has put in front.
    fill
        Their value; None if there is no such padding.
    """

    shape: Shape
    before: tuple[int, int] = (0, 0)
    fill: float | None = None


@dataclass(frozen=True)
class Operation:
    """A local operation.

    Attributes
    ----------
    reads
        The nodes whose maps it reads, in order.
    run
        From these maps, or from parts of them that carry their padding, to the output.
    kernels
        How it slides down and across; None if an output cell reads only the cell at its place.
    fill
        The value of the padding.
    whole
        From whole maps to the whole output, if that is not ``run`` of the padded map.
    overwrite
        The same as ``run``, with the result written into the first map.
    copies
        The output is the input.
    """

    reads: tuple[fx.Node, ...]
    run: Callable[[Maps], Tensor]
    kernels: tuple[Kernel, Kernel] | None = None
    fill: float = 0.0
    whole: Callable[[Maps], Tensor] | None = None
    overwrite: Callable[[Maps], Tensor] | None = None
    copies: bool = False


Sources = Mapping[fx.Node, Source]
Builder = Callable[[fx.Node, Sequence[Any], Sources, Shape], Operation | None]


def operation(
    node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape
) -> Operation | None:
    """Describe a traced operation if it is local.

    Parameters
    ----------
    node
        In the traced graph.
    args
        Its arguments, with constants in the place of their nodes.
    sources
        The local maps that it reads.
    result
        Shape of its output.
    """
    build = BUILDERS.get(node.target)
    maps = [*(source.shape for source in sources.values()), result]
    if build is None or any(len(shape) != 4 for shape in maps):
        return None
    if build not in SLIDING and any(source.fill is not None for source in sources.values()):
        return None
    return build(node, args, sources, result)


def _same(node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape) -> Operation | None:
    """Describe an operation that only copies or relabels."""
    return Operation((args[0],), lambda maps: maps[0], copies=True)


def _pointwise(
    node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape
) -> Operation | None:
    """Describe an operation of cells in the same place, and of constants that have no place."""
    if any(source.shape[2:] != result[2:] for source in sources.values()):
        return None
    constants = [arg for arg in args if isinstance(arg, Tensor)]
    if any(max(constant.shape[-2:], default=1) > 1 for constant in constants):
        return None
    reads = tuple(arg for arg in args if isinstance(arg, fx.Node))

    def run(function: Callable[..., Tensor], maps: Maps) -> Tensor:
        remaining = iter(maps)
        filled = [next(remaining) if isinstance(arg, fx.Node) else arg for arg in args]
        return function(*filled, **node.kwargs)

    target: Any = node.target
    into = in_place(target)
    fits = args[0] is reads[0] and sources[reads[0]].shape[1:] == result[1:]
    overwrite = partial(run, into) if into and fits else None
    return Operation(reads, partial(run, target), overwrite=overwrite)


def _cat(node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape) -> Operation | None:
    if len(args) < 2 or args[1] not in (1, -3) or not all(part in sources for part in args[0]):
        return None
    return Operation(tuple(args[0]), lambda maps: torch.cat(list(maps), dim=1))


def _batch_norm(
    node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape
) -> Operation | None:
    if node.target is aten.native_batch_norm.default and args[5]:
        return None
    weight, bias, mean, variance = args[1:5]
    return Operation(
        (args[0],),
        lambda maps: functional.batch_norm(maps[0], mean, variance, weight, bias, eps=args[-1]),
    )


def _convolution(
    node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape
) -> Operation | None:
    source_node, weight, bias, stride, padding, dilation, transposed, _, groups = args
    if transposed or not isinstance(weight, Tensor):
        return None
    run = partial(_convolve, weight, bias, stride, dilation, groups)
    size = tuple(weight.shape[2:])
    return _slide(
        source_node, sources[source_node], result, size, stride, padding, dilation, 0.0, run
    )


def _convolve(
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    dilation: list[int],
    groups: int,
    maps: Maps,
    padding: Sequence[int] = (0, 0),
) -> Tensor:
    return torch.conv2d(maps[0], weight, bias, stride, list(padding), dilation, groups)


def _max_pool(
    node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape
) -> Operation | None:
    source_node, size, stride, padding, dilation, _ = _filled(args, POOL_DEFAULTS)
    stride, dilation = stride or size, _pair(dilation)

    def run(maps: Maps, padding: Sequence[int] = (0, 0)) -> Tensor:
        return functional.max_pool2d(maps[0], size, stride, list(padding), dilation)

    return _slide(
        source_node, sources[source_node], result, size, stride, padding, dilation, -torch.inf, run
    )


POOL_DEFAULTS: tuple[Any, ...] = (None, None, [], 0, 1, False)


def _average_pool(
    node: fx.Node, args: Sequence[Any], sources: Sources, result: Shape
) -> Operation | None:
    source_node, size, stride, padding, _, with_padding, divisor = _filled(args, AVERAGE_DEFAULTS)
    stride, padding = stride or size, _pair(padding)
    source = sources[source_node]
    inside = [
        (length + 2 * pad - k) // step + 1 == cells
        for length, pad, k, step, cells in zip(
            source.shape[2:], padding, _pair(size), _pair(stride), result[2:], strict=True
        )
    ]
    even = with_padding or divisor or not any(padding)
    if source.fill is not None or not even or not all(inside):
        return None  # some cells divide by another count

    def run(maps: Maps, padding: Sequence[int] = (0, 0)) -> Tensor:
        return functional.avg_pool2d(
            maps[0], size, stride, tuple(padding), divisor_override=divisor
        )

    return _slide(source_node, source, result, size, stride, padding, (1, 1), 0.0, run)


AVERAGE_DEFAULTS: tuple[Any, ...] = (None, None, [], 0, False, True, None)


def _slide(
    source_node: fx.Node,
    source: Source,
    result: Shape,
    size: Sequence[int],
    stride: Sequence[int],
    padding: int | Sequence[int],
    dilation: Sequence[int],
    fill: float,
    run: Callable[..., Tensor],
) -> Operation | None:
    """Describe a sliding operation; its own padding adds to that of an operation before it."""
    padding = _pair(padding)
    if source.fill is not None and source.fill != fill:
        return None
    down, across = (
        Kernel(
            _pair(size)[axis],
            _pair(stride)[axis],
            _pair(dilation)[axis],
            padding[axis] + source.before[axis],
            source.shape[2 + axis],
            result[2 + axis],
        )
        for axis in (0, 1)
    )
    even = all(k.before == p and k.after <= p for k, p in zip((down, across), padding, strict=True))
    whole = partial(run, padding=padding) if even else None
    return Operation((source_node,), run, (down, across), fill, whole)


def _filled(args: Sequence[Any], defaults: Sequence[Any]) -> list[Any]:
    """Append the defaults of arguments that a traced call leaves out."""
    return [*args, *defaults[len(args) :]]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return value[0], value[-1]


SLIDING = (_convolution, _max_pool, _average_pool)
COPIES = (aten.clone.default, aten.alias.default, aten.detach.default)
CELLWISE = (
    aten.relu.default, aten.hardtanh.default, aten.silu.default, aten.hardswish.default,
    aten.hardsigmoid.default, aten.sigmoid.default, aten.tanh.default, aten.gelu.default,
    aten.leaky_relu.default, aten.elu.default, aten.mish.default, aten.softplus.default,
    aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default, aten.neg.default,
    aten.abs.default, aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor,
    aten.add.Scalar, aten.sub.Scalar, aten.mul.Scalar, aten.div.Scalar, aten.rsub.Scalar,
    aten.maximum.default, aten.minimum.default, aten.pow.Tensor_Scalar, aten._to_copy.default,
)  # fmt: skip
BUILDERS: dict[Any, Builder] = {
    aten.convolution.default: _convolution,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _average_pool,
    aten.cat.default: _cat,
    aten.native_batch_norm.default: _batch_norm,
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
    **dict.fromkeys(COPIES, _same),
    **dict.fromkeys(CELLWISE, _pointwise),
}
