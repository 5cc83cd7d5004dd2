"""A fitted number in words: a short number, a known constant, or one that follows from the shapes of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import copysign, e, isfinite, log, pi, sqrt

import numpy as np

from crosscheck._arithmetic.formats import is_float, widen
from crosscheck._compare.diagnose.worst import cut
from crosscheck._compare.how.trials import Trials
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Inputs
from crosscheck._frameworks.torch_program import TorchProgram

CLOSE = 1e-8
"""How near a fitted number must be to the number that is reported."""
NOTHING = 1e-12
COARSE = 1e-2
"""The same in the dtype, where inputs of another shape are tried."""
DIGITS = 6

CONSTANTS: Mapping[str, float] = {
    "ln 2": log(2),
    "1 / ln 2": 1 / log(2),
    "ln 10": log(10),
    "1 / ln 10": 1 / log(10),
    "pi": pi,
    "1 / pi": 1 / pi,
    "2 pi": 2 * pi,
    "pi / 2": pi / 2,
    "e": e,
    "sqrt(2)": sqrt(2),
    "1 / sqrt(2)": 1 / sqrt(2),
    "sqrt(2 / pi)": sqrt(2 / pi),
    "sqrt(2 pi)": sqrt(2 * pi),
    "1 / sqrt(2 pi)": 1 / sqrt(2 * pi),
    "180 / pi": 180 / pi,
    "pi / 180": pi / 180,
}

Count = Callable[[Inputs], int]
Function = Callable[[float], float]

OF_COUNTS: Mapping[str, tuple[Function, str]] = {
    "n": (lambda n: n, "as a sum and a mean differ"),
    "1 / n": (lambda n: 1 / n, "as a mean and a sum differ"),
    "sqrt(n)": (sqrt, ""),
    "1 / sqrt(n)": (lambda n: 1 / sqrt(n), ""),
    "n / (n - 1)": (lambda n: n / (n - 1), "as an unbiased and a biased variance differ"),
    "(n - 1) / n": (lambda n: (n - 1) / n, "as a biased and an unbiased variance differ"),
    "sqrt(n / (n - 1))": (lambda n: sqrt(n / (n - 1)), "as an unbiased and a biased standard deviation differ"),
    "sqrt((n - 1) / n)": (lambda n: sqrt((n - 1) / n), "as a biased and an unbiased standard deviation differ"),
}


@dataclass(frozen=True)
class NamedNumber:
    """A number, its text, and the explanation that follows the text."""

    value: float
    said: str
    why: str = ""


def plain(value: float) -> NamedNumber:
    """The number itself, or the inverse of a small integer or the constant of mathematics that it is near to."""
    if abs(value) < NOTHING:
        return NamedNumber(0.0, "0")
    sign = "-" if value < 0 else ""
    size = abs(value)
    for digits in range(1, DIGITS + 1):
        short = float(f"{value:.{digits}g}")
        if _close(short, value, CLOSE):
            return NamedNumber(short, f"{short:g}")
    for n in range(3, 13):
        if _close(size, 1 / n, CLOSE):
            return NamedNumber(value / size / n, f"{sign}1/{n}")
    for said, constant in CONSTANTS.items():
        if _close(size, constant, CLOSE):
            return NamedNumber(value / size * constant, f"{sign}{said} = {value:.6g}")
    return NamedNumber(value, unlike(value, copysign(1, value)))


def unlike(value: float, other: float) -> str:
    """The value with six digits, or with as many as it takes until the text of the other one is different."""
    texts = ((f"{value:.{digits}g}", f"{other:.{digits}g}") for digits in range(DIGITS, 18))
    return next((text for text, of_other in texts if text != of_other), f"{value:g}")


def of_shapes(trials: Trials, value: float) -> Iterator[NamedNumber]:
    """The factor between the sides as a function of the number of elements, if it changes with that number."""
    for number, (count, function) in _of_counts(trials.inputs, value):
        if _follows(trials, count, function):
            yield number


def of_counts(inputs: Inputs, value: float) -> Iterator[NamedNumber]:
    """A number as a function of the number of elements. Small integers and their inverses need no such explanation."""
    if plain(value).said.removeprefix("-") not in map(str, range(10)):
        yield from (number for number, _ in _of_counts(inputs, value))


def _of_counts(inputs: Inputs, value: float) -> Iterator[tuple[NamedNumber, tuple[Count, Function]]]:
    sign = "-" if value < 0 else ""
    for name, count in _counts(inputs):
        n = count(inputs)
        for said, (function, why) in OF_COUNTS.items() if n > 1 else ():
            if _close(abs(value), function(n), CLOSE):
                because = f" (n = {n}, the number of elements of {name}{why and ', '}{why})"
                yield NamedNumber(float(np.sign(value)) * function(n), f"{sign}{said}", because), (count, function)


def _counts(inputs: Inputs) -> Iterator[tuple[str, Count]]:
    for at, (name, leaf) in enumerate(zip(inputs.names, inputs.leaves, strict=True)):
        if leaf.ndim != 1:
            for axis in reversed(range(leaf.ndim)):
                yield f"`{name}` along axis {axis}", partial(_size, at, axis)
        yield f"`{name}`", partial(_size, at, None)


def _size(at: int, axis: int | None, inputs: Inputs) -> int:
    leaf = inputs.leaves[at]
    return leaf.size if axis is None else leaf.shape[axis]


def _follows(trials: Trials, count: Count, function: Function) -> bool:
    """Whether, with fewer elements, the factor between the sides is what the function gives for their number."""
    inputs, request, k = trials.inputs, trials.request, trials.index
    sizes = dict.fromkeys(size for leaf in inputs.leaves for size in leaf.shape)
    if trials.order:
        return False
    for size in sizes:
        fewer = cut(inputs, {size: (0, max(1, size - size // 3))})
        n = count(fewer)
        if n in (1, count(inputs)):
            continue
        try:
            torch = TorchProgram(request.torch, fewer, request.device).outputs()[1][k]
            jax = JaxProgram(request.jax, fewer, request.device, ("eager",)).outputs()[1][k]
        except Exception:  # the user's function may raise anything at other sizes
            continue
        if torch.shape != jax.shape or not is_float(torch):
            continue
        return _close(
            abs(factor(widen(torch), widen(jax))),
            function(n),
            COARSE * abs(function(n) / function(count(inputs)) - 1),
        )
    return False


def factor(source: np.ndarray, target: np.ndarray) -> float:
    """The factor by which the source best gives the target; NaN if there is none."""
    with np.errstate(all="ignore"):
        both = np.isfinite(source) & np.isfinite(target)
        s, t = source[both], target[both]
        largest = np.abs(s).max(initial=0.0)
        if not largest:
            return float("nan")
        s, t = s / largest, t / largest
        ratio = float(np.sum(s * t) / np.sum(s * s))
    return ratio if isfinite(ratio) else float("nan")


def _close(a: float, b: float, relative: float) -> bool:
    return abs(a - b) <= relative * abs(b)
