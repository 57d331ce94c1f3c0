"""A network as a list of PyTorch's own operations, for any number of rows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
Network = Callable[[Tensor], Tensor]

STRIDED = (aten.as_strided_.default, aten.as_strided.default)  # by the version of PyTorch
RESHAPES = (aten.view.default, aten._unsafe_view.default, aten.reshape.default)
NEW = (aten.convolution.default, aten.add.Tensor)  # whose results share no memory


@torch.no_grad()
def traced(network: Network, example: Tensor) -> fx.GraphModule:
    """Trace a network down to PyTorch's own operations, none of which overwrites anything.

    Parameters
    ----------
    network
        Maps (B, ...) to (B, ...).
    example
        One row.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    network(example)  # tensors that are cached at first use must not be traced
    module: fx.GraphModule = make_fx(torch.func.functionalize(network))(example)
    return module


class Program:
    """Traced operations, for any number of rows.

    Parameters
    ----------
    nodes
        In order.
    output
        The node whose value is the result.
    inputs
        The nodes whose values are given, in order.
    constants
        The values of nodes that do not depend on the inputs.
    """

    def __init__(
        self,
        nodes: Sequence[fx.Node],
        output: Any,
        inputs: Sequence[fx.Node],
        constants: Mapping[fx.Node, Any],
    ) -> None:
        self.nodes, self.output, self.inputs, self.constants = nodes, output, inputs, constants
        self._done = _last_reads(nodes, {output, *constants})
        self._targets = {node: _overwriting(node) or node.target for node in nodes}

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        value = dict(self.constants) | dict(zip(self.inputs, maps, strict=True))
        for node in self.nodes:
            value[node] = _call(node, self._targets[node], value)
            for read in self._done[node]:
                del value[read]
        result: Tensor = value[self.output]
        return result


def program(module: fx.GraphModule) -> Program:
    """Return the program of a whole traced network, of one input."""
    *nodes, output = module.graph.nodes
    constants: dict[fx.Node, Any] = {}
    for node in nodes:
        if node.op == "get_attr":
            constants[node] = attribute(module, node)
        elif node.all_input_nodes and all(read in constants for read in node.all_input_nodes):
            constants[node] = as_traced(node, constants)
    inputs = [node for node in nodes if node.op == "placeholder"]
    calls = [node for node in nodes if node not in constants and node not in inputs]
    return Program(calls, output.args[0], inputs, constants)


def attribute(module: fx.GraphModule, node: fx.Node) -> Any:
    """Return the tensor that a traced network keeps under a node's name."""
    return operator.attrgetter(str(node.target))(module)


def as_traced(node: fx.Node, value: Mapping[fx.Node, Any]) -> Any:
    """Run one node on the row that the trace has seen."""
    return _run(node, node.target, value)


def _run(node: fx.Node, target: Any, value: Mapping[fx.Node, Any]) -> Any:
    args: Any = fx.node.map_arg(node.args, value.__getitem__)
    kwargs: Any = fx.node.map_arg(node.kwargs, value.__getitem__)
    return target(*args, **kwargs)


def _call(node: fx.Node, target: Any, value: Mapping[fx.Node, Any]) -> Any:
    """Run one node on any number of rows, though the trace has seen one row."""
    args: Any = fx.node.map_arg(node.args, value.__getitem__)
    if node.target in RESHAPES and args[1][0] == 1:
        return args[0].reshape(len(args[0]) if args[0].ndim else 1, *args[1][1:])
    if node.target in STRIDED and list(args[0].shape[1:]) == args[1][1:]:
        return args[0]  # strides alone
    return _run(node, target, value)


def in_place(target: Any) -> Callable[..., Tensor] | None:
    """Return the variant of an operation that overwrites its first argument."""
    name, _, overload = str(target).removeprefix("aten.").partition(".")
    packet = getattr(aten, f"{name}_", None)
    return getattr(packet, overload, None)


def _overwriting(node: fx.Node) -> Callable[..., Tensor] | None:
    """Return that variant if the first argument is a new map that nobody else reads."""
    first = node.args[0] if node.args else None
    if not isinstance(first, fx.Node) or first.target not in NEW or len(first.users) > 1:
        return None
    shapes = [read.meta["val"].shape for read in (first, node) if "val" in read.meta]
    return in_place(node.target) if len(shapes) == 2 and shapes[0] == shapes[1] else None


def _last_reads(nodes: Sequence[fx.Node], kept: set[Any]) -> dict[fx.Node, list[fx.Node]]:
    """Return, for each node, the values that nobody reads after it."""
    done: dict[fx.Node, list[fx.Node]] = {}
    seen = kept
    for node in reversed(nodes):
        done[node] = [read for read in node.all_input_nodes if read not in seen]
        seen = seen | {*done[node]}
    return done
