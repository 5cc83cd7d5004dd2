"""The own functions along an axis keep the budget in rows of kinds that neither the sample nor the search has."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from catalogue import ROWS
from contract import DTYPES, ORDERS, budget
from floats import FORMATS, Float64Array
from in_both import derivative
from judging import CODE, JudgingSetting, judge
from truths import Sample

import crosscheck

pytestmark = pytest.mark.full

Draw = Callable[[np.random.Generator, int], Float64Array]

KINDS: dict[str, Draw] = {
    "heavy tails": lambda rng, n: np.clip(rng.standard_cauchy(n), -1e4, 1e4),
    "lognormal": lambda rng, n: np.exp(2 * rng.standard_normal(n)),
    "exponential": lambda rng, n: -rng.exponential(7, n),
    "waves": lambda rng, n: 12 * np.sin(np.arange(n) * 0.37) + np.cos(np.arange(n) * 0.011),
    "sawtooth": lambda rng, n: np.arange(n) % 97 / 6.1,
    "ranks": lambda rng, n: -1.1 * np.log(1.0 + rng.permutation(n)),
    "steps": lambda rng, n: np.repeat([0.0, -3.3, -9.1, -14.0, -40.0], -(-n // 5))[:n],
    "random walk": lambda rng, n: np.cumsum(rng.standard_normal(n)) / 8,
    "growing": lambda rng, n: np.linspace(0, 1, n) ** 9 * 30,
    "below the sum's rounding": lambda rng, n: np.where(np.arange(n) == n // 2, 0, -np.log(n) - 16 + rng.uniform(-1, 1, n)),
    "beside the mean": lambda rng, n: 300 + rng.choice([-1e-3, 0, 1e-3], n) * (np.arange(n) % 7 == 0),
}


Budget = Callable[[str, int], float]


def failures(
    name: str, length: int, dtype: str, kinds: list[str], allowed: Budget = budget
) -> list[tuple[str, int, str, float]]:
    """The framework, order, kind and error in ULP of each row that is beyond the budget."""
    activation, fmt = crosscheck.activations[name], FORMATS[dtype]
    length -= length % 2 if activation.result == "half" else 0
    rng = np.random.default_rng(length)
    x = np.stack([KINDS[kind](rng, length) for kind in kinds])
    x = -x if activation.known_by == "smallest" else x
    v = rng.uniform(-2, 3, x.shape)
    sample = Sample.of_rows(x.astype(fmt.dtype), v.astype(fmt.dtype), activation)
    truths = sample.truths(activation, ORDERS, activation.parameters)
    scales = sample.scales(activation, ORDERS, activation.parameters)
    wrong = []
    for side in ("torch", "jax"):
        function = partial(reshaped, getattr(activation, side), sample.cotangent.shape)
        for order in ORDERS:
            got = derivative(side, function, sample.x, order, sample.cotangent, sample.v, jit=side == "jax")
            flushes = side == "jax"  # XLA on the CPU
            setting = JudgingSetting(allowed(dtype, order), flushes, flushes, truths[order], scales.get(order), rows=True)
            judged = judge(sample.known(order), got.ravel(), truths[order], setting)
            bad = (judged.codes < CODE["flush"]).reshape(len(kinds), -1)
            errors = np.where(bad, judged.ulp_of_unit.reshape(bad.shape), 0).max(axis=1)
            wrong += [(side, order, kinds[i], float(errors[i])) for i in np.flatnonzero(bad.any(axis=1))]
    return wrong


def reshaped(function: Callable[[Any], Any], shape: tuple[int, ...], x: Any) -> Any:
    """The results of rows that are reduced to one, as rows of one entry."""
    return function(x).reshape(shape)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_other_kinds_keep_the_budget(name: str, dtype: str) -> None:
    assert failures(name, 3001, dtype, list(KINDS)) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [50_000, 200_000])
@pytest.mark.parametrize("name", ROWS)
def test_long_rows_of_other_kinds_keep_the_budget(name: str, length: int, dtype: str) -> None:
    check = partial(failures, name, length, dtype)
    assert [failure for kind in KINDS for failure in check([kind])] == []


def test_an_entry_beside_the_mean_of_a_row_with_outliers_is_right() -> None:
    """Of two numbers for each partial sum JAX lost 5 ULP there."""
    assert failures("standardize", 50_000, "float32", ["heavy tails"], lambda dtype, order: 2.5) == []


def test_a_row_that_is_beyond_the_budget_is_found() -> None:
    failed = failures("softmax", 3001, "float32", list(KINDS), lambda dtype, order: 0.51)
    assert {side for side, *_ in failed} == {"jax"}
