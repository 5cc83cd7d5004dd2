"""Whether two optimisers do the same with the same gradients: if not, since which step, by how much, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, FloatArray
from crosscheck._explain.facts import Fact
from crosscheck._training.optimizers.optimizer_calls import calls
from crosscheck._training.optimizers.optimizer_edits import OTHERS, edits
from crosscheck._training.optimizers.optimizer_rates import rates
from crosscheck._training.optimizers.optimizer_runs import (
    KINDS,
    OBJECTIVE,
    Gradients,
    OptimizerSides,
    Trajectory,
    gradients,
    in_optax,
    in_torch,
    made,
    needs_objective,
)
from crosscheck._training.records import OptimizerRun

SAME = 1e-11
"""The error in float64 of the same computation in another order, relative to how far the parameter has moved."""
CONSTANT = 2.0**-22
"""The error from a constant, such as a learning rate, that one side holds in float32."""
ROUNDINGS = 16.0
"""A side is inaccurate if its error is this many times that of the other and the dtype's rounding of each step."""
MOST_CHANGES, NEAREST, MOST_TRIED = 2, 8, 500
"""How many options are changed together; with how many values of the best one this begins; how many trials in all."""
Changes = tuple[tuple[str, Any], ...]
"""Options with other values."""
SWITCHES = ("capturable", "differentiable", "foreach", "fused", "lr", "maximize")
"""Options that are not changed."""


def judge(pair: OptimizerSides, steps: int, dtype: str, seed: int) -> tuple[OptimizerRun, ...]:
    """Judge every kind of gradients; for an optimiser that evaluates the function itself, only the objective's."""
    kinds = (OBJECTIVE,) if needs_objective(pair) else tuple(KINDS)
    return tuple(_judged(pair, kind, steps, dtype, seed) for kind in kinds)


def _given(pair: OptimizerSides, kind: str, steps: int, seed: int) -> Gradients | None:
    return None if kind == OBJECTIVE else gradients(kind, pair.leaves, steps, seed)


def _judged(pair: OptimizerSides, kind: str, steps: int, dtype: str, seed: int) -> OptimizerRun:
    given = _given(pair, kind, steps, seed)
    torch_trajectory, optax_trajectory = in_torch(pair, given, steps, "float64"), in_optax(pair, given, steps, "float64")
    moved = _moved(pair, torch_trajectory, optax_trajectory)
    apart = _apart(torch_trajectory, optax_trajectory, moved)
    errors = (0.0, 0.0)
    if dtype != "float64":
        narrow = in_torch(pair, given, steps, dtype), in_optax(pair, given, steps, dtype)
        errors = (
            float(_apart(narrow[0], torch_trajectory, moved).max()),
            float(_apart(narrow[1], optax_trajectory, moved).max()),
        )
    limit = SAME if dtype == "float64" else CONSTANT
    over = np.argwhere(~(apart <= limit))
    first, k = map(int, over[0]) if len(over) else (None, 0)
    side = None
    if np.isinf(apart).any() or np.isnan(apart).any():
        cause = "special"
    elif first is not None:
        cause = "inaccurate" if apart.max() <= CONSTANT else "definition"
    else:
        unit = steps * 2.0 ** -FORMATS[dtype].precision * _size(torch_trajectory, moved)
        beyond = [errors[k] > ROUNDINGS * (errors[1 - k] + unit) for k in (0, 1)]
        side = "torch" if beyond[0] else "jax" if beyond[1] else None
        cause = "inaccurate" if side else "exact" if errors == (0.0, 0.0) and not apart.any() else "rounding"
    return OptimizerRun(
        gradients=kind,
        meaning=KINDS.get(kind, "those of a quadratic function, at the parameters of each side"),
        steps=steps,
        apart=float(np.nan_to_num(apart, nan=np.inf).max()),
        first=None if first is None else first + 1,
        parameter=None if first is None else pair.names[k],
        torch_error=errors[0],
        jax_error=errors[1],
        cause=cause,
        side=side,
    )


def _moved(pair: OptimizerSides, *trajectories: Trajectory) -> FloatArray:
    """(steps, parameters): how far a parameter has moved up to a step, on either side, at its element that moved most."""
    ways = []
    for trajectory in trajectories:
        before = [pair.leaves, *trajectory[:-1]]
        with np.errstate(invalid="ignore"):  # how far an infinite parameter moves is no number
            steps = [
                [float(np.abs(now - old).max(initial=0.0)) for now, old in zip(*both, strict=True)]
                for both in zip(trajectory, before, strict=True)
            ]
        ways.append(np.cumsum(np.array(steps), axis=0))
    return np.asarray(np.fmax(*ways))


def _apart(left: Trajectory, right: Trajectory, moved: FloatArray) -> FloatArray:
    """(steps, parameters): the largest difference, less the rounding of the parameter, relative to how far it moved."""
    distances = np.zeros(moved.shape)
    for step, k in np.ndindex(*moved.shape):
        a, b = left[step][k], right[step][k]
        if np.array_equal(a, b, equal_nan=True):
            continue
        difference = float(np.abs(a - b).max())
        rounding = 8 * (step + 1) * 2.0**-53 * float(np.abs(a).max())
        distances[step, k] = max(difference - rounding, 0.0) / moved[step, k] if moved[step, k] > 0 else np.inf
        if np.isnan(difference):
            distances[step, k] = np.nan
    return distances


def _size(trajectory: Trajectory, moved: FloatArray) -> float:
    """The size of the parameters, relative to how far they move."""
    sizes = [
        float(np.abs(array).max(initial=0.0)) / way for array, way in zip(trajectory[-1], moved[-1], strict=True) if way
    ]
    return max([1.0, *sizes])


# why


def explained(pair: OptimizerSides, wrong: Sequence[OptimizerRun], seed: int) -> tuple[Fact, ...]:
    """The change that would make both the same in these runs; nothing if none is found."""
    steps = min(wrong[0].steps, max(12, *((run.first or 0) + 6 for run in wrong)))
    tried_on = [
        (given, in_optax(pair, given, steps, "float64"))
        for run in wrong
        for given in [_given(pair, run.gradients, steps, seed)]
    ]

    def error(change: Callable[[Any], None], among: Any = tried_on[:1]) -> float:
        largest = 0.0
        for given, optax_trajectory in among:
            try:
                torch_trajectory = in_torch(pair, given, steps, "float64", change)
            except Exception:  # torch may refuse a number, and an option may not have every value
                return np.inf
            apart = _apart(torch_trajectory, optax_trajectory, _moved(pair, torch_trajectory, optax_trajectory))
            largest = max(largest, float(np.nan_to_num(apart, nan=np.inf).max()))
        return largest

    def fits(change: Callable[[Any], None]) -> bool:
        return error(change, tried_on) <= CONSTANT

    options = dict(options_of(made(pair)))
    for facts, edit in edits(made(pair)):
        if fits(edit):
            return facts
    given, optax_trajectory = tried_on[0]
    if facts := rates(pair, given, optax_trajectory, fits):
        return facts
    if changes := fitting(
        options, CONSTANT, lambda changes: error(partial(_change, changes)), lambda changes: fits(partial(_change, changes))
    ):
        return said(changes, options)
    for fact, edit in islice(calls(made(pair), lambda edit: in_torch(pair, given, steps, "float64", edit)), MOST_TRIED):
        if error(edit) <= CONSTANT and fits(edit):
            return (fact,)
    return ()


def fitting(
    options: Mapping[str, Any], limit: float, error: Callable[[Changes], float], fits: Callable[[Changes], bool]
) -> Changes:
    """Other values of one or two options with which torch's optimiser ``fits`` JAX's; none if there are none.

    Changes are worth the proof if their ``error``, at few steps or parameters, is within the limit.
    """
    nearest: list[Changes] = [()]
    for _ in range(MOST_CHANGES):
        more = ((*taken, change) for taken in nearest for change in other_values(options) if change[0] not in dict(taken))
        errors = {changes: error(changes) for changes in islice(more, MOST_TRIED)}
        nearest = sorted(errors, key=errors.__getitem__)[:NEAREST]
        for changes in nearest:
            if errors[changes] <= limit and fits(changes):
                return changes
    return ()


def said(changes: Iterable[tuple[str, Any]], options: Mapping[str, Any], near: str = "") -> tuple[Fact, ...]:
    """What these changes say of JAX's optimiser; the options are PyTorch's, ``near`` those parameters that have them."""
    return tuple(Fact("option", role=name, torch=repr(options[name]), jax=repr(value), near=near) for name, value in changes)


def _change(changes: Changes, optimizer: Any) -> None:
    for group in optimizer.param_groups:
        group.update(changes)


def options_of(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """The options of torch's optimiser that are numbers, pairs of numbers or booleans, without the learning rate."""
    for name, value in optimizer.param_groups[0].items():
        numbers = value if isinstance(value, tuple) else (value,)
        known = name in optimizer.defaults and name not in SWITCHES
        if known and all(isinstance(number, bool | int | float) for number in numbers):
            yield name, value


def other_values(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each option with each of the values to try."""
    for name, value in options.items():
        if isinstance(value, bool):
            yield name, not value
        elif isinstance(value, tuple):
            for k in range(len(value)):
                yield from ((name, (*value[:k], other, *value[k + 1 :])) for other in OTHERS if other != value[k])
        else:
            yield from ((name, other) for other in OTHERS if other != value)
