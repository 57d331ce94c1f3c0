"""A network as a list of local steps and a head, traced down to PyTorch's own operations."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from genattr.engine.operations import Operation, Source, operation
from genattr.engine.program import Network, Program, as_traced, attribute, traced

aten = torch.ops.aten


@dataclass(frozen=True)
class Step:
    """One local operation.

    Attributes
    ----------
    name
        Of the operation, for people.
    operation
        What it does to maps and to parts of them; None for the image itself.
    inputs
        The steps that it reads, by index.
    shape
        Channels, height and width of its map.
    cost
        Multiply-adds of the whole map.
    """

    name: str
    operation: Operation | None
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    cost: int


@dataclass(frozen=True)
class Graph:
    """A network: local steps in order, then a head that sees whole maps.

    Attributes
    ----------
    steps
        The first is the image.
    outputs
        The steps whose maps the head reads.
    head
        From these maps, in order, to the network's output.
    first_global
        The first operation that is not local, for people.
    head_cost
        Multiply-adds of the head.
    """

    steps: Sequence[Step]
    outputs: tuple[int, ...]
    head: Callable[[Sequence[Tensor]], Tensor]
    first_global: str
    head_cost: int

    @property
    def local_share(self) -> float:
        """Share of the network's multiply-adds that local steps have."""
        local = sum(step.cost for step in self.steps)
        return local / max(local + self.head_cost, 1)


@torch.no_grad()
def trace(network: Network, example: Tensor) -> Graph:
    """Trace a network to local steps and a head.

    Parameters
    ----------
    network
        Maps (B, 3, D, D) to (B, K).
    example
        (1, 3, D, D).
    """
    return _Sorting(traced(network, example), example).graph()


class _Sorting:
    """Sort the nodes of a traced network: constants, local steps, the head."""

    def __init__(self, module: fx.GraphModule, example: Tensor) -> None:
        self.module = module
        self.example = example
        self.value: dict[fx.Node, Any] = {}  # for the example
        self.constants: dict[fx.Node, Any] = {}
        self.index: dict[fx.Node, int] = {}  # of local nodes among the steps
        self.padding: dict[fx.Node, Source] = {}  # of nodes that pad a local map
        self.steps: list[Step] = []
        self.head: list[fx.Node] = []

    def graph(self) -> Graph:
        *nodes, output = self.module.graph.nodes
        for node in nodes:
            self._sort(node)
        head = self._behind(output)
        needed = [n for node in [*head, output] for n in node.all_input_nodes if n in self.index]
        outputs = [n for n in dict.fromkeys(needed) if n not in self.padding]
        return Graph(
            self.steps,
            tuple(self.index[node] for node in outputs),
            Program(head, output.args[0], outputs, self.constants),
            _describe(head[0], self.value) if head else "none",
            sum(_cost(node, self.value) for node in head),
        )

    def _behind(self, output: fx.Node) -> list[fx.Node]:
        """Return, in order, the nodes of the head that the output needs."""
        head, needed = {*self.head, *self.padding}, set(output.all_input_nodes)
        for node in reversed(self.value):
            if node in needed & head:
                needed.update(node.all_input_nodes)
        return [node for node in self.value if node in needed & head]

    def _sort(self, node: fx.Node) -> None:
        self.value[node] = self._evaluate(node)
        if node.op == "placeholder":
            self._add(node, None, ())
        elif all(source in self.constants for source in node.all_input_nodes):
            self.constants[node] = self.value[node]
        elif not self._is_local(node):
            self.head.append(node)

    def _evaluate(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return self.example
        if node.op == "get_attr":
            return attribute(self.module, node)
        return as_traced(node, self.value)

    def _is_local(self, node: fx.Node) -> bool:
        """Add the node as a local step if it is one, and return whether it is."""
        inputs = [source for source in node.all_input_nodes if source not in self.constants]
        if not all(source in self.index for source in inputs):
            return False
        if node.target is operator.getitem and node.args[1] == 0:
            self.index[node] = self.index[inputs[0]]
            return True
        if isinstance(self.value[node], list):
            return False
        args = fx.node.map_arg(node.args, lambda n: self.constants.get(n, n))
        sources = {source: self._source(source) for source in inputs}
        if node.target is aten.constant_pad_nd.default:
            return self._pad(node, args, sources[inputs[0]])
        if node.target is CAST and inputs[0] in self.padding:
            return self._cast(node, inputs[0])
        local = operation(node, args, sources, self._map(node).shape)
        if local is not None:
            self._add(node, local, tuple(self.index[source] for source in local.reads))
        return local is not None

    def _source(self, node: fx.Node) -> Source:
        return self.padding.get(node) or Source(self._map(node).shape)

    def _pad(self, node: fx.Node, args: Sequence[Any], source: Source) -> bool:
        """Leave a padding of rows and columns to the operation that reads it."""
        left, _, top, _ = [*args[1], 0, 0, 0, 0][:4]
        fits = len(args[1]) <= 4 and min(args[1]) >= 0 and source.fill is None
        if fits:
            self.index[node] = self.index[node.all_input_nodes[0]]
            fill = float(args[2]) if len(args) > 2 else 0.0
            self.padding[node] = replace(source, before=(top, left), fill=fill)
        return fits

    def _cast(self, node: fx.Node, padded: fx.Node) -> bool:
        """Cast a map to other bits before the padding, which is left to what reads it."""
        source = self.padding[padded]
        cast = Operation((padded,), lambda maps: CAST(maps[0], **node.kwargs))
        self.index[node] = len(self.steps)
        self.steps.append(
            Step(str(node.target), cast, (self.index[padded],), tuple(source.shape[1:]), 0)
        )
        self.padding[node] = source
        return True

    def _map(self, node: fx.Node) -> Tensor:
        value = self.value[node]
        result: Tensor = value[0] if isinstance(value, tuple) else value
        return result

    def _add(self, node: fx.Node, operation_: Operation | None, inputs: tuple[int, ...]) -> None:
        self.index[node] = len(self.steps)
        shape = tuple(self._map(node).shape[1:])
        self.steps.append(
            Step(str(node.target), operation_, inputs, shape, _cost(node, self.value))
        )


def _cost(node: fx.Node, value: dict[fx.Node, Any]) -> int:
    """Count the multiply-adds of convolutions and matrix products."""
    result = value[node]
    args: Any = node.args
    if node.target is aten.convolution.default:
        return int(result.numel() * math.prod(value[args[1]].shape[1:]))
    if node.target in PRODUCTS:
        return int(result.numel() * value[args[PRODUCTS[node.target]]].shape[-1])
    return 0


CAST = aten._to_copy.default
PRODUCTS = {aten.mm.default: 0, aten.bmm.default: 0, aten.addmm.default: 1}


def _describe(node: fx.Node, value: dict[fx.Node, Any]) -> str:
    """Name an operation and what it reads."""
    name = str(node.target).removeprefix("aten.").partition(".")[0]
    maps = [value[source] for source in node.all_input_nodes]
    shapes = [" x ".join(map(str, x.shape[1:])) for x in maps if isinstance(x, Tensor)]
    return f"{name} of {' and '.join(shapes)}"
