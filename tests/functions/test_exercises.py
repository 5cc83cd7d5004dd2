"""The exercises of a first lesson on autograd, in both frameworks, against the explicit formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from in_both import each_framework

import crosscheck

pytestmark = pytest.mark.full

FORMULAS = {
    "sigmoid": lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
    "linear": np.ones_like,
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
}
AT = np.array([-1.0, 1.0], np.float32)


def gradients(name: str) -> dict[str, np.ndarray]:
    """The gradients at -1 and 1, from torch and from JAX."""
    activation = crosscheck.activations[name]
    x = torch.tensor(AT, requires_grad=True)
    activation.torch(x).sum().backward()
    assert x.grad is not None
    return {"torch": x.grad.numpy(), "jax": np.asarray(jax.grad(lambda x: activation.jax(x).sum())(jnp.asarray(AT)))}


@each_framework
@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradient_is_the_formula(name: str, framework: str) -> None:
    np.testing.assert_allclose(gradients(name)[framework], FORMULAS[name](AT.astype(np.float64)), rtol=2e-7)


def test_the_sigmoid_at_minus_one_and_one() -> None:
    sigmoid = crosscheck.activations["sigmoid"]
    for values in (sigmoid.torch(torch.tensor(AT)).numpy(), np.asarray(sigmoid.jax(jnp.asarray(AT)))):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, [0.2689414322, 0.7310585976], rtol=0, atol=1e-10)
    for gradient in gradients("sigmoid").values():
        np.testing.assert_allclose(gradient, [0.1966119408, 0.1966119408], rtol=0, atol=3e-8)


def test_a_parabola_and_its_gradient_at_two() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x**2 + 2 * x + 1
    y.backward()
    assert (y.item(), x.grad.item()) == (9.0, 6.0)  # type: ignore[union-attr]
    value, gradient = jax.value_and_grad(lambda x: x**2 + 2 * x + 1)(2.0)
    assert (float(value), float(gradient)) == (9.0, 6.0)


def test_the_gradient_of_a_sum_is_ones() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]  # type: ignore[union-attr]
    assert jax.grad(jnp.sum)(jnp.array([1.0, 2.0, 3.0])).tolist() == [1, 1, 1]
