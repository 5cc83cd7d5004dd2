"""Name a fault by edits of PyTorch's program between the landmark before and the one that shows the fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import torch
from jax.extend.core import Literal

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.names import behind
from crosscheck._explain.search import Explaining, MistakeSearch
from crosscheck._explain.segment import Goal, GraphSegment, JaxSide
from crosscheck._explain.tables import MASK, OPERATIONS
from crosscheck._frameworks.programs import Array
from crosscheck._graph.graph import Edits
from crosscheck._models.cut.landmarks import Landmark
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.edit_proofs import Proof, there
from crosscheck._models.explain.reruns import steps_before
from crosscheck._models.judge.forced import LocatedFault
from crosscheck._models.judge.forcing import FLOOR
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.values.distances import same_numbers
from crosscheck._models.values.uses import CONSTANT, DATA

FEWEST_ALIKE = 3
"""Of fewer faults in one line, each is explained by itself."""
MOST_NODES = 400
"""A longer segment is not searched."""
MOST_NUMBERS = 2**24
"""Nor is one of whose results there are more numbers."""
SHAPES = frozenset(["reshape", "transpose", "squeeze", "expand_dims"])
"""Operations of JAX that only give a value another shape."""
LARGEST_TABLE = 2**14
"""Tables of more numbers are not looked at."""
LARGEST_NUMBER = 1e7
"""Larger numbers in JAX's program are fills of a mask, or bits."""

Kind = tuple[str, ...]


class EditSearch:
    """Looks for the edits that explain a fault, for one fault after the other."""

    def __init__(self, results: ModelResults) -> None:
        self._results = results
        self._explaining = Explaining()
        self._searches: dict[int, MistakeSearch] = {}
        self._done: dict[int, MistakeSearch] = {}
        self._chosen: dict[int, Sequence[Edit]] = {}
        self.of_mask = False
        """Whether the last edits are of a mask, or of another table that PyTorch computes without the data."""
        self.corrected: set[int] = set()
        """The landmarks at which PyTorch has JAX's numbers after the edits that were found."""

    def explanation(self, fault: LocatedFault, *, late: bool = False) -> tuple[Fact, ...]:
        """What JAX does otherwise; nothing if no edit gives JAX's numbers.

        ``late``: try those that take longer, after the others.
        """
        if late:
            search = self._searches.pop(fault.landmark, None)
            edits = search.late() if search else []
        else:
            search = self._search(fault)
            edits = search.early() if search else []
            if search is not None:
                self._searches[fault.landmark] = self._done[fault.landmark] = search
        self.corrected.update({fault.landmark} if edits else ())
        if edits:
            self._chosen[fault.landmark] = edits
        self.of_mask = any(
            edit.fact.what == MASK or (search is not None and search.segment.data.isdisjoint(edit.edits)) for edit in edits
        )
        return self._facts(fault, edits)

    def _facts(self, fault: LocatedFault, edits: Sequence[Edit]) -> tuple[Fact, ...]:
        """The facts of edits, each once; the last one that says something new has what they are near."""
        facts = list(dict.fromkeys(edit.fact for edit in edits))
        if facts:
            last = max({fact.roles: k for k, fact in reversed(list(enumerate(facts)))}.values())
            facts[last] = replace(facts[last], near=self._between(fault, edits))
        return tuple(facts)

    def facts(self, fault: LocatedFault) -> tuple[Fact, ...]:
        """The facts that explain a fault; none if no edit does."""
        return self._facts(fault, self._chosen.get(fault.landmark, ()))

    def forget(self, fault: LocatedFault) -> None:
        """Drop the edits of a fault, which something else explains better."""
        self._chosen.pop(fault.landmark, None)
        self.corrected.discard(fault.landmark)

    def alike(self, faults: Sequence[LocatedFault]) -> dict[int, tuple[Fact, ...]]:
        """New facts for faults of one line of the program, such as of the steps of a recurrence, by landmark.

        The first step, which begins with zeros, may fit what no other step does: what explains most of them is said of all,
        and an edit that fits one step alone is not said.
        """
        facts: dict[int, tuple[Fact, ...]] = {}
        for group in self._by_line(faults):
            named = {fault.landmark: self._kinds(fault) for fault in group if fault.landmark in self._chosen}
            kinds = self._of_most(group, list(named.values()))
            for fault in (
                fault for fault in group if fault.landmark in named and not (kinds and kinds <= named[fault.landmark])
            ):
                search = self._done.get(fault.landmark)
                edits = search.of_kind(*next(iter(kinds))) if search and len(kinds) == 1 else []
                alone = not any(named[fault.landmark] <= other for k, other in named.items() if k != fault.landmark)
                if edits or (alone and len(group) >= FEWEST_ALIKE):
                    facts[fault.landmark] = self._facts(fault, edits)
                    self._chosen[fault.landmark] = edits
        return facts

    def _by_line(self, faults: Sequence[LocatedFault]) -> list[list[LocatedFault]]:
        """The faults of each line of the program that has several."""
        lines: dict[tuple[str, str], list[LocatedFault]] = defaultdict(list)
        for fault in faults:
            number = self._reader(fault) if self._is_of_input(fault) else self._nodes.get(fault.operation)
            call = self._results.torch.graph.graph.call(number) if number is not None else None
            if call is not None and call.source:
                lines[call.path, call.source].append(fault)
        return [group for group in lines.values() if len(group) > 1]

    def _of_most(self, group: Sequence[LocatedFault], named: Sequence[frozenset[Kind]]) -> frozenset[Kind]:
        """The kinds of edits that explain most faults of a group; empty if none explains two."""
        shared = {kinds: sum(kinds <= other for other in named) for kinds in named}
        kinds, most = max(shared.items(), key=lambda pair: pair[1], default=(frozenset[Kind](), 0))
        if most > 1:
            return kinds
        # something that is done to all steps, such as another order of them
        searches = [self._done[fault.landmark] for fault in group if fault.landmark in self._done]
        if len(searches) < len(group):
            return frozenset()
        common = frozenset.intersection(*(search.of_values() for search in searches))
        return frozenset([min(common)]) if common else frozenset()

    def moved(self, faults: Sequence[LocatedFault]) -> dict[int, tuple[Fact, ...]]:
        """New facts for an operation that one fault has too much and a later one lacks, by landmark."""
        single = {fault.landmark: edits[0] for fault in faults if len(edits := self._chosen.get(fault.landmark, ())) == 1}
        facts: dict[int, tuple[Fact, ...]] = {}
        for first, second in combinations(sorted(single), 2):
            extra, missing = single[first], single[second]
            same = extra.kind[0] == "extra" and OPERATIONS.get(extra.kind[1]) == missing.kind[-1]
            if missing.kind[0] == "missing" and len(missing.kind) == 2 and same and first not in facts:
                landmark = self._results.landmarks[first]
                layer = landmark.name.rpartition(".")[0] or landmark.name
                for at, edit in ((first, extra), (second, missing)):
                    facts[at] = (Fact("moved", extra.kind[1], "", "after it", f"before {layer}", source=edit.fact.source),)
        return facts

    def _kinds(self, fault: LocatedFault) -> frozenset[Kind]:
        return frozenset(edit.kind for edit in self._chosen[fault.landmark])

    def _between(self, fault: LocatedFault, edits: Sequence[Edit]) -> str:
        """The layers behind which the mistake is, where the module that runs the operation has others inside."""
        search = self._done.get(fault.landmark)
        operation = self._results.torch.operations[fault.operation] if fault.operation >= 0 else None
        module = self._results.torch.modules.get(operation.path) if operation is not None else None
        if search is None or module is None or not list(module.children()):
            return ""
        segment = search.segment
        first = min(node for edit in edits for node in edit.edits)
        if first not in segment.data:  # a table is where it meets the data
            first = min(segment.behind.get(first, frozenset()) & segment.data, default=first)
        layers = behind(segment, first)
        if not layers:
            owner = self._results.landmarks[fault.landmark].name.rpartition(".")[0]
            return f"before {owner}" if owner in self._results.torch.modules and owner else ""
        return f"behind {' and '.join(layers[:2])}"

    def _search(self, fault: LocatedFault) -> MistakeSearch | None:
        try:
            segment = self._segment(fault)
        except Exception:  # torch may refuse to run it in float64 in any way
            return None
        if segment is None or segment.size > MOST_NUMBERS or segment.goal.right(segment.results({})):
            return None
        return self._explaining.search(segment)

    def _segment(self, fault: LocatedFault) -> GraphSegment | None:
        results, torch_ = self._results, self._results.torch
        landmark = results.landmarks[fault.landmark]
        graph, operation = torch_.graph.graph, landmark.operation
        run = results.located.run
        known_there = operation in self._nodes and operation in torch_.values
        if run is None or not (known_there or self._is_of_input(fault)):
            return None
        marks = results.landmarks[: fault.landmark]
        cut = {mark.operation for k, mark in enumerate(marks) if k not in results.located.left} - {operation, None}
        known = dict(self._inputs)
        known |= {self._nodes[start]: self._value(start) for start in cut if start in self._nodes and start in torch_.values}
        target = self._target(fault)
        if target is None or len(graph.ancestors([target], known)) > MOST_NODES:
            return None
        fits = there(results, fault.landmark, self._own(landmark, target))
        if fits is None:
            return None
        jax_values = np.asarray(results.located.values[fault.landmark], np.float64)

        def values(before: Mapping[int, Any], edits: Edits) -> Any:
            return GraphSegment(graph, before, [target], weights=self._weight, edits=edits).values[target]

        steps = steps_before(results, fault.landmark)
        return GraphSegment(
            graph,
            known,
            [target],
            weights=self._weight,
            jax=JaxSide(
                list(self._jax_values(landmark, fault, steps)),
                _numbers(results, steps),
                list(_tables(results, steps)),
                self._alone,
                self._doubtful,
            ),
            goal=Goal(
                lambda tensors: fits.fits(tensors[0], jax_values),
                Proof(results, fault.landmark, fits, values, known, self._nodes),
            ),
        )

    @cached_property
    def _doubtful(self) -> set[int]:
        """The nodes at whose landmarks JAX has other numbers."""
        operations = (self._results.landmarks[fault.landmark].operation for fault in self._results.located.faults)
        return {self._nodes[operation] for operation in operations if operation in self._nodes}

    @cached_property
    def _alone(self) -> dict[str, Array]:
        """JAX's weights for which PyTorch has none."""
        partnered = {match.jax for match in self._results.weights.matches if match.torch is not None}
        named = zip(self._results.model.names, self._results.model.weights, strict=True)
        return {name: weight for name, weight in named if name not in partnered}

    @cached_property
    def _inputs(self) -> dict[int, Any]:
        """The node of each input, with its value."""
        inputs = zip(self._results.torch.graph.inputs, self._results.inputs.leaves, strict=True)
        return {number: _tensor(leaf) for number, leaf in inputs}

    @property
    def _nodes(self) -> dict[int, int]:
        """The node of each operation on record."""
        return self._results.torch.nodes

    def _value(self, operation: int) -> Any:
        return _tensor(self._results.torch.values[operation].wide)

    def _weight(self, name: str) -> Any:
        weights = self._results.torch.weights
        return _tensor(weights[self._results.torch.tied.get(name, name)])

    def _is_of_input(self, fault: LocatedFault) -> bool:
        """Whether the data at a landmark is a view of an input."""
        landmark = self._results.landmarks[fault.landmark]
        return landmark.operation is None and landmark.place >= 0

    def _reader(self, fault: LocatedFault) -> int | None:
        """The node that reads a view of an input, with the numbers that are expected at a landmark."""
        landmark = self._results.landmarks[fault.landmark]
        wide = landmark.expected.wide
        readers = (
            self._nodes.get(use.operation.index)
            for use in self._results.torch.uses
            if use.origin is None and use.names[0] == landmark.name and use.given is not None
            if use.given.wide.size == wide.size and same_numbers(use.given.wide, wide, FLOOR)
        )
        return next(filter(None, readers), None)

    def _target(self, fault: LocatedFault) -> int | None:
        """The node whose value is at a landmark: that of its operation, or a view of that, which an operation reads."""
        landmark, graph = self._results.landmarks[fault.landmark], self._results.torch.graph.graph
        if self._is_of_input(fault):
            reader = self._reader(fault)
            inputs = set(self._results.torch.graph.inputs)
            operands = graph.operands(reader) if reader is not None else ()
            return next((operand for operand in operands if inputs & graph.ancestors([operand])), None)
        made = self._nodes[landmark.operation or 0]
        if landmark.place < 0:
            return made
        readers = [
            self._nodes[use.operation.index]
            for use in self._results.torch.uses
            if use.origin == landmark.operation and use.names[0] == landmark.name and use.operation.index in self._nodes
        ]
        for operand in (operand for reader in readers for operand in graph.operands(reader)):
            node = operand
            while node != made and (call := graph.call(node)) is not None and call.operation is None:
                node = next(iter(graph.operands(node)), made)
            if node == made:
                return operand
        return made

    def _own(self, landmark: Landmark, target: int) -> Array:
        """torch's value of the target, from what is at the landmark."""
        before = self._inputs
        if landmark.operation is not None:
            before = {self._nodes[landmark.operation]: self._value(landmark.operation)}
        alone = GraphSegment(self._results.torch.graph.graph, before, [target], weights=self._weight)
        return np.asarray(alone.values[target], np.float64)

    def _jax_values(self, landmark: Landmark, fault: LocatedFault, steps: Sequence[Any]) -> Iterator[Array]:
        """JAX's values there, before any was replaced."""
        run, flat = self._results.located.run, self._results.flat
        assert run is not None
        numbers = {number for step in steps for number in (*step.outputs, *step.inputs) if isinstance(number, int)}
        numbers -= {*forms(flat, landmark)}  # the run has torch's value in their place
        for number in sorted(numbers):
            value = run.unmended.get(number, run.values.get(number))
            if value is not None and (flat.kinds[number] == DATA or np.size(value) > 1) and _is_plain(flat, number):
                yield np.asarray(value)
        yield self._results.located.values[fault.landmark]


def forms(flat: JaxProgramFlat, landmark: Landmark) -> Iterator[int]:
    """The numbers of JAX's value at a landmark, and of what was only given another shape there, the last one first."""
    step = flat.steps[landmark.step]
    own: Any = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    while isinstance(own, int):
        yield own
        made = flat.steps[flat.maker[own]] if own in flat.maker else None
        own = made.inputs[0] if made is not None and made.operation.name in SHAPES else None


def _tensor(array: Array) -> Any:
    array = np.asarray(array)
    floats = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    return torch.from_numpy(np.array(array, np.float64 if floats else None))


def casts(results: ModelResults, at: int) -> tuple[Fact, ...]:
    """To which dtypes of fewer digits JAX casts values before a landmark; empty if to none."""
    own, names = FORMATS[results.flat.dtype].precision, dict[str, str]()
    for step in steps_before(results, at):
        dtype = str(results.flat.avals[step.outputs[0]].dtype)
        if step.operation.name == "convert_element_type" and dtype in FORMATS and FORMATS[dtype].precision < own:
            names[dtype] = step.operation.source
    said = " and ".join(f"{dtype} in {source}" if source else dtype for dtype, source in names.items())
    return (Fact("cast", said, "JAX"),) if said else ()


def _tables(results: ModelResults, steps: Sequence[Any]) -> Iterator[Array]:
    """The arrays of floats that JAX computes from constants alone, or holds, each once."""
    run, flat, seen = results.kept, results.flat, set[bytes]()
    for number in dict.fromkeys(
        number for step in steps for number in (*step.inputs, *step.outputs) if isinstance(number, int)
    ):
        held = flat.avals[number]
        if flat.kinds[number] != CONSTANT or not held.dtype.name.startswith("float") or not 1 < held.size <= LARGEST_TABLE:
            continue
        value = np.asarray(run.read(number))
        if (key := value.tobytes()) not in seen:
            seen.add(key)
            yield value


def _is_plain(flat: JaxProgramFlat, number: int) -> bool:
    """Whether NumPy holds a value of JAX, as it holds no key of random numbers."""
    return isinstance(flat.avals[number].dtype, np.dtype)


def _numbers(results: ModelResults, steps: Sequence[Any]) -> Iterator[float]:
    """The numbers in JAX's program there."""
    run, flat = results.located.run, results.flat
    assert run is not None
    for given in (operand for step in steps for operand in step.inputs):
        if isinstance(given, Literal):
            value = flat.exact.get(id(given), given.val)
        elif isinstance(given, int) and flat.kinds[given] != DATA and flat.avals[given].size == 1 and _is_plain(flat, given):
            value = run.values.get(given)
        else:
            continue
        if value is not None and np.size(value) == 1 and np.asarray(value).dtype.kind in "fiu":
            number = float(np.asarray(value).item())
            if abs(number) < LARGEST_NUMBER:
                yield number
