"""Sums in pairs and threes of numbers, the same code for torch and JAX: what each rounding lost is added too."""

from collections.abc import Callable, Sequence
from typing import Any


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The sum, and what its rounding lost, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def renormalised(s: Any, lost: Any) -> tuple[Any, Any]:
    """The same pair, its first number being the rounded sum of both."""
    whole = s + lost
    return whole, lost - (whole - s)


def total(framework: Any, terms: Any, axis: int, rest: Any = None) -> tuple[Any, Any]:
    """(s, lost), the sum of the terms along the axis and what its rounding lost; ``rest`` is added to each term exactly.

    Each partial sum is a pair of numbers, the second of which is at most half a unit in the last place of the first. The
    method's page of the documentation bounds what is lost: 4 n u^2 of the sum of the n terms' magnitudes, in whatever order
    they are added, u being half of the epsilon. JAX's compiler would compute the terms anew for each part, not quite alike;
    there one reduction carries both.
    """
    rest = terms * 0 if rest is None else rest
    if framework.__name__ == "jax":
        zero = framework.numpy.zeros((), terms.dtype)
        both = framework.lax.reduce((terms, rest), (zero, zero), _add_pairs, (axis % terms.ndim,))
        return tuple(framework.numpy.expand_dims(part, axis) for part in both)
    return renormalised(*_in_halves(framework, _add_pairs, (terms, rest), axis))


def long_total(framework: Any, terms: Any, axis: int, *rest: Any) -> tuple[Any, Any]:
    """``total``, with three numbers for each partial sum: what was lost is right too.

    Two would lose what is small beside the partial sums, such as what an entry beside the mean of its row consists of.
    """
    three = terms, *rest, *[terms * 0] * (2 - len(rest))
    if framework.__name__ == "jax":
        zero = framework.numpy.zeros((), terms.dtype)
        whole, lost, _ = framework.lax.reduce(three, (zero, zero, zero), _add_threes, (axis % terms.ndim,))
        return framework.numpy.expand_dims(whole, axis), framework.numpy.expand_dims(lost, axis)
    whole, lost, _ = _in_halves(framework, _add_threes, three, axis)
    return renormalised(whole, lost)


def mean(framework: Any, terms: Any, axis: int, *rest: Any) -> Any:
    """The mean of the terms and of what ``rest``, one or two arrays, adds to each, rounded little more than once."""
    n = terms.shape[axis]
    if framework.__name__ == "jax":  # or XLA multiplies by 1/n, and the mean of equal terms is another number
        n = framework.lax.optimization_barrier(framework.numpy.asarray(n, terms.dtype))
    return long_total(framework, terms, axis, *rest)[0] / n


def _in_halves(framework: Any, add: Callable[..., Any], parts: Sequence[Any], axis: int) -> Sequence[Any]:
    """The sum along an axis in torch, of numbers in several parts: the first half is added to the second, and so on."""
    while (n := parts[0].shape[axis]) > 1:
        first, second = ([part.narrow(axis, begin, n // 2) for part in parts] for begin in (0, n // 2))
        added = add(first, second)
        odd = [part.narrow(axis, n - 1, n % 2) for part in parts]
        parts = [framework.cat(both, axis) for both in zip(added, odd, strict=True)] if n % 2 else added
    return parts


def _add_pairs(a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, Any]:
    s, lost = two_sum(a[0], b[0])
    return renormalised(s, lost + (a[1] + b[1]))


def _add_threes(a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, Any, Any]:
    s, left = two_sum(a[0], b[0])
    t, less = two_sum(a[1], b[1])
    t, left = two_sum(t, left)
    s, t = renormalised(s, t)
    t, left = renormalised(t, (a[2] + b[2]) + (less + left))
    return *renormalised(s, t), left
