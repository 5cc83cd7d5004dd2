"""A program as a graph: each node is an operation with its operands, or a leaf, such as a weight; no node has a value."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Ref:
    """The result of a node, as an operand."""

    node: int


@dataclass(frozen=True, eq=False)
class Call:
    """An operation.

    Attributes:
        name: Its name, such as ``native_layer_norm``.
        function: What computes it.
        args: Its arguments: results of nodes, other calls, numbers, lists of these.
        kwargs: Its arguments by name.
        pick: Which of several results it is; None if there is one.
        path: The module that runs it.
        source: Its line in the program.
        operation: Its number in a record of the program; None for a view.
        schema: The names and types of its arguments; None for a function that has none.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    pick: int | None = None
    path: str = ""
    source: str = ""
    operation: int | None = None
    schema: Any = None

    def replaced(self, old: int, new: Any) -> Call:
        """The call, which uses ``new`` wherever it used the result of the node ``old``."""
        return replace(
            self,
            args=put(self.args, old, new),
            kwargs={key: put(argument, old, new) for key, argument in self.kwargs.items()},
        )

    def compute(self, value: Callable[[int], Any]) -> Any:
        """Its result, with a function that gives the value of each node."""
        results = self.function(*of(self.args, value), **{key: of(argument, value) for key, argument in self.kwargs.items()})
        return results if self.pick is None else results[self.pick]


@dataclass(frozen=True, eq=False)
class Leaf:
    """Something that is given: an input, a weight or a constant.

    Attributes:
        name: The name of a weight; empty for inputs and constants.
        value: What a constant holds; None if it is not known.
        label: The name of an input.
    """

    name: str
    value: Any = None
    label: str = ""


Edits = Mapping[int, Call]
"""Calls that take the place of nodes."""


def refs(given: Any) -> Iterator[int]:
    """The nodes whose results are in some arguments."""
    if isinstance(given, Ref):
        yield given.node
    elif isinstance(given, Call):
        yield from refs(given.args)
        yield from refs(given.kwargs)
    elif isinstance(given, (list, tuple)):
        for argument in given:
            yield from refs(argument)
    elif isinstance(given, Mapping):
        for argument in given.values():
            yield from refs(argument)


def put(given: Any, old: int, new: Any) -> Any:
    """The arguments, in which ``new`` replaces the result of the node ``old``."""
    if isinstance(given, Ref):
        return new if given.node == old else given
    if isinstance(given, Call):
        return given.replaced(old, new)
    return type(given)([put(argument, old, new) for argument in given]) if isinstance(given, (list, tuple)) else given


def of(given: Any, value: Callable[[int], Any]) -> Any:
    """Arguments with the values of the nodes in them."""
    if isinstance(given, Ref):
        return value(given.node)
    if isinstance(given, Call):
        return given.compute(value)
    return type(given)([of(argument, value) for argument in given]) if isinstance(given, (list, tuple)) else given


class Graph:
    """Nodes in the order in which the program runs them."""

    def __init__(self) -> None:
        self.nodes: list[Call | Leaf] = []
        self.functions: dict[int, Call] = {}
        """By the node of its result, a function that consists of several operations, as the program calls it."""

    def add(self, node: Call | Leaf) -> Ref:
        self.nodes.append(node)
        return Ref(len(self.nodes) - 1)

    def call(self, number: int, edits: Edits | None = None) -> Call | None:
        """The operation of a node, as it is edited; None for a leaf."""
        node = edits[number] if edits and number in edits else self.nodes[number]
        return node if isinstance(node, Call) else None

    def operands(self, number: int, edits: Edits | None = None) -> tuple[int, ...]:
        """The nodes whose results a node uses."""
        if edits and number in edits:
            return tuple(dict.fromkeys(refs(edits[number])))
        return self._operands[number]

    @cached_property
    def _operands(self) -> list[tuple[int, ...]]:
        return [tuple(dict.fromkeys(refs(node))) if isinstance(node, Call) else () for node in self.nodes]

    def ancestors(self, nodes: Iterable[int], stop: Container[int] = (), edits: Edits | None = None) -> set[int]:
        """These nodes and all that they are computed from, back to the nodes at which to stop, which are among them."""
        ancestors: set[int] = set()
        left = list(nodes)
        while left:
            number = left.pop()
            if number not in ancestors:
                ancestors.add(number)
                if number not in stop:
                    left += self.operands(number, edits)
        return ancestors
