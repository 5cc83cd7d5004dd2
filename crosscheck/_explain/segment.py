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
        numbers, sizes = (np.where(sizes < LARGEST, one, 0.0) for one in (numbers, sizes))
    squares, count = numbers * numbers, numbers.size  # sums of products take a fraction of the time of means
    size = float(np.sqrt(numbers.dot(numbers) / count))
    scale = size or 1.0
    third, fourth = squares.dot(numbers) / count / scale**2, squares.dot(squares) / count / scale**3
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
    """

    def __init__(
        self,
        values: Sequence[Array] = (),
        numbers: Iterable[float] = (),
        arrays: Sequence[Array] = (),
        alone: Mapping[str, Array] = MappingProxyType({}),
    ) -> None:
        self.moments = np.array([moments(one) for one in values]).reshape(-1, 5)
        self.orders = {order(one) for one in values}
        self.numbers = sorted({float(one) for one in numbers})
        self.arrays, self.alone = arrays, alone


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
        doubtful: Container[int] = (),
        edits: Edits | None = None,
    ) -> None:
        """``known`` are values of nodes in float64, ``weights`` gives a weight by name.

        Of the known values, JAX may have other numbers of those that are ``doubtful``.

        Raises:
            RuntimeError: If an operation cannot run in float64, or if a value that it needs is not known.
        """
        self.graph, self.targets, self._known, self._weights = graph, tuple(targets), known, weights
        self.jax, self.goal, self.doubtful = jax or JaxSide(), goal, doubtful
        self.edits = dict(edits or {})
        inside = graph.ancestors(targets, known, self.edits)
        self.nodes = [one for one in self._in_order(inside) if one not in known and graph.call(one) is not None]
        self.data: set[int] = {one for one in inside if one in known}
        for one in self.nodes:
            if not self.data.isdisjoint(graph.operands(one, self.edits)):
                self.data.add(one)
        self.words: dict[Any, str] = {}
        self.values: dict[int, Any] = {}
        with torch.no_grad():
            self.values = self._computed(self.edits, {})

    def _in_order(self, inside: set[int]) -> list[int]:
        """Each node behind its operands: an edit may have brought in a later node."""
        done: dict[int, bool] = {}
        found: list[int] = []
        for start in sorted(inside):
            left = [(start, False)]
            while left:
                one, ended = left.pop()
                if ended:
                    done[one] = True
                    found.append(one)
                elif one not in done:
                    done[one] = False
                    left.append((one, True))
                    if one not in self._known:
                        left += [(other, False) for other in self.graph.operands(one, self.edits) if other in inside]
                elif not done[one]:
                    raise RuntimeError("the edits make a circle")
        return list(dict.fromkeys(found))

    def _computed(self, edits: Edits, given: Mapping[int, Any], changed: Container[int] | None = None) -> dict[int, Any]:
        """The values of the targets and of what they need; of ``given``, those that have not changed are kept."""
        found: dict[int, Any] = {}
        open_: set[int] = set()

        def value(one: int) -> Any:
            if one in found:
                return found[one]
            if changed is not None and one not in changed and one in given:
                return given[one]
            if one in self._known:
                result = self._known[one]
            elif (call := self.graph.call(one, edits)) is not None:
                if one in open_:
                    raise RuntimeError("the edits make a circle")
                open_.add(one)
                result = call.compute(value)
                open_.discard(one)
                if changed is not None and _is_empty(result) and not _is_empty(given.get(one)):
                    raise RuntimeError("nothing is left")  # some operations end the process if they are given nothing
            else:
                result = self.leaf(one)
            found[one] = result
            return result

        for one in self.nodes if changed is None else ():
            value(one)
        for one in self.targets:
            value(one)
        return found

    def leaf(self, number: int) -> Any:
        """The value of a weight or of a constant."""
        leaf: Any = self.graph.nodes[number]
        found = self._weights(leaf.name) if leaf.name else leaf.value
        if found is None:
            raise RuntimeError("a value is not known")
        return found

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
            doubtful=self.doubtful,
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
        found: dict[int, list[int]] = defaultdict(list)
        for one in self.nodes:
            for operand in self.operands(one):
                found[operand].append(one)
        return found

    @property
    def inputs(self) -> list[int]:
        """The inputs of the program that are used."""
        nodes = self.graph.nodes
        return [one for one in self.users if isinstance(leaf := nodes[one], Leaf) and leaf.label]

    @cached_property
    def behind(self) -> Mapping[int, frozenset[int]]:
        """The nodes that each value reaches, itself among them."""
        found: dict[int, frozenset[int]] = {}
        for one in reversed(self.nodes):
            found[one] = frozenset([one]).union(*(found.get(user, frozenset()) for user in self.users.get(one, ())))
        return found

    def before(self, number: int) -> set[int]:
        """The node and what it is computed from inside the segment."""
        return self.graph.ancestors([number], self._known, self.edits)

    @property
    def size(self) -> int:
        """How many numbers one run computes."""
        return sum(one.numel() for one in self.values.values() if isinstance(one, torch.Tensor))

    def run(self, edits: Edits) -> dict[int, Any]:
        """What changes with more edits: the values of the targets, and of the nodes between.

        Raises:
            RuntimeError: If an operation cannot run so; other exceptions of torch too.
        """
        changed: set[int] = set()
        for one in edits:
            changed |= self.behind.get(one, frozenset([one]))
        return self._computed({**self.edits, **edits}, self.values, changed)

    def proves(self, edits: Edits) -> bool:
        """Whether edits that give JAX's values here do so at other inputs too."""
        return self.goal.proven({**self.edits, **edits})

    def results(self, found: Mapping[int, Any]) -> list[Any]:
        """The values of the targets after a run."""
        return [found.get(one, self.values[one]) for one in self.targets]

    def has(self, key: Array) -> bool:
        """Whether JAX has a value with these moments."""
        return bool(key[0] > 0 and (np.abs(self.jax.moments - key) <= SAME * key[0]).all(1).any())

    @cached_property
    def partners(self) -> Mapping[int, bool]:
        """For each operation whether JAX has its result."""
        return {one: self.has(moments(self.values[one])) for one in self.nodes if self._is_judged(one)}

    def _is_judged(self, number: int) -> bool:
        value = self.values.get(number)
        return isinstance(value, torch.Tensor) and (number in self.data or value.numel() > 1)

    @cached_property
    def theirs_alone(self) -> Array:
        """The moments of those values of JAX that torch does not have."""
        own = np.array([moments(self.values[one]) for one in self.partners]).reshape(-1, 5)
        free = [
            not (np.abs(own - key) <= SAME * max(key[0], 1e-300)).all(1).any() and key[0] > 0 for key in self.jax.moments
        ]
        return self.jax.moments[np.array(free, bool)]

    @cached_property
    def frontier(self) -> list[int]:
        """The operations whose result JAX does not have, though it has their operands."""
        return [
            one
            for one, has in self.partners.items()
            if not has and all(self.partners.get(operand, True) for operand in self.operands(one))
        ]

    @cached_property
    def tables(self) -> list[int]:
        """The tables of whole numbers, such as indices and masks, that JAX does not have in this order."""
        constant: set[int] = set()
        for one in sorted(self.values.keys() - self.data):
            node = self.graph.nodes[one]
            if all(other in constant for other in self.operands(one)) and not (isinstance(node, Leaf) and node.name):
                constant.add(one)
        return [one for one in sorted(constant) if (own := order(self.values[one])) and own not in self.jax.orders]

    def gain(self, found: Mapping[int, Any]) -> int:
        """How many of JAX's values that torch does not have it has after a run, less those that it has no longer."""
        new = [one for one in self.partners if one in found]
        keys = np.array([moments(found[one]) for one in new if isinstance(found[one], torch.Tensor)]).reshape(-1, 5)
        gained = sum(bool((np.abs(keys - key) <= SAME * max(key[0], 1e-300)).all(1).any()) for key in self.theirs_alone)
        lost = sum(
            self.partners[one] and isinstance(found[one], torch.Tensor) and not self.has(moments(found[one])) for one in new
        )
        return gained - lost


def _is_empty(value: Any) -> bool:
    """Whether an array has no numbers."""
    return isinstance(value, torch.Tensor) and value.numel() == 0


def sites(segment: GraphSegment, value: int) -> list[tuple[int, ...]]:
    """The sets of users for which a value may be another one: all, or one alone."""
    users = segment.users.get(value, [])
    return list(dict.fromkeys([tuple(users), *((one,) for one in users)])) if users else []
