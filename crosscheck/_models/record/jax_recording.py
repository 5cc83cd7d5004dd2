"""A JAX model as one flat list of steps, for any library: calls are inlined, scans are unrolled."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property, lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_order import drop_unused, is_use, uses_first
from crosscheck._models.values.uses import CONSTANT, DATA, WEIGHT, Operation
from crosscheck._records.errors import name_of
from crosscheck._shadow.base import tracing
from crosscheck._shadow.devices.sharing import Sharing
from crosscheck._shadow.devices.whole import whole
from crosscheck._shadow.jax.lift import Interpreter
from crosscheck._shadow.jax.traced import exact_constants
from crosscheck._shadow.jax_equations import (
    Constants,
    closed_program,
    inner_program,
    is_exp_of_minus_square,
    is_float,
    scanned,
)

PACKAGE = Path(__file__).parents[2]
MOST_UNROLLED = 1024
"""A scan with more steps is run as one operation, without landmarks inside."""
NOT_INLINED = frozenset(["cond", "custom_linear_solve", "reduce", "reduce_window", "scan", "while"])
_MOVES_ALL = frozenset(["reshape", "squeeze", "transpose", "broadcast_in_dim", "expand_dims"])
"""Operations whose results have all numbers of their operands."""


class Rounded(IntEnum):
    """What one side may hold rounded to the dtype, as in a buffer, where the other one computes it."""

    NOTHING = 0
    SCALARS = 1
    """A scalar of the other side's source."""
    TABLES = 2
    """Numbers that JAX computes, even from fractions that its dtype holds: torch may have the logarithms of these."""


@dataclass(frozen=True)
class Step:
    """One equation: of the jaxpr, or a function that replaces one in unrolling."""

    operation: Operation
    equation: Any
    function: Callable[..., Any] | None
    inputs: tuple[Any, ...]
    """Numbers of values, or literals."""
    outputs: tuple[int, ...]


@dataclass
class JaxProgramFlat:
    """A traced model.

    Attributes:
        steps: Its steps, in order, without those on which nothing depends.
        constants: The constants in it, by number.
        given: The numbers of its weights and of its inputs.
        names: The names of the weights.
        results: The numbers of its results, each made by a step of its own.
        kinds: What each value depends on, by number.
        origins: The weights that a value is computed from, by number.
        maker: The step that makes a value, by number.
        exact: The constants before they were rounded.
        avals: Shape and dtype of each value.
        shared: The program before it was made one on whole arrays; None if no devices share it.
        devices: The numbers of devices that exchange values.
        merged: Whether one step takes the place of several that compute the same.
        plain: Gives the program in which none does.
        rounded: What one side may hold rounded to the dtype, where the other one computes it.
    """

    dtype: str
    names: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    weights: list[int] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    kinds: dict[int, int] = field(default_factory=dict)
    origins: dict[int, frozenset[str]] = field(default_factory=dict)
    maker: dict[int, int] = field(default_factory=dict)
    exact: Constants = field(default_factory=dict)
    avals: dict[int, Any] = field(default_factory=dict)
    shared: ClosedJaxpr | None = None
    devices: frozenset[int] = frozenset()
    rounded: Rounded = Rounded.SCALARS
    merged: bool = False
    plain: Callable[[], JaxProgramFlat] | None = None

    @cached_property
    def interpreter(self) -> Interpreter:
        """Runs its equations in float64."""
        return Interpreter(self.dtype, self.exact, np.uint64(0), np.float64(0), np.float64(0))

    def ancestors(self, values: Iterable[Any], settled: Container[int] = ()) -> set[int]:
        """These values and the values of data that they are computed from, back to the steps that are settled."""
        ancestors: set[int] = set()
        left = list(values)
        while left:
            number = left.pop()
            if not isinstance(number, int) or number in ancestors or self.kinds[number] != DATA:
                continue
            ancestors.add(number)
            maker = self.maker.get(number)
            if maker is not None and maker not in settled:
                left += self.steps[maker].inputs
        return ancestors

    def moved_from(self, number: int) -> list[int]:
        """A value, and those that it is moved from, the nearest first."""
        numbers = [number]
        while numbers[-1] in self.maker:
            step = self.steps[self.maker[numbers[-1]]]
            if step.operation.name not in _MOVES_ALL or not step.inputs or not isinstance(step.inputs[0], int):
                break
            numbers.append(step.inputs[0])
        return numbers

    def results_first(self) -> list[Step]:
        """The steps in another order: each result follows the step that computes it."""
        behind: dict[int, list[Step]] = {}
        ordered: list[Step] = []
        for step in (self.steps[self.maker[number]] for number in self.results):
            made = isinstance(step.inputs[0], int) and step.inputs[0] in self.maker
            (behind.setdefault(step.inputs[0], []) if made else ordered).append(step)
        ends = set(self.results)
        for step in self.steps:
            if ends.isdisjoint(step.outputs):
                ordered += [step, *(output for number in step.outputs for output in behind.get(number, ()))]
        return ordered

    def last_uses(self, steps: Sequence[Step], kept: Container[int] = ()) -> dict[int, list[int]]:
        """For each of the steps, run in this order, the values that no later one needs, without results and what is kept."""
        last = {number: step.operation.index for step in steps for number in step.inputs if isinstance(number, int)}
        values: dict[int, list[int]] = {}
        for number, step in last.items():
            if number not in self.results and number not in kept:
                values.setdefault(step, []).append(number)
        return values


def trace(
    function: Callable[..., Any], weights: Sequence[Array], names: Sequence[str], inputs: Sequence[Array], dtype: str
) -> JaxProgramFlat:
    """The steps of a function of (weights, inputs), both flat, that returns a flat list."""

    def program(*leaves: Any) -> list[Any]:
        return function(list(leaves[: len(weights)]), list(leaves[len(weights) :]))

    with jax.enable_x64(dtype == "float64"), tracing():
        shapes = [
            jax.ShapeDtypeStruct(
                leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype), weak_type=getattr(leaf, "weak_type", False)
            )
            for leaf in [*weights, *inputs]
        ]
        shared = jax.make_jaxpr(program)(*shapes)
        sharing = Sharing()
        closed = whole(shared, sharing)
    exact = exact_constants(program, shapes, closed) if dtype != "float64" else {}
    flat = flattened(closed, names, dtype, exact)
    flat.shared = None if closed is shared else shared
    flat.devices = frozenset(site.devices for site in sharing.sites.values())
    flat.plain = lambda: replace(
        flattened(closed, names, dtype, exact, merge=False), shared=flat.shared, devices=flat.devices
    )
    return flat


def as_often(flat: JaxProgramFlat, count: int) -> JaxProgramFlat:
    """The program in which products with weights are as often as in torch, ``count`` times, if equal ones are not merged.

    JAX may also compute the same twice by mistake, where torch computes two different things.
    """
    if flat.plain is None or not flat.merged:
        return flat
    plain = flat.plain()
    return plain if abs(_products(plain) - count) <= abs(_products(flat) - count) else flat


def _products(flat: JaxProgramFlat) -> int:
    names = ("dot_general", "conv_general_dilated")
    return sum(step.operation.name in names and is_use(flat, step) for step in flat.steps)


def flattened(
    closed: ClosedJaxpr, names: Sequence[str], dtype: str, exact: Constants, *, merge: bool = True
) -> JaxProgramFlat:
    """The steps of a program whose first arguments are weights; ``merge``: one step for several that compute the same."""
    return _Flattening(dtype, tuple(names), exact, merge=merge).run(closed)


class _Flattening:
    def __init__(self, dtype: str, names: tuple[str, ...], exact: Constants, *, merge: bool) -> None:
        self._merge = merge
        self.flat = JaxProgramFlat(dtype, names, exact=exact)
        self._numbers = count()
        self._computed: dict[Hashable, tuple[int, ...]] = {}

    def run(self, closed: ClosedJaxpr) -> JaxProgramFlat:
        flat = self.flat
        given = [self._new(DATA, var.aval) for var in closed.jaxpr.invars]
        flat.weights, flat.inputs = given[: len(flat.names)], given[len(flat.names) :]
        for number, name in zip(flat.weights, flat.names, strict=True):
            flat.kinds[number] = WEIGHT if is_float(flat.avals[number]) else CONSTANT
            flat.origins[number] = frozenset([name])
        # Each result gets a step of its own, even an input that is returned unchanged, so that all are compared alike.
        flat.results = [
            self._step("output", None, _itself, [value], [atom.aval], "")[0]
            for value, atom in zip(self._inline(closed, given, ""), closed.jaxpr.outvars, strict=True)
        ]
        drop_unused(flat)
        uses_first(flat)
        return flat

    def _new(self, kind: int, aval: Any) -> int:
        number = next(self._numbers)
        self.flat.kinds[number], self.flat.avals[number] = kind, aval
        return number

    def _constant(self, value: Any) -> int:
        number = self._new(CONSTANT, value)
        self.flat.constants[number] = value
        return number

    def _inline(self, closed: ClosedJaxpr, arguments: Sequence[Any], stack: str) -> list[Any]:
        jaxpr: Jaxpr = closed.jaxpr
        values: dict[Any, Any] = dict(zip(jaxpr.constvars, map(self._constant, closed.consts), strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))

        def read(atom: Any) -> Any:
            return atom if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            given = [read(atom) for atom in equation.invars]
            path = "/".join(filter(None, (stack, str(equation.source_info.name_stack))))
            values.update(zip(equation.outvars, self._equation(equation, given, path), strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, given: list[Any], path: str) -> Sequence[Any]:
        name = equation.primitive.name
        if name not in NOT_INLINED and not is_exp_of_minus_square(equation) and (inside := inner_program(equation)):
            return self._inline(inside, given, path)
        if name == "scan" and equation.params["length"] <= MOST_UNROLLED and self._of_weights(equation, given):
            return self._unrolled(equation, given, path)
        return self._step(name, equation, None, given, [atom.aval for atom in equation.outvars], path)

    def _of_weights(self, equation: Any, given: list[Any]) -> bool:
        """Whether the operands of a scan include weights."""
        return any(isinstance(operand, int) and self.flat.kinds[operand] == WEIGHT for operand in given)

    def _unrolled(self, equation: Any, given: list[Any], path: str) -> list[Any]:
        params = equation.params
        consts, carry, xs = scanned(params, given)
        inside = closed_program(params["jaxpr"])
        stacked: list[list[Any]] = []
        order = range(params["length"])
        for i in reversed(order) if params["reverse"] else order:
            slices = [self._slice(x, i, aval, path) for x, aval in zip(xs, self._avals(inside, len(xs)), strict=True)]
            results = self._inline(inside, [*consts, *carry, *slices], path)
            carry = results[: len(carry)]
            stacked.append(results[len(carry) :])
        if params["reverse"]:
            stacked.reverse()
        ys = [
            self._step("stack", None, lambda *parts: jnp.stack(parts), list(parts), [atom.aval], path)[0]
            for parts, atom in zip(zip(*stacked, strict=True), equation.outvars[len(carry) :], strict=True)
        ]
        return [*carry, *ys]

    @staticmethod
    def _avals(inside: ClosedJaxpr, last: int) -> list[Any]:
        invars = inside.jaxpr.invars
        return [var.aval for var in invars[len(invars) - last :]]

    def _slice(self, x: Any, i: int, aval: Any, path: str) -> Any:
        return self._step("slice", None, partial(_one_of, i), [x], [aval], path)[0]

    def _step(
        self, name: str, equation: Any, function: Any, given: list[Any], avals: Iterable[Any], path: str
    ) -> tuple[int, ...]:
        """A new step; none for what an earlier step has computed of the same values, as a compiler would leave it out.

        One side may compute twice what the other computes once, and each use of a weight must have its partner.
        """
        key = _key(equation, given, self.flat.exact) if self._merge else None
        self.flat.merged |= key is not None and key in self._computed
        if key is None or key not in self._computed:
            made = self._made(name, equation, function, given, avals, path)
            if key is None:
                return made
            self._computed[key] = made
        return self._computed[key]

    def _made(
        self, name: str, equation: Any, function: Any, given: list[Any], avals: Iterable[Any], path: str
    ) -> tuple[int, ...]:
        flat = self.flat
        numbers = [number for number in given if isinstance(number, int)]
        kind = max((flat.kinds[number] for number in numbers), default=CONSTANT)
        outputs = tuple(self._new(kind, aval) for aval in avals)
        origins = frozenset[str]().union(*(flat.origins.get(number, frozenset()) for number in numbers))
        inputs = tuple(dict.fromkeys(flat.maker[number] for number in numbers if number in flat.maker))
        index = len(flat.steps)
        source = source_of(equation) if equation is not None else ""
        flat.steps.append(
            Step(Operation(index, name, path, inputs, kind, source), equation, function, tuple(given), outputs)
        )
        for number in outputs:
            flat.maker[number] = index
            if kind == WEIGHT:
                flat.origins[number] = origins
        return outputs


def _key(equation: Any, given: list[Any], exact: Constants) -> Hashable | None:
    """What tells whether two equations compute the same; None if that is not known."""
    if equation is None or equation.effects:
        return None

    def of(operand: Any) -> Hashable:
        if isinstance(operand, int):
            return operand
        number = exact.get(id(operand))  # numbers may be equal in the dtype alone
        return str(operand.aval), np.asarray(operand.val).tobytes(), None if number is None else np.asarray(number).tobytes()

    key = (
        equation.primitive,
        tuple(sorted(equation.params.items(), key=lambda parameter: parameter[0])),
        tuple(map(of, given)),
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _itself(value: Any) -> Any:
    return value


def _one_of(i: int, value: Any) -> Any:
    """What one step of a scan takes of an array; of one of NumPy, such as a weight, it is a view."""
    return np.asarray(value[i]) if isinstance(value, np.ndarray) else lax.index_in_dim(value, i, keepdims=False)


def source_of(equation: Any) -> str:
    """The place where the user's code calls this operation, as ``file:line``; empty if JAX did not keep it."""
    traceback = equation.source_info.traceback
    for frame in traceback.frames if traceback else ():
        if name := _users_file(frame.file_name):
            return f"{name}:{frame.line_num}"
    return ""


@lru_cache(maxsize=4096)
def _users_file(path: str) -> str:
    """The name of a file; empty if it is a library's."""
    file = Path(path)
    if "site-packages" in file.parts or PACKAGE in file.parents:
        return ""
    return name_of(path)
