"""Where two functions differ, in slices and ranges of inputs, and what a report says in its first lines."""

from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from compared import report

import crosscheck
from crosscheck import Fact, PairReport

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("no_simpler_input")]

ROWS = crosscheck.normal((6, 8))
LINE = crosscheck.normal(10)


def put(at: Any) -> Any:
    """What adds a number at some places, and a function that does not."""
    return lambda x: x.at[at].add(jnp.sin(x[at]) + 2)


def all_of(region: str) -> tuple[Fact, ...]:
    return (Fact("all of", where=region),)


def assert_placed(pair: PairReport, *places: Fact) -> None:
    """They differ there, and the verdict says so at its end."""
    assert pair.diagnosis.places == places
    assert pair.diagnosis.where == ", ".join(place.words() for place in places)
    assert f"they differ {pair.diagnosis.where}" in pair.verdict


EVEN, ODD = crosscheck.normal((6, 8)), crosscheck.normal((7, 7))
WHERE: list[tuple[Any, Any, tuple[Fact, ...]]] = [
    (EVEN, (slice(None), 2), all_of("`y[:, 2]`, column 2")),
    (EVEN, 0, all_of("`y[0]`, row 0")),
    (EVEN, (slice(None), slice(4, None)), all_of("`y[:, 4:]`, from position 4 of axis 1 on")),
    (EVEN, (slice(None), slice(None, 3)), all_of("`y[:, :3]`, up to position 2 of axis 1")),
    (EVEN, (slice(None), np.array([0, 7])), all_of("`y[:, [0, -1]]`, the first and the last of axis 1")),
    (EVEN, slice(None, None, 2), all_of("`y[::2]`")),
    (EVEN, (2, 3), (Fact("one place", where="`y[2, 3]`"),)),
    (EVEN, (slice(1, 3), slice(2, 5)), all_of("`y[1:3, 2:5]`")),
    (EVEN, ..., (Fact("everywhere"),)),
    (ODD, np.diag_indices(7), all_of("the diagonal of `y`")),
    (ODD, np.triu_indices(7, 1), all_of("what is above the diagonal of `y`")),
    (ODD, np.tril_indices(7), all_of("what is on and below the diagonal of `y`")),
    (ODD, np.nonzero(~np.eye(7, dtype=bool)), all_of("what is off the diagonal of `y`")),
    (ODD, np.nonzero(np.pad(np.zeros((5, 5)), 1, constant_values=1)), all_of("the border of `y`")),
    (ODD, np.nonzero(np.arange(49).reshape(7, 7) != 10), all_of("`y` but `y[1, 3]`")),
    (ODD, np.nonzero(~np.isin(np.arange(49).reshape(7, 7), (0, 8, 9, 17))), (Fact("some", what="45 of 49"),)),
    (LINE, slice(8, None), all_of("`y[8:]`, from position 8 on")),
    (LINE, np.array([1, 4, 5, 9]), (Fact("some", what="4 of 10"),)),
    (
        EVEN,
        (np.array([0, 1, 1]), np.array([0, 0, 1])),
        (Fact("inside", where="`y[:2, :2]`"), Fact("some", what="3 of 4")),
    ),
]


@pytest.mark.parametrize(("inputs", "at", "places"), WHERE)
def test_where_results_differ_is_said_in_slices(
    inputs: Any, at: Any, places: tuple[Fact, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosscheck._compare.diagnosis.identity_of", lambda *_: None)  # it takes most of the time
    # the mean makes it no elementwise function
    pair = report(lambda x: x + x.mean(), lambda x: put(at)(x) + x.mean(), inputs)
    assert_placed(pair, *places)


@pytest.mark.parametrize(
    ("jax_fn", "places"),
    [
        (lambda x: jnp.where(x > 1, x + 1, x), [Fact("or more", "x", where="1.5")]),
        (lambda x: jnp.where(x <= -1, x + 1, x), [Fact("or less", "x", where="-1")]),
        (lambda x: jnp.where(jnp.abs(x) > 1, x + 1, x), [Fact("or more", "|x|", where="1.5")]),
        (lambda x: jnp.where(jnp.abs(x) < 1, x + 1, x), [Fact("between", "x", where="-0.5 to 0.5")]),
        (lambda x: jnp.where(x == 0.5, x + 1, x), [Fact("one input", "x", where="0.5")]),
        (
            lambda x: jnp.where(jnp.isin(x, jnp.array([-1.0, 0.5, 1.5, 2.0])), x + 1, x),
            [Fact("some", "4 of 10"), Fact("between", "x", where="-1 to 2")],
        ),
    ],
)
def test_where_an_elementwise_function_differs_is_said_by_its_inputs(jax_fn: Any, places: list[Fact]) -> None:
    x = np.array([0.5, -1.5, 2.0, 0.0, -0.5, 1.0, -2.0, 1.5, -1.0, 2.5], np.float32)
    assert_placed(report(lambda x: x * 1, jax_fn, x), *places)


@cache
def ties() -> dict[str, tuple[Any, Any, Any]]:
    return {
        "argmax": (lambda x: x.argmax(-1), lambda x: 7 - jnp.argmax(x[..., ::-1], -1), np.ones((4, 8), np.float32)),
        "rounding": (
            lambda x: x.round().int(),
            lambda x: jnp.floor(x + 0.5).astype(int),
            np.array([0.5, 1.5, 2.5, 0.7], np.float32),
        ),
        "a comparison": (lambda x: x > 0, lambda x: x >= 0, np.array([-1.0, 0.0, 2.0], np.float32)),
    }


@pytest.mark.parametrize("name", ["argmax", "rounding", "a comparison"])
def test_integers_that_differ_are_no_convention(name: str) -> None:
    torch_fn, jax_fn, x = ties()[name]
    pair = report(torch_fn, jax_fn, x)
    assert (pair.passed, pair.cause, pair.side) == (False, "definition", None), str(pair)


def test_what_simply_differs_is_said_in_percent_and_by_example() -> None:
    pair = report(lambda x: x.amax(-1), lambda x: jnp.exp(x).mean(-1) / 40, ROWS)
    point = pair.decisive.uncovered["definition"].worst if pair.decisive else None
    assert point is not None
    assert pair.diagnosis.how is None
    at = f" at [{point.element[0]}]"  # type: ignore[index]
    assert Fact("example", torch=f"{point.got:.3g}", jax=f"{point.expected:.3g}", where=at).words() in pair.verdict
    said = pair.story()
    share = abs(point.got - point.expected) / max(abs(point.got), abs(point.expected))
    assert f"apart     {Fact('of the larger', f'{share:.2%}').words()}" in said
    assert "relative  median " in said
    assert "ULP" not in said
    assert "rtol" not in said


@pytest.mark.parametrize(
    ("jax_fn", "said"),
    [
        (lambda x: x.mean(-1), Fact("which function").words()),
        (lambda x: x.sum(-1) * jnp.where(x.sum() < 100, jnp.nan, 1), "JAX"),
    ],
)
def test_a_side_that_is_not_known_comes_with_the_reason(jax_fn: Any, said: str) -> None:
    assert f"side      {said}" in report(lambda x: x.sum(-1), jax_fn, ROWS).story()
