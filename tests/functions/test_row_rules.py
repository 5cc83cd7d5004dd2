"""The derivatives of every function of rows in every mode of both frameworks, against JAX's own of the definition."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from catalogue import ROWS
from floats import Float64Array
from in_both import TORCH_WARNS_OF_ITSELF, each_framework

import crosscheck
from crosscheck import SpecError

pytestmark = TORCH_WARNS_OF_ITSELF

each = pytest.mark.parametrize("name", ROWS)
X, V, W = (np.random.default_rng(seed).uniform(-2, 2, 6) for seed in (1, 2, 3))
FURTHER = np.random.default_rng(4).uniform(-2, 2, (3, 6))


def defined(name: str) -> Callable[[Any], Any]:
    """The definition in JAX."""
    activation = crosscheck.activations[name]
    return lambda x: activation.definition(jnp, x, **activation.parameters)


def function_of(name: str, framework: str) -> Callable[..., Any]:
    """Our own function; where it drops the axis of the row, that is put back, as the definition keeps it."""
    activation = crosscheck.activations[name]
    function = getattr(activation, framework)
    if activation.result != "one":
        return function
    m: Any = {"torch": torch.unsqueeze, "jax": jnp.expand_dims}[framework]
    return lambda x, axis=-1: m(function(x, axis=axis), axis)


def array(result: Any) -> Float64Array:
    return np.asarray(result.detach() if isinstance(result, torch.Tensor) else result, np.float64)


def assert_close(got: Any, expected: Any, what: str = "") -> None:
    np.testing.assert_allclose(array(got), array(expected), rtol=1e-12, atol=1e-13, err_msg=what)


def tools(framework: str) -> tuple[Any, Callable[[Float64Array], Any], Callable[[Any], Any]]:
    """What differentiates, what makes an array, and what compiles."""
    return (torch.func, torch.from_numpy, lambda f: f) if framework == "torch" else (jax, jnp.asarray, jax.jit)


@each_framework
@each
def test_jacobians_and_hessians_in_every_mode(name: str, framework: str) -> None:
    m, make, compiled = tools(framework)
    function = function_of(name, framework)
    with jax.enable_x64(True):
        first, second = jax.jacfwd(defined(name))(X), jax.jacfwd(jax.jacfwd(defined(name)))(X)
        for mode in ("jacrev", "jacfwd"):
            assert_close(compiled(getattr(m, mode)(function))(make(X)), first, mode)
        for outer, inner in itertools.product(("jacrev", "jacfwd"), repeat=2):
            assert_close(compiled(getattr(m, outer)(getattr(m, inner)(function)))(make(X)), second, f"{outer} {inner}")


@each_framework
@each
def test_products_with_directions(name: str, framework: str) -> None:
    """Also differentiated by the direction that reverse mode starts from, in which it is linear."""
    m, make, compiled = tools(framework)
    function = function_of(name, framework)
    with jax.enable_x64(True):
        j, h = jax.jacfwd(defined(name))(X), jax.jacfwd(jax.jacfwd(defined(name)))(X)
        v = V[: j.shape[0]]

        def back(x: Any, v: Any) -> Any:
            return m.vjp(function, x)[1](v)[0]

        assert_close(compiled(back)(make(X), make(v)), v @ j, "J^T v")
        assert_close(compiled(lambda x: m.jvp(function, (x,), (make(W),))[1])(make(X)), j @ W, "J w")
        mixed = compiled(lambda x: m.jvp(lambda x: back(x, make(v)), (x,), (make(W),))[1])
        assert_close(mixed(make(X)), np.einsum("ijk,i,k->j", h, v, W), "forward over reverse")
        again = compiled(lambda x: m.vjp(lambda x: back(x, make(v)), x)[1](make(W))[0])
        assert_close(again(make(X)), np.einsum("ijk,i,j->k", h, v, W), "reverse over reverse")
        by_v = compiled(lambda v: m.vjp(lambda v: back(make(X), v), v)[1](make(W))[0])
        assert_close(by_v(make(v)), j @ W, "by the direction")


@each_framework
@each
def test_vmap_and_axes(name: str, framework: str) -> None:
    m, make, _ = tools(framework)
    function = function_of(name, framework)
    with jax.enable_x64(True):
        expected = np.stack([defined(name)(row) for row in FURTHER])
        assert_close(m.vmap(function)(make(FURTHER)), expected)
        columns = m.vmap(lambda x: function(x, axis=0), **{{"torch": "in_dims", "jax": "in_axes"}[framework]: 1})
        assert_close(columns(make(FURTHER.T.copy())), expected)
        assert_close(function(make(FURTHER.T.copy()), axis=0), np.moveaxis(expected, 0, -1))
        assert_close(m.vmap(m.vmap(function))(make(FURTHER[None])), expected[None])
        for mode in (m.jacrev, m.jacfwd):
            jacobians = np.stack([jax.jacfwd(defined(name))(row) for row in FURTHER])
            assert_close(m.vmap(mode(function))(make(FURTHER)), jacobians)
        assert_close(
            m.vmap(m.hessian(function))(make(FURTHER)), np.stack([jax.hessian(defined(name))(row) for row in FURTHER])
        )


@each
def test_torch_compiles_value_and_gradient(name: str) -> None:
    """In a full graph, which is proven to have been compiled."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    function = function_of(name, "torch")
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    results = []
    for run in (compiled, function):
        x = torch.from_numpy(FURTHER).requires_grad_()
        value = run(x)
        (gradient,) = torch.autograd.grad(value, x, torch.from_numpy(FURTHER[:, : value.shape[-1]]).reshape(value.shape))
        results.append((array(value), array(gradient)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    for got, expected in zip(*results, strict=True):
        assert_close(got, expected)


def test_a_rule_of_forward_mode_is_given_where_it_is_needed_and_only_there() -> None:
    softmax = crosscheck.activations["softmax"]
    values = {field: getattr(softmax, field) for field in softmax.__dataclass_fields__}
    with pytest.raises(
        SpecError, match="softmax: torch_along: expected if and only if torch_second is given and J is not symmetric"
    ):
        crosscheck.Activation(**values | {"symmetric": False})
    with pytest.raises(SpecError, match="softmax: jax_along: expected"):
        crosscheck.Activation(**values | {"jax_along": softmax.jax_gradient})
