"""The search: which edits of PyTorch's segment give JAX's values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import combinations
from typing import Any

import torch

from crosscheck._explain.arrays import frequencies
from crosscheck._explain.facts import Edit
from crosscheck._explain.names import line_of
from crosscheck._explain.rules import AT_NODES, AT_VALUES, EXCHANGES, LATE, OF_ARRAYS, OF_TABLES, Rule
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.settings import of_functions, scaled_product
from crosscheck._explain.values import exchanged_inputs, exchanged_starts

Stage = tuple[Sequence[Rule], Sequence[int]]
"""Rules, and the nodes at which they are tried."""
MOST_NUMBERS = 2**31
"""All runs together compute at most so many numbers."""
MOST_RUNS = 20_000
"""At most so many edits are tried."""
MOST_ALIKE_RUNS = 1_000
"""So many are tried as the second of two mistakes of one family, if all others are spent."""
MOST_FIRST = 4
"""Of two mistakes in one segment, so many that may be the first are followed."""
MOST_ALIKE = 6
"""Of more edits of one kind, none are tried in pairs."""
MOST_STEPS = 64
"""A loop of more steps is not changed as a whole."""


class Budget:
    """What the searches of one comparison may still compute."""

    def __init__(self, runs: int = MOST_RUNS, numbers: int = MOST_NUMBERS) -> None:
        self.runs, self.numbers = runs, numbers

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.runs <= 0 or self.numbers <= 0

    def spend(self, values: Mapping[int, Any]) -> None:
        """Count the numbers that a run computed."""
        self.numbers -= sum(value.numel() for value in values.values() if isinstance(value, torch.Tensor))


class Explaining:
    """Explains one segment after the other, within one budget; what explained one is tried first for the next."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._known: set[tuple[str, ...]] = set()

    def search(self, segment: GraphSegment) -> MistakeSearch:
        """The search for the mistake of a segment."""
        return MistakeSearch(segment, self._budget, self._known)


class MistakeSearch:
    """The search for the mistake of one segment."""

    def __init__(self, segment: GraphSegment, budget: Budget, known: set[tuple[str, ...]]) -> None:
        self._segment, self._budget, self._known = segment, budget, known
        self._near: list[tuple[bool, int, float, Edit]] = []
        """Edits after which torch has more of JAX's values: whether at the frontier, and how many."""
        self._forget()

    @property
    def segment(self) -> GraphSegment:
        """The segment."""
        return self._segment

    def early(self) -> list[Edit]:
        """The mistake that gives JAX's values, of those that take little time; none if that is not shown."""
        with torch.no_grad():
            return self._first(self._early())

    def late(self) -> list[Edit]:
        """The same of those that take longer, after the others: the mistake, or two that give JAX's values together."""
        with torch.no_grad():
            near, far = self._late()
            edits = self._first([(LATE, self._segment.nodes), near]) or self._two()
            if not edits and self._budget.spent:  # what takes little time has not been tried
                edits = self._two_alike()
            return edits or self._first([far])

    def of_functions(self) -> list[Edit]:
        """The setting of a function of several operations that gives JAX's values."""
        with torch.no_grad():
            return self._first([([of_functions], [*self._segment.graph.functions])])

    def of_kind(self, *kind: str) -> list[Edit]:
        """The mistake that gives JAX's values, if it is one of this kind, or of this family, the first word of kinds."""

        def only(rule: Rule) -> Rule:
            return lambda segment, place: (edit for edit in rule(segment, place) if edit.kind[: len(kind)] == kind)

        with torch.no_grad():
            at_nodes = [only(rule) for rule in (*AT_NODES, *EXCHANGES, *LATE)]
            return self._first([(at_nodes, self._nodes), ([only(rule) for rule in AT_VALUES], [*self._segment.users])])

    def of_values(self) -> frozenset[tuple[str, ...]]:
        """The kinds of all edits of values that give JAX's values."""
        with torch.no_grad():
            fitting = (edit for edit in self._edits(AT_VALUES, [*self._segment.users]) if self._fits(edit))
            return frozenset(edit.kind for edit in fitting)

    def _two_alike(self) -> list[Edit]:
        """The same for two mistakes of one family, which takes little time."""
        reserve = Budget(MOST_ALIKE_RUNS, MOST_ALIKE_RUNS * MOST_NUMBERS // MOST_RUNS)
        return self._two(lambda search, first: search.of_kind(first.kind[0]), reserve)

    def _two(
        self,
        second_of: Callable[[MistakeSearch, Edit], list[Edit]] = lambda search, _: search.early(),
        budget: Budget | None = None,
    ) -> list[Edit]:
        """Two mistakes that give JAX's values together."""
        nearest = sorted(self._near, key=lambda candidate: candidate[:3], reverse=True)[:MOST_FIRST]
        for *_, first in nearest:
            try:
                second = MistakeSearch(self._segment.edited(first.edits), budget or self._budget, self._known)
            except RuntimeError:  # the edit cannot run by itself
                continue
            best = second_of(second, first)
            if best and not any(edit.is_vague for edit in (first, *best)):
                return [first, *best]
        return []

    def _first(self, stages: Iterable[Stage]) -> list[Edit]:
        """The smallest edit of the first stage that has one; one that leaves nothing of a table only if no other fits."""
        doubtful: list[Edit] = []
        for rules, places in stages:
            fitting: list[Edit] = []
            for edit in self._edits(rules, places):
                self._note(edit)
                if self._fits(edit):
                    fitting.append(edit)
                if self._budget.spent:
                    break
            fitting = fitting or list(self._together())
            if fitting:
                best = min(fitting, key=lambda edit: edit.size)
                if not self._empties(best):
                    self._known.add(best.kind)
                    return [best]
                doubtful = doubtful or [best]
            self._forget()
        return doubtful

    def _empties(self, edit: Edit) -> bool:
        """Whether all numbers of a table are the same after an edit of it: JAX then rather has none, as without a mask."""
        segment = self._segment
        if not segment.data.isdisjoint(edit.edits):
            return False
        after = segment.run(edit.edits)
        met = [
            node for node in after if node not in segment.data and not segment.data.isdisjoint(segment.users.get(node, ()))
        ]
        return any(_is_even(after[node]) and not _is_even(segment.values[node]) for node in met)

    def _edits(self, rules: Sequence[Rule], places: Sequence[int]) -> Iterator[Edit]:
        for rule in rules:
            for place in places:
                with suppress(Exception):  # an operation may have arguments that a rule does not foresee
                    yield from rule(self._segment, place)

    def _early(self) -> Iterator[Stage]:
        """The rules and where they are tried: first those that explained an earlier fault, then those at the frontier."""
        segment, others = self._segment, [node for node in self._nodes if node not in self._frontier]
        if self._known:
            again = [self._again(rule) for rule in (*AT_NODES, *EXCHANGES, *LATE)]
            yield again, self._nodes
            yield [self._again(rule) for rule in AT_VALUES], [*segment.users]
        yield [exchanged_inputs], segment.inputs
        tables = [*segment.tables, *(operand for table in segment.tables for operand in segment.operands(table))]
        yield OF_TABLES, list(dict.fromkeys(tables))
        yield [frequencies], segment.lost_arrays
        yield AT_NODES, self._frontier
        yield AT_NODES, others
        yield EXCHANGES, segment.nodes
        yield AT_VALUES, [*self._operands, *segment.targets]
        yield OF_ARRAYS, [value for value in segment.users if value not in segment.data]
        yield [exchanged_starts], segment.starts  # they are few; of all values in a large segment, not all can be tried

    def _late(self) -> tuple[Stage, Stage]:
        """The rules that take longer: for values that something wrong uses, and for all others."""
        segment = self._segment
        # where JAX has both a value and what is computed from it, nothing is wrong between them
        wrong = [node for node in segment.nodes if not self._frontier or not segment.partners.get(node, False)]
        used = {operand for node in wrong for operand in segment.operands(node)}
        left = [value for value in segment.users if value not in self._operands]
        near, far = [value for value in left if value in used], [value for value in left if value not in used]
        return (AT_VALUES, near), (AT_VALUES, far)

    @cached_property
    def _nodes(self) -> list[int]:
        """The operations. Two factors of one product, as attention may have them, are tried as its scale, not one by one."""
        return [node for node in self._segment.nodes if scaled_product(self._segment, node) is None]

    @cached_property
    def _frontier(self) -> list[int]:
        products = ((node, scaled_product(self._segment, node)) for node in self._segment.frontier)
        return list(dict.fromkeys(node if product is None else product for node, product in products))

    @cached_property
    def _operands(self) -> list[int]:
        return list(dict.fromkeys(operand for node in self._segment.frontier for operand in self._segment.operands(node)))

    def _again(self, rule: Rule) -> Rule:
        return lambda segment, place: (edit for edit in rule(segment, place) if edit.kind in self._known)

    def _forget(self) -> None:
        """Begin to keep edits."""
        self._alike: dict[tuple[Any, ...], list[Edit]] = defaultdict(list)
        self._steps: dict[tuple[Any, ...], list[Edit]] = defaultdict(list)
        self._count = Counter[Any]()

    def _note(self, edit: Edit) -> None:
        """Keep an edit beside those that may be one mistake with it: of like operations, and of one line at each step."""
        calls = [call for node in sorted(edit.edits) if (call := self._segment.call(node)) is not None]
        self._alike[edit.kind, *sorted(call.name for call in calls)].append(edit)
        here = edit.kind, frozenset(edit.edits)
        self._count[here] += 1
        lines = (line_of(self._segment, call) for call in calls)
        self._steps[edit.kind, self._count[here], *lines].append(edit)

    def _fits(self, edit: Edit) -> bool:
        """Whether torch has JAX's values after an edit."""
        if self._budget.spent:
            return False
        self._budget.runs -= 1
        try:
            values = self._segment.run(edit.edits)
        except Exception:  # torch may refuse an edit in any way
            return False
        self._budget.spend(values)
        results = self._segment.results(values)
        if not all(isinstance(result, torch.Tensor) for result in results):
            return False
        if self._segment.goal.right(results):
            return self._segment.proves(edit.edits)
        if (gain := self._segment.gain(values)) > 0:
            self._near.append((not edit.edits.keys().isdisjoint(self._frontier), gain, -edit.size, edit))
        return False

    def _together(self) -> Iterator[Edit]:
        """The same edit at several nodes, such as for queries and for keys, if together they give JAX's values."""
        groups: list[tuple[Edit, ...]] = []
        for edits in self._alike.values():
            if 1 < len(edits) <= MOST_ALIKE:
                groups += [*combinations(edits, 2), *([tuple(edits)] if len(edits) > 2 else [])]
        groups += [tuple(edits) for edits in self._steps.values() if 2 < len(edits) <= MOST_STEPS]
        for some in groups:
            merged = {node: call for edit in some for node, call in edit.edits.items()}
            if len(merged) == sum(len(edit.edits) for edit in some):
                joint = Edit(merged, some[0].fact, some[0].kind, some[0].size + 0.1 * len(some))
                if self._fits(joint):
                    yield joint


def _is_even(value: Any) -> bool:
    """Whether all numbers of an array are the same."""
    return isinstance(value, torch.Tensor) and value.numel() > 0 and bool((value == value.ravel()[0]).all())
