"""The properties of sigmoid that people rely on: nonlinear, smooth, bounded, monotonic."""

import jax
import numpy as np
import torch
from floats import Float64Array
from hypothesis import example, given, settings
from hypothesis import strategies as st
from in_both import TORCH_WARNS_OF_ITSELF, array, derivative, each_framework, make

import crosscheck

pytestmark = TORCH_WARNS_OF_ITSELF

SIGMOID = crosscheck.activations["sigmoid"]
STEEPEST = 0.0963
"""The largest second derivative of sigmoid is 1/(6 sqrt 3), so this bounds how fast its gradient changes."""
moderate = st.floats(-30, 30, width=32, allow_subnormal=False)
anything = st.floats(allow_nan=False, width=32, allow_subnormal=True)
steps = st.floats(0.0009765625, 0.5, width=32, allow_subnormal=False)
hypothesised = settings(deadline=None, max_examples=60, derandomize=True, database=None)


def sigmoid(framework: str, *values: float) -> Float64Array:
    return array(getattr(SIGMOID, framework)(make(framework, values, "float32")))


def slopes(framework: str, *values: float) -> Float64Array:
    if framework == "torch":
        x = make("torch", values, "float32").requires_grad_()
        return array(torch.autograd.grad(SIGMOID.torch(x).sum(), x)[0])
    return array(jax_slopes(make("jax", values, "float32")))


jax_slopes = jax.jit(jax.vmap(jax.grad(SIGMOID.jax)))


@each_framework
@hypothesised
@given(x=st.floats(0.5, 10, width=32), factor=st.floats(1.5, 4, width=32))
def test_sigmoid_is_nonlinear(framework: str, x: float, factor: float) -> None:
    """Measured from its centre it grows by less than its argument does: homogeneity fails."""
    centred = sigmoid(framework, x, factor * x) - sigmoid(framework, 0.0)
    assert centred[1] < factor * centred[0] * (1 - 1e-3)


@each_framework
@hypothesised
@given(x=moderate, step=steps)
@example(x=1.3169579, step=0.001)
@example(x=-0.25, step=0.5)
def test_sigmoid_is_smooth(framework: str, x: float, step: float) -> None:
    """The gradient has no jump: it changes by at most the Lipschitz bound times the step, and float32's rounding."""
    near, far = np.float32(x), np.float32(x + step)
    first, second = slopes(framework, float(near), float(far))
    assert abs(second - first) <= STEEPEST * abs(float(far) - float(near)) + 1e-7
    assert 0 < first <= 0.25


@each_framework
def test_the_smoothness_bound_would_find_a_jump(framework: str) -> None:
    """ReLU's slope breaks the bound across its kink."""
    relu = crosscheck.activations["relu"]
    gradient = derivative(framework, getattr(relu, framework), np.array([-1e-3, 1e-3], np.float32), 1)
    assert gradient[1] - gradient[0] > STEEPEST * 2e-3 + 1e-7


@each_framework
@hypothesised
@given(x=anything)
def test_sigmoid_is_bounded_by_0_and_1(framework: str, x: float) -> None:
    (value,) = sigmoid(framework, x)
    assert 0 <= value <= 1
    if abs(x) < 15:
        assert 0 < value < 1


@each_framework
@hypothesised
@given(x=anything, y=anything)
@example(x=-0.0, y=0.0)
@example(x=-float("inf"), y=float("inf"))
@example(x=15.0, y=float(np.nextafter(np.float32(15), np.float32(16))))
def test_sigmoid_is_monotonic(framework: str, x: float, y: float) -> None:
    low, high = sigmoid(framework, min(x, y), max(x, y))
    assert low <= high
    if abs(x) < 8 and abs(y) < 8 and abs(x - y) > 0.01:
        assert low < high
