"""Whether two pieces of code draw from one distribution: the test of Kolmogorov and Smirnov on numbers of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._records.interface import framework
from crosscheck._translate.code import SEED, function

DRAWS = 60_000
"""The number of numbers that are drawn of each, at least."""
DIGITS = 5
CONFIDENCE = 1e-6
"""The share of pairs of samples of one distribution that are judged to be of two."""


def compare_draws(torch_code: str, jax_code: str, library: str) -> tuple[bool, str]:
    """Whether both draw from one distribution, and the measurements of each."""
    framework("jax"), framework("torch")
    draw_torch = function(torch_code, "torch", ())
    draw_jax = function(jax_code, library, ("key",))
    import jax
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        torches = _enough(lambda _: draw_torch().detach().numpy())
    keys = jax.random.split(jax.random.key(SEED), DRAWS)
    jaxes = _enough(lambda i: np.asarray(draw_jax(keys[i])))
    shapes = torches[0].shape, jaxes[0].shape
    if shapes[0] != shapes[1]:
        return False, f"the shapes differ: {shapes[0]} in PyTorch, {shapes[1]} in JAX"
    x, y = (np.concatenate([array.ravel() for array in many]).astype(np.float64) for many in (torches, jaxes))
    apart = _apart(x, y)
    least = float(np.sqrt(-np.log(CONFIDENCE / 2) / 2) * np.sqrt((len(x) + len(y)) / (len(x) * len(y))))
    same = apart <= least
    measured = f"{len(x):,} numbers of each: PyTorch {_measures(x)}, JAX {_measures(y)}; the distribution functions are "
    return same, f"{measured}{apart:.3f} apart, {'' if same else 'not '}within the {least:.3f} that chance explains"


def _enough(draw: Any) -> list[Any]:
    made: list[Any] = []
    while sum(array.size for array in made) < DRAWS:
        made.append(draw(len(made)))
    return made


def _apart(x: Float64Array, y: Float64Array) -> float:
    """The largest distance of the two distribution functions; numbers that differ only by rounding count as equal."""
    largest = max(np.abs(x).max(), np.abs(y).max()) or 1.0
    rounded = [np.sort(np.round(numbers / largest, DIGITS)) for numbers in (x, y)]
    both = np.concatenate(rounded)
    of = [np.searchsorted(numbers, both, side="right") / len(numbers) for numbers in rounded]
    return float(np.abs(of[0] - of[1]).max())


def _measures(x: Float64Array) -> str:
    return f"mean {x.mean():.3g}, standard deviation {x.std():.3g}, from {x.min():.3g} to {x.max():.3g}"
