"""The inputs at which one side gives what the other gives at the given ones: exchanged, transposed, scaled, left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np

from crosscheck._compare.how.fit import Fit
from crosscheck._compare.how.numbers import of_counts, plain
from crosscheck._compare.how.trials import JAX, NAMES, TORCH, Trial, Trials, near
from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._shadow.base import Noise

MOST_AXES = 4
STARTS = (1.0, -1.0, 0.25, 4.0, 0.0625, 16.0)
"""The start values for fitting the factor of an input."""
NOTHING = 1e-12

Arguments = Sequence[Array]
Moving = Callable[[Arguments], Arguments]


def of_inputs(trials: Trials, *, with_result: bool = False) -> Iterator[Trial]:
    """The changes of the inputs that make the sides agree at the given inputs, so that they are worth a proof.

    ``with_result``: those that change the result's order too.
    """
    for said, moved, side, after in _with_result(trials) if with_result else (*_rearranged(trials), *_replaced(trials)):
        if trials.spent:
            return
        change = _change(trials, said, moved, side, after)
        with np.errstate(all="ignore"):
            try:
                result = change.run(trials.given, None)
            except Exception:  # the user's function may raise anything at another shape
                continue
        if near(result, trials.given_results[change.target]):
            yield change


def _change(trials: Trials, said: str, moved: Moving, side: int, after: Callable[[Array], Array] = np.asarray) -> Trial:
    def run(arguments: Arguments, noise: Noise | None) -> Array:
        return after(trials.run(side, moved(arguments), noise))

    other = 1 - side
    return Trial(Fact("input", said, NAMES[other]), run, other)


def _with(at: int, function: Callable[[Array], Array], arguments: Arguments) -> list[Array]:
    return [*arguments[:at], function(arguments[at]), *arguments[at + 1 :]]


Rearranged = tuple[str, Moving, int, Callable[[Array], Array]]


def _rearranged(trials: Trials) -> Iterator[Rearranged]:
    """Inputs exchanged, transposed or reversed. PyTorch's program gets them: it also runs at inputs of other shapes."""
    inputs = trials.inputs
    for i, k in combinations(range(len(inputs.leaves)), 2):
        if (inputs.leaves[i].shape, inputs.leaves[i].dtype) == (inputs.leaves[k].shape, inputs.leaves[k].dtype):

            def exchanged(arguments: Arguments, i: int = i, k: int = k) -> list[Array]:
                moved = list(arguments)
                moved[i], moved[k] = moved[k], moved[i]
                return moved

            yield f"with `{inputs.names[i]}` and `{inputs.names[k]}` exchanged", exchanged, TORCH, np.asarray
    for at, (name, leaf) in enumerate(zip(inputs.names, inputs.leaves, strict=True)):
        for a, b in combinations(range(min(leaf.ndim, MOST_AXES)), 2):
            said = f"`{name}` transposed" if leaf.ndim == 2 else f"axes {a} and {b} of `{name}` exchanged"
            yield f"with {said}", partial(_with, at, partial(np.swapaxes, axis1=a, axis2=b)), TORCH, np.asarray
        for axis in range(min(leaf.ndim, MOST_AXES)):
            flip = partial(np.flip, axis=axis)
            yield f"with `{name}` reversed{_of(axis, leaf)}", partial(_with, at, flip), TORCH, np.asarray
        if leaf.ndim > 1:
            yield f"with `{name}` reversed along all its axes", partial(_with, at, np.flip), TORCH, np.asarray


def _with_result(trials: Trials) -> Iterator[Rearranged]:
    """An input transposed or reversed, and the result too."""
    result = trials.given_results[JAX]
    for at, (name, leaf) in enumerate(zip(trials.inputs.names, trials.inputs.leaves, strict=True)):
        if result.ndim != leaf.ndim:
            continue
        for a, b in combinations(range(min(leaf.ndim, MOST_AXES)), 2):
            swap = partial(np.swapaxes, axis1=a, axis2=b)
            which = "axis" if leaf.ndim == 2 else f"axes {a} and {b}"
            yield f"along the other {which} of `{name}`", partial(_with, at, swap), TORCH, swap
        for axis in range(min(leaf.ndim, MOST_AXES)):
            flip = partial(np.flip, axis=axis)
            yield f"with `{name}` and the result reversed{_of(axis, leaf)}", partial(_with, at, flip), TORCH, flip


def _of(axis: int, leaf: Array) -> str:
    return f" along axis {axis}" if leaf.ndim > 1 else ""


OF_BOOLEANS: Mapping[str, Callable[[Array], Array]] = {
    "with `{}` inverted": np.logical_not,
    "with `{}` False everywhere": np.zeros_like,
    "with `{}` True everywhere": np.ones_like,
}
OF_INTEGERS: Mapping[str, Callable[[Array], Array]] = {
    "with `{}` plus 1": lambda x: (x + 1).astype(x.dtype),
    "with `{}` minus 1": lambda x: (x - 1).astype(x.dtype),
}
OF_FLOATS: Mapping[str, Callable[[Array], Array]] = {
    "with 0 for `{}`": np.zeros_like,
    "with 1 for `{}`": np.ones_like,
    "with another sign of `{}`": np.negative,
    "at 1 - `{}`": lambda x: 1 - x,
}


def _replaced(trials: Trials) -> Iterator[Rearranged]:
    """Inputs that one side leaves out, masks of the opposite meaning, indices that start at another number."""
    inputs = trials.inputs
    for at, (name, leaf) in enumerate(zip(inputs.names, inputs.leaves, strict=True)):
        for said, function in {"b": OF_BOOLEANS, "i": OF_INTEGERS, "u": OF_INTEGERS}.get(leaf.dtype.kind, OF_FLOATS).items():
            for side in (TORCH, JAX):
                yield said.format(name), partial(_with, at, function), side, np.asarray


def fitted(trials: Trials) -> Iterator[Trial]:
    """An input times a number, or plus a number."""
    fit = Fit(trials, JAX)
    for at in trials.inputs.floats:
        name = trials.inputs.names[at]
        for word, moved, start, starts in (
            ("times", partial(_moved, at, np.multiply), 1.0, STARTS),
            ("plus", partial(_moved, at, np.add), 0.0, (0.0,)),
        ):
            if trials.spent:
                return
            best = fit.best(partial(_result, trials, moved), starts)
            if best is None or abs(best - start) < NOTHING:
                continue
            for number in (*(of_counts(trials.inputs, best) if start else ()), plain(best)):
                yield _change(trials, f"at `{name}` {word} {number.said}{number.why}", partial(moved, number.value), TORCH)


def _moved(at: int, function: Callable[..., Array], value: float, arguments: Arguments) -> list[Array]:
    return _with(at, lambda x: function(x, value), arguments)


def _result(trials: Trials, moved: Callable[[float, Arguments], Arguments], value: float) -> Array:
    return trials.run(TORCH, moved(value, trials.given))
