"""The elementwise activations as a model uses them: shapes, dtypes and transformations; and what every one refuses."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import in_both
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from catalogue import ELEMENTWISE, NAMES
from contract import DTYPES, ORDER_IDS, ORDERS, budget
from floats import FORMATS, FloatArray, unit_of, widen
from in_both import FRAMEWORKS, TORCH_WARNS_OF_ITSELF, array, each_framework, make, x64
from judging import scale

import crosscheck

X = np.linspace(-4, 4, 24)
"""Inputs without a kink among them."""


def inputs(name: str, x: FloatArray = X) -> FloatArray:
    """These inputs, moved into the function's domain where that does not reach down to them."""
    low, _ = crosscheck.activations[name].domain
    return x if np.isinf(low) else x - x.min() + (low + 0.25)


every_activation = pytest.mark.parametrize("name", NAMES)
every_elementwise = pytest.mark.parametrize("name", ELEMENTWISE)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


pytestmark = TORCH_WARNS_OF_ITSELF


@pytest.fixture(autouse=True)
def _no_x64() -> Iterator[None]:
    """64 bits in JAX for a test that wants them: none may leave them on."""
    yield
    assert not jax.config.jax_enable_x64


def function_of(name: str, framework: str) -> Callable[..., Any]:
    return getattr(crosscheck.activations[name], framework)


def derivative(name: str, framework: str, x: FloatArray, order: int) -> FloatArray:
    return in_both.derivative(framework, function_of(name, framework), x, order, jit=True)


def assert_close(got: Any, expected: Any) -> None:
    """Equal up to the rounding of another order of the same operations in float32."""
    np.testing.assert_allclose(array(got), array(expected), rtol=2e-6, atol=1e-7)


@every_dtype
@each_framework
@every_elementwise
def test_shape_dtype_and_values_are_kept_in_every_layout(name: str, framework: str, dtype: str) -> None:
    function = function_of(name, framework)
    if framework == "jax":
        function = jax.jit(function)
    values = np.linspace(-3, 3, 24)
    with x64(dtype):
        flat = function(make(framework, values, dtype))
        assert str(flat.dtype).removeprefix("torch.") == dtype
        unit = float(np.ldexp(1.0, 1 - FORMATS[dtype].precision))
        for shape in ((), (0,), (3,), (2, 3, 4)):
            count = int(np.prod(shape))
            result = function(make(framework, values[:count].reshape(shape), dtype))
            assert tuple(result.shape) == shape
            assert result.dtype == flat.dtype
            np.testing.assert_allclose(array(result), array(flat)[:count].reshape(shape), rtol=8 * unit, atol=0)


@every_dtype
@every_elementwise
def test_a_tensor_that_is_not_contiguous_is_the_same_function(name: str, dtype: str) -> None:
    function = function_of(name, "torch")
    x = make("torch", inputs(name).reshape(4, 6), dtype)
    views = {"transposed": x.T, "strided": x[:, ::2], "expanded": x[:, :1].expand(4, 3)}
    for view in views.values():
        assert not view.is_contiguous()
        results = []
        for tensor in (view, view.contiguous()):
            leaf = tensor.detach().requires_grad_()
            value = function(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
            assert value.shape == gradient.shape == view.shape
            assert value.dtype == gradient.dtype == view.dtype
            results.append((array(value), array(gradient)))
        unit = float(np.ldexp(1.0, 1 - FORMATS[dtype].precision))
        np.testing.assert_allclose(results[0], results[1], rtol=4 * unit)


@pytest.mark.parametrize("order", ORDERS, ids=ORDER_IDS)
@every_dtype
@every_elementwise
def test_torch_and_jax_agree_within_the_budget(name: str, dtype: str, order: int) -> None:
    """In ULP of the larger result; of the formula's terms where they cancel. Subnormals, which XLA flushes, aside."""
    activation, fmt = crosscheck.activations[name], FORMATS[dtype]
    x = inputs(name, np.random.default_rng(11).uniform(-12, 12, 400)).astype(fmt.dtype)
    formula = (activation.derivative, activation.derivative, activation.second_derivative)[order]
    terms = scale(lambda m, x: formula(m, x, **activation.parameters), widen(x)) if order else np.zeros(x.shape)
    in_torch, in_jax = (widen(derivative(name, framework, x, order)) for framework in FRAMEWORKS)
    size = np.maximum(abs(in_torch), abs(in_jax))
    unit = unit_of(np.where(size < terms / 8, terms, size), fmt)
    assert np.isfinite(in_torch).all()
    assert (abs(in_torch - in_jax) / unit)[size >= fmt.smallest_normal].max(initial=0) <= budget(dtype, order)


@each_framework
@every_elementwise
def test_twice_differentiable(name: str, framework: str) -> None:
    """Both derivatives are the closed forms that the catalogue proves."""
    activation = crosscheck.activations[name]
    for order, formula in ((1, activation.derivative), (2, activation.second_derivative)):
        x = inputs(name)
        expected = np.broadcast_to(formula(np, x, **activation.parameters), x.shape)
        np.testing.assert_allclose(derivative(name, framework, x, order), expected, rtol=1e-13, atol=1e-15)


@every_elementwise
def test_gradcheck_and_gradgradcheck_pass_in_torch(name: str) -> None:
    """Finite differences, which know nothing of the rules that were given."""
    x = make("torch", inputs(name, np.array([-3.1, -0.7, 0.4, 2.3])), "float64").requires_grad_()
    assert torch.autograd.gradcheck(function_of(name, "torch"), (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function_of(name, "torch"), (x,))


@every_elementwise
def test_jax_transformations(name: str) -> None:
    """Each under jit, which is one compilation for all."""
    function = function_of(name, "jax")
    x = make("jax", inputs(name), "float32")
    cube = x.reshape(2, 3, 4)
    first, second = (derivative(name, "jax", inputs(name).astype(np.float32), order) for order in (1, 2))
    ones = jnp.ones_like(x)

    @jax.jit
    def results(x: Any) -> list[Any]:
        return [
            function(x),
            jax.vmap(function)(x),
            jax.vmap(jax.vmap(function, in_axes=1), in_axes=0)(cube).swapaxes(1, 2).ravel(),
            jax.jvp(function, (x,), (3 * ones,))[0],
            3 * jax.vmap(jax.grad(function))(x),
            jax.jvp(function, (x,), (3 * ones,))[1],
            jax.vjp(function, x)[1](3 * ones)[0],
            3 * jax.grad(lambda x: jax.checkpoint(function)(x).sum())(x),
            jax.vmap(jax.grad(jax.grad(function)))(x),
            jnp.diagonal(jax.hessian(lambda x: function(x).sum())(x)),
        ]

    names = (
        "value",
        "vmap",
        "vmap of vmap",
        "jvp's value",
        "grad",
        "jvp",
        "vjp",
        "checkpoint",
        "grad of grad",
        "hessian's diagonal",
    )
    value = function(x)
    expected = [value] * 4 + [3 * first] * 4 + [second] * 2
    for what, result, right in zip(names, results(x), expected, strict=True):
        assert result.dtype == x.dtype, what
        np.testing.assert_allclose(array(result), array(right), rtol=2e-6, atol=1e-7, err_msg=what)
    assert_close(jax.vmap(jax.grad(function))(x), first)


@every_elementwise
def test_torch_transformations(name: str) -> None:
    function = function_of(name, "torch")
    x = make("torch", inputs(name), "float32")
    first, second = (derivative(name, "torch", inputs(name).astype(np.float32), order) for order in (1, 2))
    first, second = torch.from_numpy(first), torch.from_numpy(second)
    assert_close(torch.func.vmap(function)(x), function(x))
    cube = x.reshape(2, 3, 4)
    assert_close(torch.func.vmap(torch.func.vmap(function, in_dims=1))(cube), function(cube).transpose(1, 2))
    assert_close(torch.func.vmap(torch.func.grad(function))(x), first)
    assert_close(torch.func.vmap(torch.func.grad(torch.func.grad(function)))(x), second)
    value, tangent = torch.func.jvp(function, (x,), (3 * torch.ones_like(x),))
    assert_close(value, function(x))
    assert_close(tangent, 3 * first)
    assert_close(torch.func.vjp(function, x)[1](3 * torch.ones_like(x))[0], 3 * first)
    assert_close(torch.func.hessian(lambda x: function(x).sum())(x), torch.diag(second))


@every_dtype
@each_framework
@every_elementwise
def test_forward_and_reverse_agree(name: str, framework: str, dtype: str) -> None:
    """Also the second derivative; torch switches forward mode off inside a rule, where an outer one would silently be 0."""
    function = function_of(name, framework)
    unit = float(np.ldexp(1.0, 1 - FORMATS[dtype].precision))
    if framework == "torch":

        def forward(f: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]

        def reverse(f: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x: torch.func.vjp(f, x)[1](torch.ones_like(x))[0]

    else:

        def forward(f: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1]

        def reverse(f: Callable[..., Any]) -> Callable[..., Any]:
            return lambda x: jax.vjp(f, x)[1](jnp.ones_like(x))[0]

    with x64(dtype):
        x = make(framework, inputs(name), dtype)
        expected = derivative(name, framework, inputs(name).astype(FORMATS[dtype].dtype), 1).astype(np.float64)
        np.testing.assert_allclose(array(forward(function)(x)), expected, rtol=4 * unit, atol=unit**2)
        expected = derivative(name, framework, inputs(name).astype(FORMATS[dtype].dtype), 2).astype(np.float64)
        seconds = {
            "forward over reverse": forward(reverse(function)),
            "reverse over forward": reverse(forward(function)),
            "forward over forward": forward(forward(function)),
        }
        for what, second in seconds.items():
            result = (jax.jit(second) if framework == "jax" else second)(x)
            assert result.dtype == x.dtype
            np.testing.assert_allclose(array(result), expected, rtol=8 * unit, atol=unit**2, err_msg=what)


def assert_compiled_agrees(name: str, compiler: str, dtype: str) -> None:
    """Value and gradient of a full graph, which is proven to have been compiled."""
    function = function_of(name, "torch")
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(function, backend=compiler, fullgraph=True)
    x = make("torch", inputs(name), dtype).requires_grad_()
    results = []
    for run in (compiled, function):
        value = run(x)
        assert value.dtype == x.dtype
        (gradient,) = torch.autograd.grad(value, x, 3 * torch.ones_like(value))
        results.append((array(value), array(gradient)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    unit = float(np.ldexp(1.0, 1 - FORMATS[dtype].precision))
    np.testing.assert_allclose(results[0], results[1], rtol=4 * unit, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@every_elementwise
def test_torch_compiles_value_and_gradient(name: str, dtype: str) -> None:
    assert_compiled_agrees(name, "aot_eager", dtype)


@pytest.mark.full
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="inductor needs a C++ compiler")
def test_torch_compiles_with_inductor() -> None:
    assert_compiled_agrees("sigmoid", "inductor", "float32")


REFUSED = {
    "list": (lambda m: [1.0, 2.0], "got list"),
    "float": (lambda m: 1.0, "got float"),
    "none": (lambda m: None, "got NoneType"),
    "numpy": (lambda m: np.ones(3, np.float32), "got ndarray"),
    "integers": (lambda m: m.ones(3, dtype=m.int32), "of dtype .*int32"),
    "booleans": (lambda m: m.ones(3, dtype=m.bool if m is torch else m.bool_), "of dtype .*bool"),
    "complex": (lambda m: m.ones(3, dtype=m.complex64), "of dtype .*complex64"),
    "float8": (
        lambda m: m.ones(3, dtype=m.float32).astype(m.float8_e5m2) if m is jnp else m.ones(3).to(m.float8_e5m2),
        "float8",
    ),
    "the-other-framework": (lambda m: torch.ones(3) if m is jnp else jnp.ones(3), "got (Tensor|ArrayImpl)"),
}


@pytest.mark.parametrize("what", REFUSED)
@each_framework
@every_activation
def test_what_is_no_float_array_of_the_framework_is_refused(name: str, framework: str, what: str) -> None:
    build, got = REFUSED[what]
    x = build({"torch": torch, "jax": jnp}[framework])
    with pytest.raises(TypeError, match=f"^{name}: x: .*{got}") as caught:
        function_of(name, framework)(x)
    message = str(caught.value)
    assert {"torch": "expected a torch.Tensor", "jax": "expected a jax.Array"}[framework] in message
    assert {"torch": "torch.as_tensor(", "jax": "jax.numpy.asarray("}[framework] in message


@each_framework
@every_activation
def test_an_unknown_parameter_is_refused_and_the_known_ones_named(name: str, framework: str) -> None:
    known = crosscheck.activations[name].parameters
    with pytest.raises(TypeError, match=f"{name}: got the parameter 'slope_of_mine', expected") as caught:
        function_of(name, framework)(make(framework, X, "float32"), slope_of_mine=1.0)
    assert str(caught.value).endswith(", ".join(known) or "no parameters")


def leaky(**changes: Any) -> crosscheck.Activation:
    """A record with a parameter and without natives."""
    plain: dict[str, Any] = {
        "name": "leaky",
        "parameters": {"slope": 0.25},
        "torch_value": lambda torch, x, slope: torch.where(x > 0, x, slope * x),
        "torch_gradient": lambda torch, x, slope: torch.where(x > 0, 1.0, slope),
        "torch_second": None,
        "jax_value": lambda jax, x, slope: jax.numpy.where(x > 0, x, slope * x),
        "jax_gradient": lambda jax, x, slope: jax.numpy.where(x > 0, 1.0, slope),
        "jax_second": None,
        "natives": {},
        "deviations": (),
    }
    return dataclasses.replace(crosscheck.activations["relu"], **{**plain, **changes})


@each_framework
def test_a_parameter_has_the_record_s_default_and_reaches_value_and_gradient(framework: str) -> None:
    function = getattr(leaky(), framework)
    x = make(framework, [-2.0, 2.0], "float32")
    assert array(function(x)).tolist() == [-0.5, 2.0]
    assert array(function(x, slope=0.5)).tolist() == [-1.0, 2.0]
    for slope in (0.25, 0.5):
        gradient = in_both.derivative(
            framework, lambda x, slope=slope: function(x, slope=slope), np.array([-2, 2], np.float32), 1
        )
        assert gradient.tolist() == [slope, 1.0]
    assert repr(function) == f"<leaky(x, slope=0.25) for {framework}>"


@each_framework
@every_activation
def test_native_is_what_the_framework_ships(name: str, framework: str) -> None:
    activation = crosscheck.activations[name]
    if framework not in activation.natives:
        with pytest.raises(AttributeError, match=f"{framework} ships no {name}"):
            _ = function_of(name, framework).native
        return
    x = make(framework, X, "float32")
    result = function_of(name, framework).native(x)
    assert type(result) is type(x)
    assert result.shape == {"row": (X.size,), "half": (X.size // 2,), "one": ()}[activation.result]


def test_native_is_the_very_function() -> None:
    relu = crosscheck.activations["relu"]
    assert relu.torch.native is torch.relu
    assert relu.jax.native is jax.nn.relu


@each_framework
def test_native_is_an_attribute_error_where_none_is_shipped(framework: str) -> None:
    function = getattr(leaky(), framework)
    with pytest.raises(AttributeError, match=f"{framework} ships no leaky"):
        _ = function.native
    assert not hasattr(function, "native")


def test_a_class_that_is_shipped_is_made_a_function() -> None:
    record = leaky(natives={"torch": crosscheck.Native("torch.nn.LeakyReLU")})
    assert array(record.torch.native(torch.tensor([-100.0, 5.0]))).tolist() == [-1.0, 5.0]
