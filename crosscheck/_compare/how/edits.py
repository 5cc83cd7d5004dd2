"""How two functions differ, by edits of PyTorch's function that give JAX's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from crosscheck._compare.how.trials import JAX, TORCH, Trials, near, sizes_of
from crosscheck._explain.facts import Edit, Fact
from crosscheck._explain.search import Budget, Explaining, MistakeSearch
from crosscheck._explain.segment import Goal, GraphSegment, JaxSide
from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._graph.graph import Edits, Graph
from crosscheck._graph.torch_graph import Recording
from crosscheck._shadow.jax.lift import JaxLifted
from crosscheck._shadow.jax.watching import watched
from crosscheck._shadow.torch.lift import TorchLifted

MOST_RUNS = 6_000
"""At most so many edits are tried."""
MOST_NUMBERS = 2**29
"""They compute at most so many numbers together."""
MOST_NODES = 300
"""A longer function is not searched."""
CLEARLY = 64.0
"""The two functions must differ by so many times more."""
LARGEST_NUMBER = 1e7
"""Larger numbers in JAX's program are fills of a mask, or bits."""


class EditsOfFunction:
    """Looks for what JAX does otherwise: edits of PyTorch's function that give JAX's results at all inputs tried."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials

    def of_functions(self) -> tuple[Fact, ...]:
        """The setting of a loss, such as its reduction, that JAX has otherwise; empty if none gives JAX's results."""
        return _facts(self._search.of_functions()) if self._search else ()

    def early(self) -> tuple[Fact, ...]:
        """The facts of edits that take little time; empty if none gives JAX's results."""
        return _facts(self._search.early()) if self._search else ()

    def late(self) -> tuple[Fact, ...]:
        """The same of the other edits, after those."""
        return _facts(self._search.late()) if self._search else ()

    @cached_property
    def _search(self) -> MistakeSearch | None:
        trials, jax = self._trials, self._trials.lifted[JAX]
        target = trials.result(JAX)
        if target is None or not np.isfinite(target).any() or not isinstance(jax, JaxLifted):
            return None
        try:
            function = Function(trials)
            values, numbers = watched(jax, trials.given)
            values += [*map(np.asarray, jax.constant_values), *trials.given, target]
            side = JaxSide(
                values,
                [number for number in numbers if abs(number) < LARGEST_NUMBER],
                [np.asarray(constant) for constant in jax.constant_values if np.size(constant) > 1],
            )
            goal = Goal(
                lambda results: self._gives(0, np.asarray(results[0].detach().numpy(), np.float64)),
                lambda edits: self._proves(partial(function.run, edits)),
            )
            segment = function.segment(trials.given, {}, jax=side, goal=goal)
        except Exception:  # torch may refuse to run it in float64 in any way
            return None
        if len(segment.nodes) > MOST_NODES:
            return None
        return Explaining(Budget(MOST_RUNS, MOST_NUMBERS)).search(segment)

    def _proves(self, run: Callable[[Sequence[Array]], Array]) -> bool:
        """Whether PyTorch's changed function gives JAX's results at the given and at new inputs that both accept."""
        outcomes = [self._gives(trial, run(arguments)) for trial, arguments in enumerate(self._trials.arguments)]
        return False not in outcomes and outcomes.count(True) > 1

    def _gives(self, trial: int, got: Array) -> bool | None:
        """Whether a result is JAX's, but for constants that it rounds; None if JAX refuses these inputs."""
        target, own = self._trials.result(JAX, trial), self._trials.result(TORCH, trial)
        if target is None or own is None:
            return None
        with np.errstate(all="ignore"):
            if not near(got, target):
                return False
            sizes = sizes_of(target)
            if not sizes.any():  # a result of zeros shows nothing
                return None
            return bool(np.nanmax(np.abs(got - target) / sizes) <= np.nanmax(np.abs(own - target) / sizes) / CLEARLY)


def _facts(edits: Sequence[Edit]) -> tuple[Fact, ...]:
    return tuple(dict.fromkeys(edit.fact for edit in edits))


class Function:
    """PyTorch's function as a graph."""

    def __init__(self, trials: Trials) -> None:
        request, inputs = trials.request, trials.inputs
        module = request.torch if isinstance(request.torch, torch.nn.Module) else None
        named = [*module.named_buffers(), *module.named_parameters()] if module is not None else []
        self._weights: Mapping[str, Any] = {name: tensor.detach() for name, tensor in named if tensor.is_floating_point()}
        self._shadow: Callable[[Any], Any] = lambda tensor: tensor.double() if tensor.is_floating_point() else tensor
        weights = {name: tensor for name, tensor in named if tensor.is_floating_point()}
        self._recording = Recording(weights, wide=lambda tensor: self._shadow(tensor))  # noqa: PLW0108 - another one from the first operation on
        program = TorchProgram(request.torch, inputs, request.device).flat(0)

        def recorded(*tensors: Any) -> list[Any]:
            self._recording.given(tensors, inputs.names)
            with self._recording:
                results = list(program(*tensors))
            self._recording.ended(results)
            return results

        lifted = TorchLifted(recorded, inputs.fmt.name)
        lifted.observer = self._observed
        with torch.no_grad():
            lifted.run(trials.given)
        target = self._recording.outputs[trials.index]
        if target is None:
            raise RuntimeError("the result is none of the graph's")
        self._target = target

    def _observed(self, *given: Any) -> None:
        *_, self._shadow, _ = given  # gives a tensor of the run in float64

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self._recording.graph

    def segment(self, arguments: Sequence[Array], edits: Edits, **more: Any) -> GraphSegment:
        """The whole function at some arguments, with edits."""
        leaves = zip(self._recording.inputs, arguments, strict=False)
        known = {number: torch.from_numpy(np.array(argument)) for number, argument in leaves}
        return GraphSegment(self.graph, known, [self._target], weights=self._weight, edits=edits, **more)

    def _weight(self, name: str) -> Any:
        return self._weights[name].double()

    def run(self, edits: Edits, arguments: Sequence[Array]) -> Array:
        """The result at some arguments, with edits."""
        segment = self.segment(arguments, edits)
        return np.asarray(segment.values[self._target].numpy(), np.float64)
