"""Functions of very many elements, and many comparisons one after the other: what is compared, and the memory it takes."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from compared import X, assert_fails, double, noted

from crosscheck import Fact, compare

pytestmark = pytest.mark.full


NAN = float("nan")


@pytest.fixture(scope="module")
def large() -> np.ndarray[Any, Any]:
    """300,000 different numbers, shuffled."""
    numbers = np.linspace(1, 3, 300_000).astype(np.float32)
    return np.random.default_rng(0).permutation(np.unique(numbers)).reshape(2, -1)


def at_one(place: tuple[int, int], large: np.ndarray[Any, Any], there: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: jnp.where(x == large[place], there(x), x * 2)


@pytest.mark.parametrize("place", [(0, 0), (1, 54321), (1, 149999)], ids=str)
@pytest.mark.parametrize(
    ("there", "cause", "side"),
    [
        (lambda x: x * 3, "definition", None),
        (lambda x: x * (2 + 1e-3), "definition", None),
        (lambda x: x * NAN, "special", "jax"),
    ],
    ids=["large", "small", "nan"],
)
def test_one_wrong_element_of_very_many_is_found(
    place: tuple[int, int], there: Any, cause: str, side: str | None, large: np.ndarray[Any, Any]
) -> None:
    """Which of two finite values at one input is meant, nobody can know who does not know the function."""
    report = compare(double, at_one(place, large, there), large, order=0, modes="jit")
    assert_fails(report, cause=cause, side=side)
    assert report.decisive is not None
    count = report.decisive.uncovered[cause]
    assert count.count == 1
    assert count.worst.element == place
    assert count.worst.input == large[place]
    assert report.compared == large.size


@pytest.mark.parametrize("order", [0, 1, 2])
def test_very_many_elements_are_all_compared_and_a_part_of_them_diagnosed(large: np.ndarray[Any, Any], order: int) -> None:
    report = compare(torch.tanh, jnp.tanh, large, order=order, modes="jit")
    assert {c.points for c in report.comparisons} == {large.size}
    assert all(any(note.startswith("diagnosed at ") for note in c.notes) for c in report.comparisons)


def test_one_wrong_gradient_of_very_many_is_found(large: np.ndarray[Any, Any]) -> None:
    place = (1, 777)

    @jax.custom_vjp
    def jax_fn(x: Any) -> Any:
        return x * 2

    jax_fn.defvjp(lambda x: (x * 2, x), lambda x, g: (jnp.where(x == large[place], 3 * g, 2 * g),))
    report = compare(double, jax_fn, large, order=1, modes="jit")
    assert_fails(report, cause="definition", side="jax")
    assert report.decisive is not None
    assert (report.decisive.order, report.decisive.uncovered["definition"].worst.element) == (1, place)


def test_very_many_right_elements_agree_and_are_all_counted(large: np.ndarray[Any, Any]) -> None:
    report = compare(torch.tanh, jnp.tanh, large, order=0, modes="jit")
    assert report.passed, str(report)
    (comparison,) = report.comparisons
    assert comparison.points == sum(count.count for count in comparison.causes.values()) == large.size
    equal = int((torch.tanh(torch.from_numpy(large)).numpy() == np.asarray(jax.jit(jnp.tanh)(large))).sum())
    assert comparison.causes["exact"].count == equal


def test_very_many_elements_that_are_not_elementwise_are_compared(large: np.ndarray[Any, Any]) -> None:
    def wrong(x: Any) -> Any:
        return jnp.where(x == large[1, 5], x * 1.5, x - x.mean())

    assert compare(lambda x: x - x.mean(), lambda x: x - x.mean(), large, order=0, modes="jit").passed
    report = compare(lambda x: x - x.mean(), wrong, large, order=0, modes="jit")
    assert_fails(report, cause="definition", side=report.side)
    assert report.decisive is not None
    assert report.decisive.uncovered["definition"].worst.element == (1, 5)


# Rows.


def normalised(x: Any, epsilon: float = 1e-5) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)


def layer_norm(x: Any) -> Any:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


@pytest.fixture(scope="module")
def rows() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal((1500, 100)).astype(np.float32)


def test_very_many_rows_are_all_compared_and_a_part_of_them_diagnosed(rows: np.ndarray[Any, Any]) -> None:
    report = compare(layer_norm, normalised, rows, modes="jit")
    assert report.passed, str(report)
    assert {(c.order, c.points) for c in report.comparisons} == {(0, rows.size), (1, rows.size)}
    for comparison in report.comparisons:
        assert comparison.diagnosed is not None
        assert 0 < comparison.diagnosed < rows.size // 2
        assert sum(count.count for count in comparison.causes.values()) == rows.size


def test_one_wrong_entry_of_very_many_rows_is_found(rows: np.ndarray[Any, Any]) -> None:
    def wrong(x: Any) -> Any:
        return jnp.where(x == rows[777, 42], 1.001 * normalised(x), normalised(x))

    report = compare(layer_norm, wrong, rows, order=0, modes="jit")
    assert_fails(report, cause="definition", side=report.side)
    assert report.decisive is not None
    assert report.decisive.uncovered["definition"].count == 1
    assert report.decisive.uncovered["definition"].worst.element == (777, 42)
    (simplest,) = report.diagnosis.inputs.values()
    assert simplest.size <= 4


def test_a_wrong_row_of_small_numbers_among_very_many_is_found() -> None:
    """By 500 ULP, where elements next to 0 of right rows are off by more, as their terms cancel."""
    many = np.random.default_rng(0).standard_normal((6000, 100)).astype(np.float32)
    mark = float(many[3001, 0])

    def right(x: Any) -> Any:
        return torch.where(x[:, :1] == mark, 1e-6, 1.0) * layer_norm(x)

    def wrong(x: Any) -> Any:
        return jnp.where(x[:, :1] == mark, 1.00003e-6, 1.0) * normalised(x)

    report = compare(right, wrong, many, order=0, modes="jit")
    assert_fails(report, cause="definition", side=None)
    assert report.decisive is not None
    assert report.decisive.uncovered["definition"].worst.element[0] == 3001


def test_what_is_said_of_very_many_rows_counts_those_that_were_diagnosed(rows: np.ndarray[Any, Any]) -> None:
    report = compare(layer_norm, lambda x: normalised(x, 1e-3), rows, order=0, modes="jit")
    assert_fails(report, cause="definition", side=None)
    assert report.decisive is not None
    assert report.decisive.points == 150_000
    assert report.decisive.uncovered["definition"].count <= (report.decisive.diagnosed or 0) < report.decisive.points
    counted = Fact("diagnosed", f"{report.decisive.diagnosed:,}", where=f"{report.decisive.points:,} elements")
    assert counted.words() in " ".join(str(report).split())


def test_rows_that_depend_on_each_other_are_compared_whole(rows: np.ndarray[Any, Any]) -> None:
    report = compare(lambda x: x - x.mean(0), lambda x: x - x.mean(0), rows, order=0, modes="jit")
    assert report.passed
    assert [c.diagnosed for c in report.comparisons] == [None]


# Functions that depend on the position.


@pytest.fixture
def verdict_only(monkeypatch: pytest.MonkeyPatch, no_simpler_input: None) -> None:
    """Compare without the search how the functions differ, either."""
    monkeypatch.setattr("crosscheck._compare.diagnosis.how", lambda *_: None)


LINE = np.random.default_rng(0).standard_normal(140_000).astype(np.float32)
FROM = 100_000


def cut_off(x: Any) -> Any:
    namespace = torch if isinstance(x, torch.Tensor) else jnp
    return namespace.tanh(x) * (namespace.arange(len(x)) < FROM)


@pytest.mark.usefixtures("verdict_only")
@pytest.mark.parametrize(
    ("torch_fn", "jax_fn"),
    [
        (torch.tanh, cut_off),
        (cut_off, jnp.tanh),
        (torch.tanh, lambda x: jnp.tanh(x).at[90_000].add(1e-3)),
        (torch.tanh, lambda x: jnp.tanh(x).at[90_000].multiply(1 + 2e-6)),
        (cut_off, lambda x: jnp.tanh(x) * (jnp.arange(len(x)) <= FROM)),
    ],
    ids=["JAX", "PyTorch", "at one place", "by a few ULP", "both"],
)
def test_a_function_that_depends_on_the_position_is_another_one(torch_fn: Any, jax_fn: Any) -> None:
    """Where a part alone has other positions, it says nothing of the whole: nobody loses digits."""
    report = compare(torch_fn, jax_fn, LINE, order=0, modes="jit")
    assert_fails(report, cause="definition", side=None)
    assert report.decisive is not None
    (place,) = report.decisive.uncovered["definition"].worst.element or ()
    results = torch_fn(torch.from_numpy(LINE)).numpy(), np.asarray(jax_fn(jnp.asarray(LINE)))
    assert results[0][place] != results[1][place]
    assert "by position" in noted(report)


@pytest.mark.usefixtures("verdict_only")
def test_the_gradient_of_a_function_that_depends_on_the_position_is_judged_too() -> None:
    report = compare(cut_off, lambda x: cut_off(x) * jnp.where(jnp.arange(len(x)) < 50_000, 1, 2), LINE, modes="jit")
    assert_fails(report, cause="definition", side=None)
    assert {c.order for c in report.comparisons if not c.passed} == {0, 1}


def test_functions_that_depend_on_the_position_alike_agree() -> None:
    report = compare(cut_off, cut_off, LINE, modes="jit")
    assert report.passed, str(report)


@pytest.mark.usefixtures("verdict_only")
def test_rows_that_depend_on_the_position_are_other_ones() -> None:
    many = np.random.default_rng(0).standard_normal((1500, 100)).astype(np.float32)

    def scaled(x: Any) -> Any:
        return normalised(x) * jnp.where(jnp.arange(len(x)) < 1200, 1, 1.01)[:, None]

    report = compare(layer_norm, scaled, many, order=0, modes="jit")
    assert_fails(report, cause="definition", side=None)
    assert report.decisive is not None
    assert (report.decisive.uncovered["definition"].worst.element or (0,))[0] >= 1200


# Memory.


STATM = Path("/proc/self/statm")


@pytest.mark.skipif(not STATM.exists(), reason="the resident memory is read from /proc")
def test_memory_does_not_grow_from_call_to_call() -> None:
    import resource

    def resident(calls: int) -> float:
        for _ in range(calls):
            compare(torch.sin, jnp.sin, X, order=0, modes="eager")
        gc.collect()
        return int(STATM.read_text().split()[1]) * resource.getpagesize() / 2**20

    before = resident(30)
    assert resident(100) - before < 4
