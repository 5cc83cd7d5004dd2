"""PReLU's weight is learned: its gradient, in both frameworks, against torch's own prelu and against the formula."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from contract import DTYPES
from floats import FORMATS, Float64Array, widen
from in_both import each_framework
from rational import rounded_all
from torch.autograd import forward_ad

import crosscheck

pytestmark = pytest.mark.full

PRELU = crosscheck.activations["prelu"]
FRAMEWORKS = ("torch", "jax")
CASES = {
    "one": ((4, 3), (1,)),
    "one-for-a-scalar": ((), (1,)),
    "one-for-a-vector": ((24,), (1,)),
    "a-scalar": ((4, 3), ()),
    "channels-of-rows": ((4, 3), (3,)),
    "channels-of-images": ((2, 3, 4, 5), (3,)),
    "channels-as-many-as-columns": ((2, 5, 4, 5), (5,)),
}
"""Shapes of x and of the weight."""

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_case = pytest.mark.parametrize(("shape", "channels"), CASES.values(), ids=CASES)

Results = Sequence[Float64Array]
"""The value, and the gradients by x and by the weight."""


def drawn(shape: tuple[int, ...], channels: tuple[int, ...]) -> tuple[Float64Array, ...]:
    """x, a weight and a cotangent: few bits each, so that all products and sums are exact but for the last rounding."""
    rng = np.random.default_rng(5)
    x, cotangent = (np.asarray(rng.integers(-8, 9, shape) / 4) for _ in range(2))
    return x, np.asarray(rng.integers(-8, 9, channels) / 8), cotangent


def results(framework: str, function: Callable[..., Any], given: Sequence[Float64Array], dtype: str) -> Results:
    """Of ``function(x, weight)``."""
    if framework == "torch":
        x, weight, cotangent = (torch.tensor(array, dtype=getattr(torch, dtype), requires_grad=True) for array in given)
        y = function(x, weight)
        outputs = (y, *torch.autograd.grad(y, (x, weight), cotangent.detach()))
        assert [output.dtype for output in outputs] == [x.dtype] * 3
        return [output.detach().double().numpy() for output in outputs]
    with jax.enable_x64(dtype == "float64"):
        x, weight, cotangent = (jnp.asarray(array, dtype) for array in given)
        y, back = jax.vjp(function, x, weight)
        outputs = (y, *back(cotangent))
        assert [output.dtype for output in outputs] == [x.dtype] * 3
        return [widen(np.asarray(output)) for output in outputs]


def formula(given: Sequence[Float64Array], dtype: str) -> Results:
    x, weight, cotangent = given
    along = tuple(axis for axis in range(x.ndim) if weight.size == 1 or axis != 1)
    w = weight.reshape(-1, *(1 for _ in range(x.ndim - 2))) if weight.size > 1 else weight.reshape(())
    exact = (
        np.where(x > 0, x, w * x),
        np.where(x > 0, 1, w) * cotangent,
        (np.minimum(x, 0) * cotangent).sum(axis=along).reshape(weight.shape),
    )
    return [widen(rounded_all(np.asarray(array), FORMATS[dtype])) for array in exact]


def assert_same(got: Results, expected: Results) -> None:
    """To the bit, but for the sign of zero; shapes too."""
    for what, left, right in zip(("value", "gradient", "gradient of the weight"), got, expected, strict=True):
        assert left.shape == right.shape, what
        np.testing.assert_array_equal(left, right, err_msg=what)


def ours(framework: str, record: crosscheck.Activation = PRELU) -> Callable[..., Any]:
    return lambda x, weight: getattr(record, framework)(x, weight=weight)


@every_case
@every_dtype
@each_framework
def test_the_formula_holds(framework: str, dtype: str, shape: tuple[int, ...], channels: tuple[int, ...]) -> None:
    given = drawn(shape, channels)
    assert_same(results(framework, ours(framework), given, dtype), formula(given, dtype))


@every_case
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_it_is_torch_s_prelu(dtype: str, shape: tuple[int, ...], channels: tuple[int, ...]) -> None:
    given = drawn(shape, channels)
    native = results("torch", torch.nn.functional.prelu, given, dtype)
    assert_same(native, formula(given, dtype))
    for framework in FRAMEWORKS:
        assert_same(results(framework, ours(framework), given, dtype), native)


def positive_too(framework: Any, x: Any, weight: Any) -> Any:
    """PReLU whose positive inputs move the weight too."""
    m, stop = (torch, torch.Tensor.detach) if framework is torch else (jnp, jax.lax.stop_gradient)
    total = weight.sum()
    return PRELU.torch_value(framework, x, weight) + m.where(x > 0, x, 0 * x) * (total - stop(total))


def not_learned(framework: Any, x: Any, weight: Any) -> Any:
    """PReLU whose weight has no gradient but 0."""
    stop = torch.Tensor.detach if framework is torch else jax.lax.stop_gradient
    return PRELU.torch_value(framework, x, stop(weight)) + 0 * weight.sum()


FAULTS = {"positive-too": positive_too, "not-learned": not_learned}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@each_framework
def test_a_wrong_gradient_of_the_weight_is_caught(framework: str, fault: Callable[..., Any]) -> None:
    """While the value and the gradient by x, whose rule is given, are right."""
    given = drawn((2, 3, 4, 5), (3,))
    record = dataclasses.replace(PRELU, **{f"{framework}_value": fault})
    wrong = results(framework, ours(framework, record), given, "float32")
    assert_same([*wrong[:2], formula(given, "float32")[2]], formula(given, "float32"))
    with pytest.raises(AssertionError, match="gradient of the weight"):
        assert_same(wrong, formula(given, "float32"))


@each_framework
def test_infinities_leave_the_weight_s_gradient_alone(framework: str) -> None:
    """A positive one: 0 times infinity is not added."""
    given = [np.array([np.inf, 3e38, -2.0]), np.array([1.5]), np.ones(3)]
    value, by_x, by_weight = results(framework, ours(framework), given, "float32")
    assert value.tolist() == [np.inf, float(np.float32(3e38)), -3.0]
    assert by_x.tolist() == [1.0, 1.0, 1.5]
    assert by_weight.tolist() == [-2.0]


def of_gradient_by_weight(framework: str, function: Callable[..., Any], x: list[list[float]]) -> list[float]:
    """How the gradient by x, summed up, moves with the weight: what a gradient penalty needs."""
    weight = [0.5, 0.25, 0.125]
    if framework == "torch":
        inputs, w = torch.tensor(x, requires_grad=True), torch.tensor(weight, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(inputs, w).sum(), inputs, create_graph=True)
        return list(torch.autograd.grad(gradient.sum(), w)[0].tolist())
    gradient = jax.grad(lambda x, w: function(x, w).sum())
    return list(jax.grad(lambda w: gradient(jnp.array(x), w).sum())(jnp.array(weight)).tolist())


@each_framework
def test_the_gradient_s_derivative_by_the_weight(framework: str) -> None:
    """1 where x is not positive, at 0 too, where the gradient is the weight."""
    x = [[-1.0, -0.5, 2.0], [-3.0, 4.0, 5.0]]
    assert of_gradient_by_weight(framework, ours(framework), x) == [2.0, 1.0, 0.0]
    assert of_gradient_by_weight("torch", torch.nn.functional.prelu, x) == [2.0, 1.0, 0.0]
    assert of_gradient_by_weight(framework, ours(framework), [[0.0] * 3]) == [1.0] * 3


@each_framework
def test_the_second_derivatives_by_the_weight_and_x_are_the_same_in_either_order(framework: str) -> None:
    """In every mode: 1 where x, of the weight's channel, is negative."""
    function, transforms = ours(framework), {"torch": torch.func, "jax": jax}[framework]
    x, weight = ({"torch": torch.tensor, "jax": jnp.array}[framework](v) for v in ([[-1.0, 2.0], [-3.0, 4.0]], [0.5, 0.25]))

    def total(x: Any, weight: Any) -> Any:
        return function(x, weight).sum()

    of_weight_first = [[[1.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    of_x_first = [[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]]
    run = jax.jit if framework == "jax" else (lambda function: function)
    for first, second in itertools.product((transforms.jacrev, transforms.jacfwd), repeat=2):
        for by, expected in ((1, of_weight_first), (0, of_x_first)):
            assert run(second(first(total, by), 1 - by))(x, weight).tolist() == expected, (first, second, by)


def test_autograd_takes_the_weight_s_gradient_s_derivative_by_x() -> None:
    x = torch.tensor([[-1.0, 2.0], [-3.0, 4.0]], requires_grad=True)
    weight = torch.tensor([0.5, 0.25], requires_grad=True)
    (by_weight,) = torch.autograd.grad(ours("torch")(x, weight).sum(), weight, create_graph=True)
    assert torch.autograd.grad(by_weight.sum(), x)[0].tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_forward_mode_takes_a_direction_of_the_weight_of_x_or_of_both() -> None:
    """As torch's own prelu does, off 0."""
    x, weight = torch.tensor([[-1.0, 2.0], [-3.0, 4.0]]), torch.tensor([0.5, 0.25])
    for moved in ((0,), (1,), (0, 1)):
        tangents = []
        for function in (ours("torch"), torch.nn.functional.prelu):
            with forward_ad.dual_level():
                given = [
                    forward_ad.make_dual(tensor, tensor + 1) if k in moved else tensor
                    for k, tensor in enumerate((x, weight))
                ]
                tangents.append(forward_ad.unpack_dual(function(*given)).tangent.tolist())
        assert tangents[0] == tangents[1], moved


def test_torch_takes_another_side_at_0_when_it_differentiates_again() -> None:
    """Its gradient at 0 is the weight, whose derivative by the weight it says is 0."""
    x = torch.zeros(1, 3, requires_grad=True)
    torch.nn.functional.prelu(x, torch.tensor([0.5, 0.25, 0.125])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.5, 0.25, 0.125]]
    assert of_gradient_by_weight("torch", torch.nn.functional.prelu, [[0.0] * 3]) == [0.0] * 3


@each_framework
def test_float32_weights_serve_wider_and_narrower_inputs(framework: str) -> None:
    """The result has the input's dtype."""
    m = {"torch": torch, "jax": jnp}[framework]
    with jax.enable_x64(True):
        weight = m.ones(3, dtype=m.float32)
        for dtype in (m.float64, m.bfloat16):
            x = m.ones((2, 3), dtype=dtype)
            assert ours(framework)(x, weight).dtype == x.dtype


@pytest.mark.parametrize(("shape", "channels"), [((4, 3), (2,)), ((3,), (3,)), ((4, 3), (4, 3)), ((2, 3, 4), (4,))], ids=str)
@each_framework
def test_a_weight_of_another_shape_is_refused(framework: str, shape: tuple[int, ...], channels: tuple[int, ...]) -> None:
    m = {"torch": torch, "jax": jnp}[framework]
    with pytest.raises(ValueError, match=r"^prelu: weight: got shape .*, expected one number"):
        ours(framework)(m.ones(shape), m.ones(channels))
