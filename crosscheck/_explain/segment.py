"""A part of a program of torch, with values: computed again with edits, and held against what JAX has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from crosscheck._frameworks.programs import Array
from crosscheck._graph.graph import Call, Edits, Graph, Leaf

SAME = 1e-9
"""Values are the same if their moments differ by at most this, relative to the root mean square."""
LARGEST_ORDER = 2**16
"""The order of more numbers is not looked at."""
LARGEST = 1e8
"""Larger numbers, such as the fills of a mask, count as 0."""


def moments(value: Any) -> Array:
    """What neither another order of axes, nor a reshape, nor a broadcast changes: five numbers of the size of the values.

    A complex number counts as two.
    """
    held = np.asarray(value.resolve_conj().resolve_neg() if isinstance(value, torch.Tensor) else value)
    numbers = np.asarray([held.real, held.imag] if held.dtype.kind == "c" else held, np.float64).ravel()
    if not numbers.size:
        return np.zeros(5)
    sizes = np.abs(numbers)
    if not sizes.max() < LARGEST:
        numbers, sizes = (np.where(sizes < LARGEST, array, 0.0) for array in (numbers, sizes))
    squares, count = numbers * numbers, numbers.size
    size = float(np.sqrt(squares.sum() / count))
    scale = size or 1.0
    # not by BLAS, whose threads wait for each other where other processes have the cores
    third, fourth = (np.einsum("i,i", squares, other) / count for other in (numbers, squares))
    third, fourth = third / scale**2, fourth / scale**3
    return np.array([size, numbers.sum() / count, sizes.sum() / count, third, fourth])


def order(value: Any) -> bytes | None:
    """The whole numbers of an array, such as an index or a mask, in their order; None of another, or of a single number."""
    numbers = np.asarray(value)
    if not 1 < numbers.size <= LARGEST_ORDER or numbers.dtype.kind not in "biuf":
        return None
    numbers = numbers.astype(np.float64)
    return numbers.tobytes() if np.array_equal(numbers, np.round(numbers)) else None


class JaxSide:
    """What is known of JAX's program at the place of a segment.

    Attributes:
        moments: The moments of its values, a row for each.
        orders: The whole numbers of its values, in their order.
        numbers: The numbers that stand in it, sorted.
        arrays: The constant arrays in it.
        alone: Its weights for which PyTorch has none, by name.
        doubtful: Of the values that are known before the segment, those of which it may have other numbers.
    """

    def __init__(
        self,
        values: Sequence[Array] = (),
        numbers: Iterable[float] = (),
        arrays: Sequence[Array] = (),
        alone: Mapping[str, Array] = MappingProxyType({}),
        doubtful: Container[int] = (),
    ) -> None:
        self.moments = np.array([moments(value) for value in values]).reshape(-1, 5)
        self.orders = {order(value) for value in values}
        self.numbers = sorted({float(number) for number in numbers})
        self.arrays, self.alone, self.doubtful = arrays, alone, doubtful


@dataclass(frozen=True)
class Goal:
    """What the edits of a segment must reach.

    Attributes:
        right: Whether values of the targets are JAX's; None if JAX refuses the inputs.
        proven: Whether they are at other inputs too, after these edits.
    """

    right: Callable[[Sequence[Any]], bool | None] = lambda _: False
    proven: Callable[[Edits], bool] = lambda _: True


class GraphSegment:
    """Some nodes of a graph, from the values that are known to the targets.

    Attributes:
        graph: The whole graph.
        targets: The nodes that it computes, in the order in which they are judged.
        nodes: Its operations, in the graph's order.
        data: The nodes that depend on the data.
        values: The value of each node.
        edits: What was found so far, as a part of the segment.
        words: What its values are called, as far as that was asked.
    """

    def __init__(
        self,
        graph: Graph,
        known: Mapping[int, Any],
        targets: Sequence[int],
        *,
        weights: Callable[[str], Any],
        jax: JaxSide | None = None,
        goal: Goal = Goal(),
        edits: Edits | None = None,
    ) -> None:
        """``known`` are values of nodes in float64, ``weights`` gives a weight by name.

        Raises:
            RuntimeError: If an operation cannot run in float64, or if a value that it needs is not known.
        """
        self.graph, self.targets, self._known, self._weights = graph, tuple(targets), known, weights
        self.jax, self.goal = jax or JaxSide(), goal
        self.edits = dict(edits or {})
        inside = graph.ancestors(targets, known, self.edits)
        self.nodes = [node for node in self._in_order(inside) if node not in known and graph.call(node) is not None]
        self.data: set[int] = {node for node in inside if node in known}
        for node in self.nodes:
            if not self.data.isdisjoint(graph.operands(node, self.edits)):
                self.data.add(node)
        self.words: dict[Any, str] = {}
        self._before: dict[int, frozenset[int]] = {}
        self.values: dict[int, Any] = {}
        with torch.no_grad():
            self.values = self._computed(self.edits, {})

    def _in_order(self, inside: set[int]) -> list[int]:
        """Each node behind its operands: an edit may have brought in a later node."""
        done: dict[int, bool] = {}
        ordered: list[int] = []
        for start in sorted(inside):
            left = [(start, False)]
            while left:
                node, ended = left.pop()
                if ended:
                    done[node] = True
                    ordered.append(node)
                elif node not in done:
                    done[node] = False
                    left.append((node, True))
                    if node not in self._known:
                        left += [(other, False) for other in self.graph.operands(node, self.edits) if other in inside]
                elif not done[node]:
                    raise RuntimeError("the edits make a circle")
        return list(dict.fromkeys(ordered))

    def _computed(self, edits: Edits, given: Mapping[int, Any], changed: Container[int] | None = None) -> dict[int, Any]:
        """The values of the targets and of what they need; of ``given``, those that have not changed are kept."""
        values: dict[int, Any] = {}
        open_: set[int] = set()

        def value(node: int) -> Any:
            if node in values:
                return values[node]
            if changed is not None and node not in changed and node in given:
                return given[node]
            if node in self._known:
                result = self._known[node]
            elif (call := self.graph.call(node, edits)) is not None:
                if node in open_:
                    raise RuntimeError("the edits make a circle")
                open_.add(node)
                result = call.compute(value)
                open_.discard(node)
                if changed is not None and _is_empty(result) and not _is_empty(given.get(node)):
                    raise RuntimeError("nothing is left")  # some operations end the process if they are given nothing
            else:
                result = self.leaf(node)
            values[node] = result
            return result

        for node in self.nodes if changed is None else ():
            value(node)
        for node in self.targets:
            value(node)
        return values

    def leaf(self, number: int) -> Any:
        """The value of a weight or of a constant."""
        leaf: Any = self.graph.nodes[number]
        value = self._weights(leaf.name) if leaf.name else leaf.value
        if value is None:
            raise RuntimeError("a value is not known")
        return value

    @property
    def given(self) -> Mapping[int, Any]:
        """All values that are known before it, also those that it does not use."""
        return self._known

    def edited(self, edits: Edits) -> GraphSegment:
        """The segment with more edits."""
        return GraphSegment(
            self.graph,
            self._known,
            self.targets,
            weights=self._weights,
            jax=self.jax,
            goal=self.goal,
            edits={**self.edits, **edits},
        )

    def call(self, number: int) -> Call | None:
        """The operation of a node, as it is edited so far."""
        return self.graph.call(number, self.edits)

    def operands(self, number: int) -> tuple[int, ...]:
        """The nodes whose results a node uses, as it is edited so far."""
        return self.graph.operands(number, self.edits)

    @cached_property
    def users(self) -> Mapping[int, list[int]]:
        """The nodes that use each value."""
        users: dict[int, list[int]] = defaultdict(list)
        for node in self.nodes:
            for operand in self.operands(node):
                users[operand].append(node)
        return users

    @property
    def inputs(self) -> list[int]:
        """The inputs of the program that are used."""
        nodes = self.graph.nodes
        return [node for node in self.users if isinstance(leaf := nodes[node], Leaf) and leaf.label]

    @property
    def starts(self) -> list[int]:
        """The data that enters the segment: inputs of the program, and values at the landmarks before."""
        return [value for value in self.users if value in self.data and value not in self.nodes]

    @cached_property
    def behind(self) -> Mapping[int, frozenset[int]]:
        """The nodes that each value reaches, itself among them."""
        reached: dict[int, frozenset[int]] = {}
        for node in reversed(self.nodes):
            reached[node] = frozenset([node]).union(*(reached.get(user, frozenset()) for user in self.users.get(node, ())))
        return reached

    def before(self, number: int) -> frozenset[int]:
        """The node and what it is computed from inside the segment."""
        if number not in self._before:
            self._before[number] = frozenset(self.graph.ancestors([number], self._known, self.edits))
        return self._before[number]

    @property
    def size(self) -> int:
        """How many numbers one run computes."""
        return sum(value.numel() for value in self.values.values() if isinstance(value, torch.Tensor))

    def run(self, edits: Edits) -> dict[int, Any]:
        """What changes with more edits: the values of the targets, and of the nodes between.

        Raises:
            RuntimeError: If an operation cannot run so; other exceptions of torch too.
        """
        changed: set[int] = set()
        for node in edits:
            changed |= self.behind.get(node, frozenset([node]))
        return self._computed({**self.edits, **edits}, self.values, changed)

    def proves(self, edits: Edits) -> bool:
        """Whether edits that give JAX's values here do so at other inputs too."""
        return self.goal.proven({**self.edits, **edits})

    def results(self, values: Mapping[int, Any]) -> list[Any]:
        """The values of the targets after a run."""
        return [values.get(target, self.values[target]) for target in self.targets]

    def has(self, key: Array) -> bool:
        """Whether JAX has a value with these moments."""
        return bool(key[0] > 0 and (np.abs(self.jax.moments - key) <= SAME * key[0]).all(1).any())

    @cached_property
    def partners(self) -> Mapping[int, bool]:
        """For each operation whether JAX has its result."""
        return {node: self.has(moments(self.values[node])) for node in self.nodes if self._is_judged(node)}

    def _is_judged(self, number: int) -> bool:
        value = self.values.get(number)
        return isinstance(value, torch.Tensor) and (number in self.data or value.numel() > 1)

    @cached_property
    def jax_alone(self) -> Array:
        """The moments of those values of JAX that torch does not have."""
        own = np.array([moments(self.values[node]) for node in self.partners]).reshape(-1, 5)
        free = [
            not (np.abs(own - key) <= SAME * max(key[0], 1e-300)).all(1).any() and key[0] > 0 for key in self.jax.moments
        ]
        return self.jax.moments[np.array(free, bool)]

    @cached_property
    def frontier(self) -> list[int]:
        """The operations whose result JAX does not have, though it has their operands."""
        return [
            node
            for node, has in self.partners.items()
            if not has and all(self.partners.get(operand, True) for operand in self.operands(node))
        ]

    @cached_property
    def tables(self) -> list[int]:
        """The tables of whole numbers, such as indices and masks, that JAX does not have in this order."""
        constant: set[int] = set()
        for number in sorted(self.values.keys() - self.data):
            node = self.graph.nodes[number]
            if all(other in constant for other in self.operands(number)) and not (isinstance(node, Leaf) and node.name):
                constant.add(number)
        return [number for number in sorted(constant) if (own := order(self.values[number])) and own not in self.jax.orders]

    @property
    def lost_arrays(self) -> list[int]:
        """PyTorch's arrays that no data enters, such as rotary frequencies, of which JAX's program has no numbers."""
        fixed = [value for value in self.users if value not in self.data and isinstance(self.values[value], torch.Tensor)]
        return [value for value in fixed if not self.has(moments(self.values[value]))]

    def gain(self, values: Mapping[int, Any]) -> int:
        """How many of JAX's values that torch does not have it has after a run, less those that it has no longer."""
        new = [node for node in self.partners if node in values]
        keys = np.array([moments(values[node]) for node in new if isinstance(values[node], torch.Tensor)]).reshape(-1, 5)
        near = SAME * np.maximum(self.jax_alone[:, :1], 1e-300)[:, None]
        gained = int((np.abs(keys - self.jax_alone[:, None]) <= near).all(2).any(1).sum())
        lost = sum(
            self.partners[node] and isinstance(values[node], torch.Tensor) and not self.has(moments(values[node]))
            for node in new
        )
        return gained - lost


def _is_empty(value: Any) -> bool:
    """Whether an array has no numbers."""
    return isinstance(value, torch.Tensor) and value.numel() == 0


def sites(segment: GraphSegment, value: int) -> list[tuple[int, ...]]:
    """The sets of users for which a value may be another one: all, or one alone."""
    users = segment.users.get(value, [])
    return list(dict.fromkeys([tuple(users), *((user,) for user in users)])) if users else []
