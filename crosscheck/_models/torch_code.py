"""A stretch of a model of torch as code: the operations that reach the dispatcher, as torch.fx prints them."""

from __future__ import annotations

import keyword
import operator
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_aggregate
from torch.nn.attention import SDPBackend, sdpa_kernel

from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.torch_recording import widened
from crosscheck._shadow.torch_operations import WIDE, plan_of

_FREED = re.compile(r"(;  |^ *)(\w+ = )+None;? *$", re.MULTILINE)
IMPORTS = {"inf": "from math import inf", "nan": "from math import nan", "device": "from torch import device"}
"""The names besides torch that the code printed by torch.fx uses."""


@dataclass(frozen=True, eq=False)
class Code:
    """A function as code.

    Attributes:
        name: Its name.
        lines: The function.
        given: The values of its arguments, by name.
        result: Its result, if that is known.
        said: Descriptions of arguments, by name, if they are known.
        imports: The imports that it needs.
    """

    name: str
    lines: list[str]
    given: dict[str, Array]
    said: dict[str, str]
    imports: list[str]
    result: Array | None = None


def identifier(name: str) -> str:
    """The name of a weight, such as ``['blocks'][0]['w']``, as a name in Python."""
    word = re.sub(r"\W+", "_", name).strip("_") or "x"
    return f"{word}_" if keyword.iskeyword(word) or word == "torch" else f"x{word}" if word[0].isdecimal() else word


def unused(name: str, used: Iterable[str]) -> str:
    """A name that is not used yet."""
    taken = set(used)
    names = (name if not number else f"{name}_{number}" for number in count())
    return next(one for one in names if one not in taken)


class TorchGraph:
    """The operations that a model of torch dispatches, in float64."""

    def __init__(self, program: TorchProgram, count: int) -> None:
        """``count`` is the number of recorded operations.

        Raises:
            ValueError: If the graph has another number of operations.
        """
        module = program.function
        leaves = [torch.from_numpy(np.array(leaf)) for leaf in program.inputs.leaves]
        state = {name: one.detach().clone() for name, one in (*module.named_parameters(), *module.named_buffers())}

        # torch's choice of kernels also depends on whether a gradient may be needed
        by = {name for name, one in module.named_parameters() if one.requires_grad}
        copies = {name: one.clone().requires_grad_(name in by) for name, one in state.items()}

        def call(state: Any, *given: Any) -> Any:
            return torch.func.functional_call(module, state, tuple(program.inputs.tree.build(list(given))))

        with _as_recorded(), torch.no_grad():
            self._module = make_fx(call)(copies, *leaves)
        graph = self._module.graph
        given = [node for node in graph.nodes if node.op == "placeholder"]
        self._names = dict(zip(given, [*state, *program.inputs.names], strict=True))
        self._given = dict(zip(given, [*state.values(), *leaves], strict=True))
        self._operations = [node for node in graph.nodes if _computes(node)]
        if len(self._operations) != count:
            raise ValueError(f"torch.fx shows {len(self._operations)} operations, of {count}")
        for node in graph.nodes:
            node.args = map_aggregate(node.args, _wide_dtype)
            node.kwargs = map_aggregate(node.kwargs, _wide_dtype)
        self._module.recompile()

    def segment(self, last: int, settled: Mapping[int, tuple[str, Array]]) -> Code:
        """The operations from the settled ones to the last one, what the settled ones give, and the result."""
        target = self._result(last)
        ends = {self._result(one): what for one, what in settled.items()}
        graph = Graph()
        copies: dict[Node, Node] = {}
        starts: dict[Node, tuple[str, Array]] = {}
        for node in _before(target, ends):
            if node in ends or node.op != "call_function":
                name = self._names.get(node, "x")
                copies[node] = graph.placeholder(unused(identifier(name), (copies[one].name for one in starts)))
                starts[node] = ends.get(node) or (f"PyTorch's {name}", self._held(node))
            else:
                copies[node] = graph.node_copy(node, copies.__getitem__)
        graph.output(copies[target])
        printed = graph.python_code("self")
        body = _FREED.sub("", printed.src.split(":\n", 1)[1]).rstrip().split("\n")
        names = {node: copies[node].name for node in starts}
        return Code(
            "torch_segment",
            [f"def torch_segment({', '.join(names.values())}):", *(line for line in body if line.strip())],
            {name: starts[node][1] for node, name in names.items()},
            {name: starts[node][0] for node, name in names.items()},
            ["import torch", *(IMPORTS[name] for name in printed.globals if name in IMPORTS and name in printed.src)],
            GraphModule(self._module, graph)(*(torch.tensor(array) for _, array in starts.values())).numpy(),
        )

    def _held(self, node: Node) -> Array:
        """A weight, an input or a constant, in float64."""
        tensor = self._given[node] if node in self._given else getattr(self._module, str(node.target))
        return np.asarray(widened(tensor.detach().numpy()))

    def _result(self, operation: int) -> Node:
        """The tensor that an operation returns; the first of several."""
        node = self._operations[operation]
        if not isinstance(node.meta.get("val"), tuple | list):
            return node
        first = [user for user in node.users if user.target is operator.getitem and user.args[1] == 0]
        return first[0] if first else node


@contextmanager
def _as_recorded() -> Iterator[None]:
    """Disable fused kernels, as when the model was recorded."""
    mkldnn, fast = torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled()
    torch._C._set_mkldnn_enabled(False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch._C._set_mkldnn_enabled(mkldnn)
        torch.backends.mha.set_fastpath_enabled(fast)


def _before(target: Node, ends: Collection[Node]) -> list[Node]:
    """A node and the nodes that it is made from, back to the ends, in the order of the graph."""
    found: set[Node] = set()
    left = [target]
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            if node not in ends or node is target:
                left += node.all_input_nodes
    return [node for node in target.graph.nodes if node in found]


def _computes(node: Node) -> bool:
    """Whether it is an operation that the record counts: not a view."""
    return node.op == "call_function" and hasattr(node.target, "_schema") and not plan_of(node.target).view


def _wide_dtype(one: Any) -> Any:
    return WIDE.get(one, one) if isinstance(one, torch.dtype) else one
