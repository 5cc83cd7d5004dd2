"""Run a flat program of JAX step by step, observe the values at chosen steps, and replace them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Literal

from crosscheck._allocator import trim
from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.run.compiling import Stretch
from crosscheck._models.run.step_arithmetic import Arithmetic
from crosscheck._models.values.spilled import Spilled
from crosscheck._models.values.uses import DATA
from crosscheck._shadow.base import Noise
from crosscheck._shadow.jax.large_weights import LARGE, LargeWeight, large_weight
from crosscheck._shadow.jax.noise import QUIET
from crosscheck._shadow.jax_equations import wide_of
from crosscheck._shadow.jax_numpy import moved

TRIMMED = 2**24
"""After so many numbers were dropped, their memory goes back to the system."""
Seen = Callable[["ModelRun", Any], Any]
"""A function of the run and a value, which returns the replacement; None to keep the value."""


@dataclass(frozen=True)
class Watch:
    """What is called at a step: with the operand at a position before the step runs, and with its result afterwards."""

    operands: Mapping[int, Seen]
    result: Seen | None = None


@dataclass(frozen=True)
class Perturbation:
    """What makes the numbers of a run inexact.

    Attributes:
        noise: The noise on every operation and on every constant; None for a clean run.
        constants_only: Whether operations get no noise.
        loose: The names of weights that get noise too: torch does not hold them, and they were rounded for JAX.
        rounded: The operands of steps, by position, that are rounded to the program's dtype in a run in float64.
    """

    noise: Noise | None = None
    constants_only: bool = False
    loose: frozenset[str] = frozenset()
    rounded: Mapping[int, Collection[int]] = field(default_factory=dict)


CLEAN = Perturbation()
"""That of a run in which nothing is inexact but the arithmetic."""


@dataclass(frozen=True)
class Schedule:
    """Which steps run, and which of them together.

    Attributes:
        stretches: The stretches that are run as a whole, if all noise is wanted or none; only the values that they make
            are there.
        needed: Of the steps on data, those that run; None for all. At the others, what is watched is replaced, with None
            for the value that is not there; the run has no results.
    """

    stretches: Sequence[Stretch] = ()
    needed: Container[int] | None = None


class Widened(Mapping[int, Any]):
    """Values that a run need not compute, in float64, although some of them are held in the dtype."""

    @abstractmethod
    def as_held(self, number: int) -> Any:
        """A value as it is held."""


class _RunValues(dict[int, Any]):
    """Values by number. Those that are known are asked for at each access, as they may be made anew for it."""

    def __init__(self, known: Mapping[int, Any]) -> None:
        super().__init__()
        self._known, self._spilled = known, Spilled()
        self._dropped = 0

    def __missing__(self, number: int) -> Any:
        return self._spilled[number] if number in self._spilled else self._known[number]

    def __contains__(self, number: object) -> bool:
        return super().__contains__(number) or number in self._spilled or number in self._known

    def each(self) -> Iterator[tuple[int, Any]]:
        """The values by number, without what is known. Those that have left memory are read one at a time."""
        yield from super().items()
        yield from ((number, self[number]) for number in self._spilled if not super(_RunValues, self).__contains__(number))

    def drop(self, number: int) -> None:
        """Forget a value, unless it is known."""
        self._dropped += getattr(self.pop(number, None), "size", 0)
        if self._dropped > TRIMMED:
            self._dropped = 0
            trim()

    def spill(self, number: int) -> None:
        """Keep a large value, which no later step needs, where it takes no memory, if there are many of them."""
        value = dict.get(self, number)
        if isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.size > LARGE:
            self._spilled[number] = np.asarray(self.pop(number))

    def get(self, number: int, default: Any = None) -> Any:
        """The value, or the default."""
        if number in self:
            return self[number]
        return default

    def large_weight(self, number: int) -> LargeWeight | None:
        """A large weight that is known, as it is held; None of any other value."""
        if not isinstance(self._known, Widened) or super().__contains__(number) or number in self._spilled:
            return None
        return large_weight(self._known.as_held(number)) if number in self._known else None


class ModelRun:
    """One run, in float64 or in the dtype of the model.

    Attributes:
        values: Every value, by number.
    """

    def __init__(
        self,
        flat: JaxProgramFlat,
        *,
        wide: bool,
        watched: Mapping[int, Watch] | None = None,
        perturbation: Perturbation = CLEAN,
        keep: bool | Container[int] = True,
        known: Mapping[int, Any] = MappingProxyType({}),
        schedule: Schedule = Schedule(),
    ) -> None:
        """A value is dropped when no later step needs it, unless it is one of ``keep``; True keeps all.

        Values that are ``known`` are not computed.
        """
        noise, stretches = perturbation.noise, schedule.stretches
        self._perturbation, self._known, self._needed = perturbation, known, schedule.needed
        self._first = {stretch.steps[0].operation.index: stretch for stretch in stretches}
        self._inside = {step.operation.index for stretch in stretches for step in stretch.steps}
        # a stretch on data may need what is computed from constants between its steps
        self._steps = sorted(flat.steps, key=lambda step: step.operation.kind == DATA) if stretches else flat.steps
        self.flat, self.wide, self._keep = flat, wide, keep
        self._watched = watched or {}
        self.values = _RunValues(known)
        self.unmended: dict[int, Any] = {}
        """What ``put`` replaced."""
        self._given_out: Set[int] = frozenset()
        """Values that are given out, as they are or by a step that passes them on."""
        self._undone = False
        self._before_step: dict[int, Any] = {}
        interpreter = flat.interpreter.seeded(noise or QUIET)
        self._arithmetic = Arithmetic(
            interpreter,
            flat.exact,
            wide=wide,
            noisy=noise is not None,
            constants_only=perturbation.constants_only,
            rounded=flat.rounded,
        )

    def __call__(self, weights: Sequence[Array], inputs: Sequence[Array], only: int | None = None) -> list[Array]:
        """The results. With ``only``, only steps whose values are at most of that kind are run."""
        with on_the_cpu(wide=self.wide or self.flat.dtype == "float64"):
            return [np.asarray(result) for result in self.traced(weights, inputs, only)]

    def traced(self, weights: Sequence[Any], inputs: Sequence[Any], only: int | None = None) -> list[Any]:
        """The same, for a function that JAX may trace; the caller has set whether float64 exists."""
        for _ in self.steps(weights, inputs, only):
            pass
        whole = only is None and self._needed is None
        return [self.values[number] for number in self.flat.results] if whole else []

    def steps(self, weights: Sequence[Any], inputs: Sequence[Any], only: int | None = None) -> Iterator[Step]:
        """Run step by step; gives each step that has run. The caller has set whether float64 exists."""
        yield from self._running(self._steps, weights, inputs, only)
        self._watched = {}  # functions that hold this run would keep all its values

    def one_by_one(self, weights: Sequence[Array], inputs: Sequence[Array]) -> Iterator[tuple[int, Array]]:
        """The position of each result, and the result, as soon as it is there: as early as possible. It is not kept.

        The caller has set whether float64 exists, so that several runs may go on together.
        """
        places = {number: place for place, number in enumerate(self.flat.results)}
        ends = [self.flat.steps[self.flat.maker[number]] for number in places]
        passed_on = [step.inputs[0] for step in ends if step.equation is None]
        self._given_out = places.keys() | {number for number in passed_on if isinstance(number, int)}
        for step in self._running(self.flat.results_first(), weights, inputs):
            for number in places.keys() & step.outputs:
                yield places[number], np.asarray(self.values[number])
                self.values.drop(number)

    def _running(
        self, steps: Sequence[Step], weights: Sequence[Any], inputs: Sequence[Any], only: int | None = None
    ) -> Iterator[Step]:
        """Run step by step; gives each step that has run."""
        flat, keeps_all = self.flat, self._keep is True
        last = flat.last_uses(steps, () if isinstance(self._keep, bool) else self._keep)
        for number, value in flat.constants.items():
            if number not in self._known:
                self.values[number] = self._arithmetic.constant(value, value)
        for number, array in zip([*flat.weights, *flat.inputs], [*weights, *inputs], strict=True):
            if number in self._known:
                continue
            dtype = flat.avals[number].dtype  # integers have the dtype in which they were traced
            value = jnp.asarray(_given(array, wide_of(dtype) if self.wide else dtype))
            disturbed = flat.origins.get(number, frozenset()) & self._perturbation.loose
            self.values[number] = self._arithmetic.doubtful(value, dtype) if disturbed else value
        for step in steps:
            if only is not None and step.operation.kind > only:
                continue
            if self._needed is not None and step.operation.kind == DATA and step.operation.index not in self._needed:
                self._before(step)
                self._undo()
                self._after(step)
            elif step.operation.index in self._first:
                self._together(self._first[step.operation.index])
            elif step.operation.index not in self._inside and not self._is_known(step):
                self._step(step)
            for number in last.get(step.operation.index, ()):
                if not keeps_all:
                    self.values.drop(number)
                elif flat.kinds[number] == DATA:
                    self.values.spill(number)
            yield step

    def _is_known(self, step: Step) -> bool:
        """Whether nothing is left to do at a step: a watched one runs, since its value is looked at."""
        return step.operation.index not in self._watched and any(number in self._known for number in step.outputs)

    def read(self, operand: Any) -> Any:
        """A value, by its number, or a constant in an equation."""
        return self._arithmetic.literal(operand) if isinstance(operand, Literal) else self.values[operand]

    def _step(self, step: Step) -> None:
        self._before(step)
        rounded = self._perturbation.rounded.get(step.operation.index, ())
        given = [
            _as_held(self.read(operand), self.flat.dtype) if place in rounded else self._operand(operand)
            for place, operand in enumerate(step.inputs)
        ]
        made = self._passed_on(step, given) or self.results(step, given)
        self._undo()
        self.values.update(zip(step.outputs, made, strict=True))
        self._after(step)

    def _passed_on(self, step: Step, given: list[Any]) -> list[Array] | None:
        """The result of a transpose that is given out, as a view: a copy of the gradient by a large weight takes memory."""
        is_transpose = step.operation.name == "transpose" and step.equation is not None
        if not is_transpose or step.outputs[0] not in self._given_out or not isinstance(given[0], jax.Array):
            return None
        return [moved(step.equation, [np.asarray(given[0])])]

    def _operand(self, operand: Any) -> Any:
        """An operand of a step: a large weight as it is held."""
        weight = self.values.large_weight(operand) if isinstance(operand, int) else None
        return self.read(operand) if weight is None else weight

    def _together(self, stretch: Stretch) -> None:
        self._before(stretch.steps[0])
        self.values.update(stretch.run(self._operand, self._perturbation.noise))
        self._after(stretch.steps[-1])

    def _before(self, step: Step) -> None:
        watch = self._watched.get(step.operation.index)
        for place, seen in watch.operands.items() if watch is not None else ():
            self._replace(step.inputs[place], seen(self, self.values.get(step.inputs[place])))
            self._undone = False

    def _after(self, step: Step) -> None:
        watch = self._watched.get(step.operation.index)
        if watch is not None and watch.result is not None:
            self._replace(step.outputs[0], watch.result(self, self.values.get(step.outputs[0])))

    def results(self, step: Step, given: list[Any]) -> Sequence[Any]:
        """The results of a step for its operands."""
        return self._arithmetic.results(step, given)

    def _undo(self) -> None:
        """Undo what was replaced for one step."""
        self.values.update(self._before_step)
        self._before_step = {}

    def again(self, number: int, value: Any, last: int) -> dict[int, Any]:
        """The values that would change if the value ``number`` were ``value``; steps after ``last`` are not run."""
        here: dict[int, Any] = {number: jnp.asarray(value, self.values[number].dtype)}
        for step in self.flat.steps[self.flat.maker.get(number, -1) + 1 : last + 1]:
            if any(isinstance(operand, int) and operand in here for operand in step.inputs):
                given = [
                    here[operand] if isinstance(operand, int) and operand in here else self.read(operand)
                    for operand in step.inputs
                ]
                here.update(zip(step.outputs, self.results(step, given), strict=True))
        return here

    def for_this_step(self) -> None:
        """Undo the next replacement of an operand after its step: other steps need the value as it is."""
        self._undone = True

    def put(self, number: int, value: Any) -> None:
        """Replace a value for the steps that have not run yet, if any of them needs it."""
        if number in self.values:
            self.unmended[number] = self.values[number]
            self._replace(number, value)

    def _replace(self, number: int, value: Any) -> None:
        """Replace a value, and also the values of which it is a reshape or a transpose."""
        if value is None:
            return
        traced, own = self.flat.avals[number].dtype, self.values.get(number)
        self._set(number, _given(value, (wide_of(traced) if self.wide else traced) if own is None else own.dtype))
        while number in self.flat.maker:
            step = self.flat.steps[self.flat.maker[number]]
            if not step.inputs or not isinstance(step.inputs[0], int) or step.equation is None:
                return
            source = step.inputs[0]
            before = _moved_back(step, self.values[number], self.flat.avals[source])
            if before is None:
                return
            self._set(source, before)
            number = source

    def _set(self, number: int, value: Any) -> None:
        if self._undone and number in self.values:
            self._before_step.setdefault(number, self.values[number])
        self.values[number] = value


@contextmanager
def on_the_cpu(*, wide: bool) -> Iterator[None]:
    """JAX computes on the CPU, with float64 or without."""
    with jax.enable_x64(wide), jax.default_device(jax.devices("cpu")[0]):
        yield


def _given(value: Any, dtype: Any) -> Any:
    """A value in a dtype. An array of numpy stays one: JAX takes it as an operand, in less time than ``jnp.asarray``."""
    return value.astype(dtype, copy=False) if isinstance(value, np.ndarray) else jnp.asarray(value, dtype)


def _as_held(value: Any, dtype: str) -> Any:
    """A number, or numbers along one axis, as a dtype holds them; others as they are."""
    array = np.asarray(value)
    axes = [axis for axis in range(array.ndim) if (array != array.take([0], axis)).any()]
    return jnp.asarray(array.astype(dtype).astype(array.dtype)) if len(axes) <= 1 else value


def _moved_back(step: Step, value: Any, aval: Any) -> Any:
    """The operand of a step that only moves all elements, from its result; None for another operation."""
    name, params = step.operation.name, step.equation.params
    if (
        name in ("reshape", "squeeze", "expand_dims", "copy", "copy_p") and params.get("dimensions") is None
    ) or name == "squeeze":
        return value.reshape(aval.shape)
    if name == "transpose":
        return lax.transpose(value, np.argsort(params["permutation"]))
    if name == "broadcast_in_dim" and int(np.prod(value.shape)) == int(np.prod(aval.shape)):
        return value.reshape(aval.shape)
    return None
