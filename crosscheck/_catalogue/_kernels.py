"""Accurate building blocks, the same code for torch and JAX, shared by several activations.

Each takes the framework first and works in the dtype it is given, float32 or float64. They exist because the frameworks'
own primitives lose digits (JAX's tanh and expm1) and because XLA on CPU flushes subnormals, also in the middle of a
formula whose result is a normal number.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck._catalogue._sums import mean, total, two_sum

LAMBERT = range(17, 1, -2)
"""Odd denominators of Lambert's continued fraction, innermost first: truncated below 2^-56 of 1 for |y| < 1."""

FAR = 1e4
"""exp(-FAR) is 0 in every format; cutting arguments there keeps infinities out of products such as inf * 0."""


RULES = ("value", "gradient", "second", "along")


def in_both(*rules: Callable[..., Any]) -> dict[str, Any]:
    """The fields of a record whose rules are the same in both frameworks, in the order of ``RULES``."""
    return {f"{side}_{name}": rule for side in ("torch", "jax") for name, rule in zip(RULES, rules, strict=False)}


def numpy_of(framework: Any) -> Any:
    """The framework's functions under numpy's names."""
    return framework if framework.__name__ == "torch" else framework.numpy


def expand(y: Any) -> Any:
    """y coth(y) - 1 = y^2/(3 + y^2/(5 + ...)) for |y| < 1; each division shrinks the errors of the one before it."""
    q = y * 0
    for k in LAMBERT:
        q = y * y / (k + q)
    return q


def exp_parts(framework: Any, a: Any) -> tuple[Any, Any]:
    """(e, c) with exp(a) = e c for a <= 0; c is 1 unless exp(a) would be subnormal.

    A factor that is applied to e before c never meets a flushed subnormal. a + k is exact where it is used.
    """
    m = numpy_of(framework)
    return exp_above(m, a, math.floor(-math.log(m.finfo(a.dtype).tiny)))


def exp_above(m: Any, a: Any, k: int) -> tuple[Any, Any]:
    """``exp_parts`` for a given k, exp(-k) being the last normal one."""
    deep = a < -k
    return m.exp(m.where(deep, a + k, a)), m.where(deep, math.exp(-k), m.ones_like(a))


@dataclass(frozen=True)
class Halves:
    """How a number up to ``top`` is cut into two: the upper half is a multiple of 1 / ``grid``.

    The product of two upper halves is exact, so that no rounding of it is magnified by exp. ``deep`` is the k of
    ``exp_above``.
    """

    top: int
    grid: int
    deep: int


def cut(m: Any, y: Any, grid: int) -> tuple[Any, Any]:
    """(h, l) with y = h + l and h the nearest multiple of 1 / grid, a power of two.

    In a formula's scale, l is one small term, not the difference of two: ``positive`` starts anew, as a function does.
    """
    h = m.round(y * grid) / grid
    return h, m.positive(y - h)


def growth(low: Any) -> Any:
    """e^low - 1 for |low| < 0.07, by its Taylor series."""
    return low * (1 + low / 2 * (1 + low / 3 * (1 + low / 4 * (1 + low / 5))))


def grown(y: Any, small: Any, g: Any) -> Any:
    """(y + small) (1 + g), rounded less than as a product, for small and g that are small."""
    return y + (small + (y + small) * g)


def polynomial(coefficients: Sequence[float], t: Any) -> Any:
    """The sum of the k-th coefficient times t^k, by Horner's rule."""
    result = coefficients[-1] + t * 0
    for coefficient in reversed(coefficients[:-1]):
        result = coefficient + t * result
    return result


@dataclass(frozen=True)
class Zero:
    """A zero of a function of a = |x|, in two parts of which the first is the nearest number of the format, by its bits.

    The function divided by d, how far a lies below the zero, is a power series in d, up to 1/4. Multiplied with d again it
    is right in each of its digits, where the function's terms would cancel.
    """

    at: Mapping[int, tuple[float, float]]
    series: tuple[float, ...]

    def mended(self, framework: Any, a: Any, y: Any, g: Any = 0.0) -> Any:
        """y, what the function's formula gave, or near the zero what the series gives times 1 + g."""
        m = numpy_of(framework)
        nearest, rest = self.at[64 if m.finfo(a.dtype).bits == 64 else 32]
        d = (nearest - a) + rest * m.sign(a)  # the rest alone is a constant: XLA would add it to the other one first
        near = abs(d) < 0.25
        d = m.where(near, d, 0 * a)
        return m.where(near, grown(d * polynomial(self.series, d), 0.0, g), y)


Mended = Callable[..., Any]
"""Called with a zero, what a formula gave and perhaps g, it gives what ``Zero.mended`` gives for some a."""


def mending(framework: Any, x: Any) -> Mended:
    """For a = |x|."""
    a = size(framework, x)
    return lambda zero, y, g=0.0: zero.mended(framework, a, y, g)


def as_it_is(zero: Zero, y: Any, g: Any = 0.0) -> Any:
    """For an analytic formula, whose terms say how large their rounding may be."""
    return y


def size(framework: Any, x: Any) -> Any:
    """|x|, cut at FAR; NaN stays."""
    return numpy_of(framework).clip(abs(x), None, FAR)


def bell(framework: Any, a: Any) -> tuple[Any, Any, Any, Any]:
    """(e, c, z, d) with z = e c = exp(-a) for a >= 0, and d = (1 + z)^2.

    d is computed as 1 + z (2 + z), which rounds less than 1 + z squared.
    """
    e, c = exp_parts(framework, -a)
    z = e * c
    return e, c, z, 1 + z * (2 + z)


def expm1(framework: Any, x: Any) -> Any:
    """e^x - 1 for x <= 0: x + x (h - q)/(1 + q - h) down to -0.7, with h = x/2 and q = h coth(h) - 1.

    Below, where e^x < 1/2, the difference itself keeps its digits. torch's own expm1 is accurate and is used, but not under
    torch.compile, which makes exp(x) - 1 of it on the CPU.
    """
    if framework.__name__ == "torch" and not framework.compiler.is_dynamo_compiling():
        return framework.expm1(x)
    m = numpy_of(framework)
    y = m.clip(x, -0.7, None)
    h = y / 2
    q = expand(h)
    near = m.where(x == 0, x, y + y * ((h - q) / (1 + q - h)))  # x + x 0 would lose the sign of -0
    return m.where(x > -0.7, near, m.exp(x) - 1)


def tanh(framework: Any, x: Any) -> Any:
    """x - x q/(1 + q), a small correction of x, below 0.6; (1 - t)/(1 + t) with t = exp(-2|x|) above.

    Where q = x coth(x) - 1. torch's own tanh is accurate and is used.
    """
    if framework.__name__ == "torch":
        return framework.tanh(x)
    m, a = framework.numpy, size(framework, x)
    y, t = m.clip(x, -0.6, 0.6), m.exp(-2 * a)
    q = expand(y)
    near = m.where(x == 0, x, y - y * (q / (1 + q)))  # x - x 0 would lose the sign of -0
    return m.where(a < 0.6, near, m.sign(x) * ((1 - t) / (1 + t)))


def step(framework: Any, x: Any, where: Any) -> Any:
    """1 where the condition holds, 0 elsewhere, NaN at NaN: the slope of what is x there and constant elsewhere."""
    m = numpy_of(framework)
    return m.where(m.isnan(x), x, m.where(where, m.ones_like(x), m.zeros_like(x)))


def flat(framework: Any, x: Any) -> Any:
    """0, and NaN at NaN: the second derivative of what is made of lines; given, or torch would find no path to the input."""
    m = numpy_of(framework)
    return m.where(m.isnan(x), x, m.zeros_like(x))


def at_most(framework: Any, x: Any, number: Any) -> Any:
    """The largest number of x's dtype that is at most a Python number, so that x is greater than either or than neither.

    The frameworks round a Python number to the nearest one before they compare with it, which may move a jump.
    """
    if not isinstance(number, float | int):
        return number
    dtype = np.float64 if numpy_of(framework).finfo(x.dtype).bits == 64 else np.float32
    nearest = dtype(number)
    return float(nearest if float(nearest) <= number else np.nextafter(nearest, dtype(-np.inf)))


# Functions of rows: softmax, and what is made of it


def stable_exp(m: Any, x: Any, axis: int) -> tuple[Any, Any]:
    """(e, total) with softmax = e / total, without overflow; r, what the rounding of x - max leaves, is put back.

    An infinite maximum has the limit.
    """
    top = m.max(x, axis=axis, keepdims=True)
    d = m.where(m.greater_equal(x, top), 0, x - top)
    t = d - x
    r = m.where(m.greater_equal(d, -FAR) & m.less(m.abs(x), FAR), (x - (d - t)) - (top + t), 0)
    e = m.exp(d)
    e = e + e * m.expm1(r)
    return e, m.sum(e, axis=axis, keepdims=True)


def wider(framework: Any, x: Any) -> bool:
    """Whether torch computes rules over rows in float64: of float32 arrays, except on Apple's GPUs, which have none.

    JAX has float64 only where the user has switched it on.
    """
    return framework.__name__ == "torch" and x.dtype == framework.float32 and x.device.type != "mps"


def in_float64(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule over rows that is computed in float64 where that is ``wider``, rounding once at the end."""

    @functools.wraps(rule)
    def computed(framework: Any, x: Any, *others: Any, **parameters: Any) -> Any:
        if not wider(framework, x):
            return rule(framework, x, *others, **parameters)
        others = tuple(other.double() if isinstance(other, framework.Tensor) else other for other in others)
        return rule(framework, x.double(), *others, **parameters).to(x.dtype)

    return computed


def softmax_parts(framework: Any, x: Any, axis: int) -> tuple[Any, Any, Any, Any]:
    """(e, c, s, g) with softmax = e c / s (1 + g), c being 1 unless e^(x - max) is subnormal.

    d = x - max loses r, which TwoDiff recovers, as exp(d + r) = e (1 + r); g joins r and what the sum s loses. A single
    infinite maximum has the limit; several have none, and NaN comes of inf - inf.
    """
    m = numpy_of(framework)
    top = m.amax(x, axis, keepdims=True)
    alone = m.sum(x == top, axis, keepdims=True) == 1
    d = m.where((x == top) & alone, m.zeros_like(x), x - top)
    t = d - x
    r = m.where((d < -FAR) | ~m.isfinite(x), m.zeros_like(x), (x - (d - t)) - (top + t))
    e, c = exp_parts(framework, d)
    z = flushed(framework, e * c)
    s, lost = total(framework, z, axis, z * r)
    return e, c, s, r - lost / s


def centred(framework: Any, of: tuple[Any, Any, Any, Any], v: Any, axis: int) -> Any:
    """v minus its mean under the softmax, whose ``softmax_parts`` are given."""
    e, c, s, g = of
    p = flushed(framework, flushed(framework, e * c / s) * v)
    mean, lost = total(framework, p, axis, p * g)
    return flushed(framework, (v - mean) - lost)


def flushed(framework: Any, x: Any) -> Any:
    """0 for what is subnormal, which XLA on CPU flushes: else the sign of a zero would differ between the frameworks."""
    m = numpy_of(framework)
    return m.where(abs(x) < m.finfo(x.dtype).tiny, m.zeros_like(x), x)


def log_sum(framework: Any, x: Any, axis: int) -> tuple[Any, Any, Any]:
    """(d, top, rest) with d = x - top, top being the largest entry, and sum(e^x) = e^top (1 + rest).

    log(1 + rest) then keeps its digits where the largest dominates. Deep terms are summed apart, as e^(d + k) times e^-k:
    many that are subnormal one by one may add up to a normal number. A single infinite maximum has the limit.
    """
    m = numpy_of(framework)
    top = m.amax(x, axis, keepdims=True)
    largest = x == top
    count = m.sum(largest, axis, keepdims=True)
    d = m.where(largest & (count == 1), m.zeros_like(x), x - top)
    t = d - x
    r = m.where((d < -FAR) | ~m.isfinite(x), m.zeros_like(x), (x - (d - t)) - (top + t))
    k = math.floor(-0.92 * math.log(m.finfo(x.dtype).tiny))
    deep = d < -0.75 * k  # where d + k is exact
    rest = (count - 1) + m.sum(m.where(largest, d, m.zeros_like(d)), axis, keepdims=True)  # NaN of inf - inf
    for here, shift, factor in ((~deep & ~largest, 0, 1.0), (deep, k, math.exp(-k))):
        e = m.where(here, m.exp(m.where(here, d + shift, m.zeros_like(d))), m.zeros_like(d))
        rest = rest + total(framework, e, axis, e * r)[0] * factor
    return d, top, rest


def log1p(framework: Any, y: Any) -> Any:
    """log(1 + y): the logarithm of the rounded sum, and what that rounding lost.

    JAX's own is off by 128 ULP in float64 between -0.5 and 0. torch's own is accurate and is used.
    """
    if framework.__name__ == "torch":
        return framework.log1p(y)
    u = framework.lax.optimization_barrier(1 + y)  # or XLA takes u - 1 for y
    return framework.numpy.log(u) + (y - (u - 1)) / u


def deviation(framework: Any, x: Any, axis: int) -> Any:
    """x minus its mean along the axis, accurate also where an entry nearly equals the mean, and 0 where it does.

    Each time the mean is subtracted, what its rounding left is half a word smaller; what the differences lose is kept, and
    what the sum of that loses, too.
    Beside a NaN all differences are NaN, also where the other entries are equal: XLA's maximum leaves out a NaN.
    """
    m = numpy_of(framework)
    equal = m.amax(x, axis, keepdims=True) == m.amin(x, axis, keepdims=True)
    lost = less = m.zeros_like(x)
    for _ in range(3):
        middle = mean(framework, x, axis, lost, less)
        d = x - middle
        t = d - x
        lost, more = two_sum(lost, (x - (d - t)) - (middle + t))
        less = less + more
        x = d
    x = x + (lost + less)
    return m.where(equal, abs(x) * 0, x)


def halves(x: Any, axis: int) -> tuple[Any, Any]:
    """The first and the second half of rows, by slicing, which every namespace can."""
    before = (slice(None),) * (axis % len(x.shape))
    half = x.shape[axis] // 2
    return x[(*before, slice(None, half))], x[(*before, slice(half, None))]
