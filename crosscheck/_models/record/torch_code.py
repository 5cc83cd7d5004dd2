"""A stretch of a model of torch as code: the operations of its graph, as torch.fx prints them."""

from __future__ import annotations

import keyword
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.fx import Graph, GraphModule, Node

from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._graph.graph import Call, Ref
from crosscheck._models.record.torch_recording import TorchRecord, widened

_FREED = re.compile(r"(;  |^ *)(\w+ = )+None;? *$", re.MULTILINE)
IMPORTS = {"inf": "from math import inf", "nan": "from math import nan", "device": "from torch import device"}
"""The names besides torch that the code printed by torch.fx uses."""


@dataclass(frozen=True, eq=False)
class FunctionCode:
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
    return next(candidate for candidate in names if candidate not in taken)


class TorchCode:
    """Stretches of a recorded model as functions in float64."""

    def __init__(self, record: TorchRecord, inputs: Inputs) -> None:
        self._record, self._graph = record, record.graph.graph
        self._inputs = dict(zip(record.graph.inputs, inputs.leaves, strict=True))

    def segment(self, last: int, settled: Mapping[int, tuple[str, Array]]) -> FunctionCode:
        """The operations from the settled ones to the last one, what the settled ones give, and the result.

        Raises:
            Exception: If an operation cannot run in float64, or the graph does not know a value; torch may raise anything.
        """
        nodes = self._record.nodes
        target, ends = nodes[last], {nodes[index]: what for index, what in settled.items()}
        graph = Graph()
        made: dict[int, Node] = {}
        starts: dict[int, tuple[str, Array]] = {}
        results: dict[tuple[str, int], Node] = {}
        for number in sorted(self._graph.ancestors([target], ends)):
            call = None if number in ends else self._graph.call(number)
            if call is None:
                name, said, array = self._start(number, ends)
                made[number] = graph.placeholder(unused(identifier(name), (made[start].name for start in starts)))
                starts[number] = said, array
                continue
            # the results of one operation share its arguments
            key = call.name, id(call.args)
            if key not in results:
                results[key] = _printed(graph, call, made)
            picked = results[key] if call.pick is None else graph.call_function(operator.getitem, (results[key], call.pick))
            made[number] = picked
        graph.output(made[target])
        printed = graph.python_code("self")
        body = _FREED.sub("", printed.src.split(":\n", 1)[1]).rstrip().split("\n")
        names = {number: made[number].name for number in starts}
        return FunctionCode(
            "torch_segment",
            [f"def torch_segment({', '.join(names.values())}):", *(line for line in body if line.strip())],
            {name: starts[number][1] for number, name in names.items()},
            {name: starts[number][0] for number, name in names.items()},
            ["import torch", *(IMPORTS[name] for name in printed.globals if name in IMPORTS and name in printed.src)],
            GraphModule(torch.nn.Module(), graph)(*(torch.tensor(array) for _, array in starts.values())).numpy(),
        )

    def _start(self, number: int, ends: Mapping[int, tuple[str, Array]]) -> tuple[str, str, Array]:
        """The name, the description and the numbers of a value at which a segment begins."""
        if number in ends:
            return "x", *ends[number]
        leaf: Any = self._graph.nodes[number]
        name = leaf.name or leaf.label or "x"
        if number in self._inputs:
            array = np.array(self._inputs[number])
        else:
            weights = self._record.weights
            array = weights[self._record.tied.get(leaf.name, leaf.name)] if leaf.name else leaf.value.numpy()
        return name, f"PyTorch's {name}", np.asarray(widened(array))


def _printed(graph: Graph, call: Call, made: Mapping[int, Node]) -> Node:
    """An operation in a graph of torch.fx."""
    args, kwargs = _operands(call.args, made), {key: _operands(argument, made) for key, argument in call.kwargs.items()}
    if call.schema is None or call.function is torch.Tensor.reshape:
        return graph.call_method(call.name if call.schema is None else "reshape", args, kwargs)
    namespace, name = call.schema.name.split("::")
    function = getattr(getattr(getattr(torch.ops, namespace), name), call.schema.overload_name or "default")
    if name in ("_softmax", "_log_softmax"):
        args = (*args[:2], False)  # half_to_float
    if function is not call.function and call.schema.is_mutable:  # it writes to a copy of its operand
        args = tuple(
            graph.call_method("clone", (argument,)) if isinstance(argument, Node) else argument for argument in args
        )
    return graph.call_function(function, args, kwargs)


def _operands(given: Any, made: Mapping[int, Node]) -> Any:
    if isinstance(given, Ref):
        return made[given.node]
    return type(given)([_operands(part, made) for part in given]) if isinstance(given, (list, tuple)) else given
