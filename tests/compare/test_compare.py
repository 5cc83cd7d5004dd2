"""What compare says: what running shows is a failed report; sides against a definition; what is accepted; large inputs."""

import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compared import X, assert_fails, double, noted, raising

from crosscheck import compare

pytestmark = pytest.mark.full

KINK = np.array([-1.0, 0.0, 1.0, 2.0], np.float32)
NAN = float("nan")


# What running finds.


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("sides", [("torch",), ("jax",), ("torch", "jax")], ids=" and ".join)
def test_a_side_that_raises_is_named_and_its_exception_kept(sides: tuple[str, ...], order: int) -> None:
    errors = {"torch": RuntimeError("no such\nkernel"), "jax": ZeroDivisionError("of zero")}
    functions = [raising(errors[side]) if side in sides else double for side in ("torch", "jax")]
    report = compare(*functions, X, order=order)
    said = {
        "torch": "the torch function raised RuntimeError: no such",
        "jax": "the JAX function raised ZeroDivisionError: of zero",
    }
    assert_fails(report, *(said[side] for side in sides), side="both" if len(sides) > 1 else sides[0])
    assert set(report.exceptions) == {*sides}
    assert all(report.exceptions[side] is errors[side] for side in sides)


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_side_that_raises_in_its_backward_pass_alone_is_named(side: str) -> None:
    error = RuntimeError("not differentiable")

    class Torch(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            raise error

    @jax.custom_vjp
    def jax_fn(x: Any) -> Any:
        return x * 2

    jax_fn.defvjp(lambda x: (x * 2, None), raising(error))
    functions = {"torch": (Torch.apply, double), "jax": (double, jax_fn)}[side]
    report = compare(*functions, X)
    assert_fails(report, "raised RuntimeError: not differentiable", side=side)
    assert report.exceptions == {side: error}
    assert [(c.order, c.passed) for c in report.comparisons if c.order == 0] == [(0, True), (0, True)]
    assert compare(*functions, X, order=0).passed


def test_values_are_judged_where_gradients_raise() -> None:
    def no_gradient(x: Any) -> Any:
        return jax.pure_callback(lambda x: np.float32(2.1) * x, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    report = compare(double, no_gradient, X)
    assert_fails(report, cause="definition")
    assert [c.order for c in report.comparisons if c.message is not None] == [1, 1]
    assert set(report.exceptions) == {"jax"}


def test_gradients_are_judged_where_second_derivatives_raise() -> None:
    @jax.custom_vjp
    def once(x: Any) -> Any:
        return x * x

    def backward(x: Any, cotangent: Any) -> Any:
        doubled = jax.pure_callback(lambda x: x + x, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        return (doubled * cotangent,)

    once.defvjp(lambda x: (x * x, x), backward)
    report = compare(lambda x: x * x, once, X, order=2)
    assert_fails(report, "the second derivative of the JAX function raised", side="jax")
    assert {c.order for c in report.comparisons if c.passed} == {0, 1}


@pytest.mark.parametrize("inputs", [np.arange(4), [np.arange(4), np.array([True])], torch.arange(3)], ids=str)
def test_integers_alone_are_compared_without_derivatives(inputs: Any) -> None:
    report = compare(lambda *x: x[0] * 2, lambda *x: x[0] * 2, inputs)
    assert report.passed
    assert {c.order for c in report.comparisons} == {0}
    assert {c.order for c in compare(double, double, X).comparisons} == {0, 1}


def test_a_story_lists_the_outputs_that_agree_too() -> None:
    def outputs(factor: float) -> Any:
        return lambda x: {"loss": x * factor, "logits": x * 2, "hidden": x + 1}

    report = compare(outputs(1.0), outputs(1.1), X)
    assert not report.passed
    lines = report.story().splitlines()
    assert [line.split() for line in lines if line.startswith("  agree ")] == [
        ["agree", "value", "of", "y['hidden'],", "y['logits']"],
        ["agree", "gradient", "of", "y['hidden']", "by", "x,", "y['logits']", "by", "x"],
    ]
    assert len(lines) < 25
    many = compare(lambda x: [x] * 20, lambda x: [x] * 20, X, order=0).story()
    assert "value of " + ", ".join(f"y[{i}]" for i in range(8)) + " and 12 more" in many


def test_an_interrupt_is_not_kept_from_the_caller() -> None:
    def interrupted(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(interrupted, double, X)


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "parts"),
    [
        (lambda x: (x, x), lambda x: {"a": x}, ("structure", "[array, array]", "{'a': array}")),
        (lambda x: (x, x), lambda x: (x,), ("structure", "[array, array]", "[array]")),
        (lambda x: {"a": x}, lambda x: {"b": x}, ("structure", "{'a': array}", "{'b': array}")),
        (lambda x: (x, None), lambda x: (x, x), ("structure", "[array, None]", "[array, array]")),
        (lambda x: x[:3], lambda x: x, ("shape", "y is (3,) in torch, (4,) in JAX")),
        (lambda x: (x, x), lambda x: (x, x[None]), ("shape", "y[1] is (4,) in torch, (1, 4) in JAX")),
        (lambda x: x.sum(), lambda x: x.sum(keepdims=True), ("shape", "y is () in torch, (1,) in JAX")),
        (lambda x: x.bfloat16(), lambda x: x, ("dtype", "y is bfloat16 in torch, float32 in JAX")),
        (lambda x: x > 0, lambda x: (x > 0).astype("float32"), ("dtype", "y is bool in torch, float32 in JAX")),
        (lambda x: {"n": x.int()}, lambda x: {"n": x}, ("dtype", "y['n'] is int32 in torch, float32 in JAX")),
    ],
)
@pytest.mark.parametrize("order", [0, 1])
def test_outputs_of_other_structure_shape_or_dtype_fail_and_say_how(
    torch_fn: Any, jax_fn: Any, parts: tuple[str, ...], order: int
) -> None:
    assert_fails(compare(torch_fn, jax_fn, X, order=order), "the outputs differ in", *parts)


def test_lists_and_tuples_and_widths_of_integers_are_alike() -> None:
    assert compare(lambda x: [x, x.argmax()], lambda x: (x, x.argmax()), X, order=0).passed


@pytest.mark.parametrize(
    ("value", "said"),
    [("abc", "str"), (object(), "object"), (None, "nothing"), ([], "nothing"), ([1.0, "abc"], "str as y[1]")],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("side", ["torch", "jax"])
def test_what_is_not_an_array_is_a_failure_of_who_returned_it(value: Any, said: str, side: str) -> None:
    functions = {"torch": (lambda x: value, double), "jax": (double, lambda x: value)}[side]
    assert_fails(compare(*functions, X), f"{ {'torch': 'torch', 'jax': 'JAX'}[side] } function returned {said}", side=side)


def test_complex_outputs_are_a_failure_that_teaches() -> None:
    assert_fails(compare(double, lambda x: x + 1j, X), "complex64", "real and imaginary", side="jax")


@pytest.mark.parametrize("order", [0, 1])
def test_python_numbers_are_outputs_too(order: int) -> None:
    assert compare(lambda x: 2.0, lambda x: 2.0, X, order=order).passed
    assert not compare(lambda x: 2.0, lambda x: 3.0, X, order=order).passed


def test_outputs_without_elements_are_not_called_nan() -> None:
    report = compare(lambda x: x[:0], lambda x: x[:0], X, order=0)
    assert_fails(report, "empty")


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_detached_gradient_is_missing(side: str) -> None:
    functions = {
        "torch": (lambda x: torch.sin(x.detach()), jnp.sin),
        "jax": (torch.sin, lambda x: jnp.sin(jax.lax.stop_gradient(x))),
    }[side]
    report = compare(*functions, X)
    assert_fails(report, "has no gradient", cause="missing", side=side)
    assert all(c.passed == (c.order == 0) for c in report.comparisons)


def test_a_gradient_that_both_sides_detach_is_the_same() -> None:
    assert compare(lambda x: torch.sin(x.detach()), lambda x: jnp.sin(jax.lax.stop_gradient(x)), X).passed


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("x", [X, X[:1]], ids=["four elements", "one element"])
def test_dropout_is_not_deterministic_even_where_it_drops_nothing(x: Any, order: int) -> None:
    report = compare(lambda x: F.dropout(x, 1e-12), lambda x: x, x, order=order)
    assert_fails(report, "torch", "not deterministic", side="torch")


@pytest.mark.parametrize("draw", [random.random, np.random.random], ids=["Python", "numpy"])
@pytest.mark.parametrize("spread", [1.0, 0.0], ids=["other results", "the same results"])
@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_side_that_draws_random_numbers_is_not_deterministic(draw: Any, spread: float, side: str) -> None:
    def drawing(x: Any) -> Any:
        return x * (1 + spread * float(draw()))

    functions = {"torch": (drawing, lambda x: x), "jax": (lambda x: x, drawing)}[side]

    assert_fails(compare(*functions, X, order=0, modes="eager"), "not deterministic", side=side)


def test_a_side_with_a_memory_is_not_deterministic() -> None:
    calls: list[int] = []

    def counting(x: Any) -> Any:
        calls.append(1)
        return x + len(calls)

    assert_fails(compare(double, counting, X, order=0), "JAX", "not deterministic", side="jax")


@pytest.mark.parametrize("order", [0, 1])
def test_last_digits_that_change_from_run_to_run_are_said_and_judged(order: int) -> None:
    calls: list[int] = []

    def uneven(x: Any) -> Any:
        calls.append(1)
        return x * 2 * (1 + len(calls) % 2 * 1e-6)

    report = compare(uneven, lambda x: x * 2.0001, X, order=order)
    assert_fails(report, cause="definition")
    assert "uneven" in noted(report)
    report = compare(lambda x: uneven(x).to(torch.int64), lambda x: x, np.array([2.0**30]), order=0)
    assert_fails(report, "not deterministic", side="torch")


def test_a_gradient_that_draws_is_not_deterministic() -> None:
    class Noisy(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            return gradient * 2 * (1 + torch.rand(()))

    assert_fails(compare(Noisy.apply, double, X), "torch", "not deterministic", side="torch")
    assert compare(Noisy.apply, double, X, order=0).passed


@pytest.mark.parametrize(
    "change", [lambda x: x.mul_(2), lambda x: x.data.mul_(2), lambda x: x[0].fill_(7)], ids=["mul_", "data", "view"]
)
@pytest.mark.parametrize("order", [0, 1])
def test_an_input_changed_in_place_is_a_failure_and_jax_never_sees_it(change: Any, order: int) -> None:
    seen: list[list[float]] = []

    def torch_fn(x: Any, y: Any) -> Any:
        change(y)
        return x + y

    def jax_fn(x: Any, y: Any) -> Any:
        if not isinstance(y, jax.core.Tracer):
            seen.append(np.asarray(y).tolist())
        return x + y

    tensor = torch.from_numpy(X.copy())
    report = compare(torch_fn, jax_fn, [tensor, tensor], order=order)
    assert_fails(report, "torch function changes its input x1 in place", side="torch")
    assert seen
    assert all(y == X.tolist() for y in seen)
    assert tensor.tolist() == X.tolist()


@pytest.mark.parametrize("order", [0, 1])
def test_nan_everywhere_on_both_sides_is_nothing_compared(order: int) -> None:
    report = compare(lambda x: x * NAN, lambda x: x * NAN, X, order=order)
    assert_fails(report, "NaN everywhere", "nothing was compared")
    assert report.compared == 0


def test_nan_at_some_places_of_both_sides_leaves_the_others() -> None:
    report = compare(torch.log, jnp.log, X, order=0)
    assert report.passed
    assert {c.points for c in report.comparisons} == {2}


def if_positive(x: Any) -> Any:
    return x * 2 if x.sum() > 0 else x * 3


@pytest.mark.parametrize(
    ("order", "modes"),
    [
        (0, ("eager", "jit")),
        (1, ("eager", "jit")),
        (2, ("eager", "jit")),
        (0, "jit"),
        (1, "jit"),
    ],
)
def test_what_cannot_be_traced_is_compared_eagerly_and_said(order: int, modes: Any) -> None:
    report = compare(if_positive, if_positive, X, order=order, modes=modes)
    assert report.passed, str(report)
    assert {c.mode for c in report.comparisons} == {"eager"}
    assert noted(report) == {"untraceable"}
    assert not compare(if_positive, lambda x: if_positive(x) * 1.01, X, order=order, modes=modes).passed


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn"),
    [
        (torch.sin, lambda x: jnp.asarray(np.sin(np.asarray(x)))),
        (lambda x: x * x.sum().item(), lambda x: x * x.sum().item()),
        (lambda x: x[x > 0], lambda x: x[x > 0]),
        (lambda x: x[: int(x.max())], lambda x: x[: int(x.max())]),
        (torch.unique, jnp.unique),
    ],
    ids=["numpy", "item", "mask", "slice", "unique"],
)
def test_each_way_of_not_being_traceable_is_said(torch_fn: Any, jax_fn: Any) -> None:
    report = compare(torch_fn, jax_fn, X, order=0)
    assert report.passed, str(report)
    assert "untraceable" in noted(report)


def within_0_and_1(m: Any) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        if not isinstance(x, jax.core.Tracer) and (float(x.min()) < 0 or float(x.max()) > 1):
            raise ValueError("beyond 0 and 1")
        return m.sqrt(x) * 2

    return function


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_function_that_refuses_what_lies_beyond_the_inputs_is_judged_at_them(dtype: str) -> None:
    x = np.array([0.0, 0.25, 0.5, 1.0])
    torch_fn = within_0_and_1(torch)
    assert compare(torch_fn, within_0_and_1(jnp), x, order=0, dtype=dtype).passed
    report = compare(torch_fn, lambda x: jnp.sqrt(x) * 2.1, x, order=0, dtype=dtype)
    assert_fails(report, cause="definition")


def test_cross_entropy_at_its_ends_is_judged() -> None:
    p, y = np.array([0.0, 1.0, 0.3, 0.6]), np.array([0.0, 1.0, 1.0, 0.0])
    assert_fails(compare(F.binary_cross_entropy, lambda p, y: abs(p - y).mean(), [p, y], wrt=0, order=0), cause="definition")


def test_one_output_of_several_that_differs_is_named() -> None:
    report = compare(lambda x: {"a": x, "b": (x, x * 2)}, lambda x: {"a": x, "b": (x, x * 3)}, X, order=0)
    assert_fails(report, cause="definition")
    assert {c.output for c in report.comparisons if not c.passed} == {"y['b'][1]"}
    assert report.decisive is not None
    assert report.decisive.output == "y['b'][1]"
