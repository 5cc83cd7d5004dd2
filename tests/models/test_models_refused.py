"""What ``compare_models`` refuses, with one message, and the inputs and modules that it takes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from zoo import ARCHITECTURES

import crosscheck

MODEL = torch.nn.Linear(4, 2)
PARAMS = {name: jnp.asarray(value.detach().numpy()) for name, value in MODEL.named_parameters()}
INPUTS = [np.linspace(-1, 1, 12).reshape(3, 4)]


def port(p: Any, x: Any) -> Any:
    return x @ p["weight"].T + p["bias"]


def branching(p: Any, x: Any) -> Any:
    return port(p, x if x.sum() > 0 else -x)


def in_numpy(p: Any, x: Any) -> Any:
    return np.asarray(port(p, x))


@pytest.mark.parametrize(
    ("model", "params", "said"),
    [
        (branching, PARAMS, "jax_model: jax.make_jaxpr raises TracerBoolConversionError: Attempted boolean conversion"),
        (in_numpy, PARAMS, "jax_model: jax.make_jaxpr raises TracerArrayConversionError"),
        (port, {"weight": PARAMS["weight"]}, "jax_model: jax.make_jaxpr raises KeyError: 'bias'"),
        (lambda p, x: port(p, x)[:2], PARAMS, "has the shape (2, 2), torch's has (3, 2)"),
        (port, None, "jax_model: got a function without its parameters"),
        (3, PARAMS, "jax_model: got int, expected a module of flax or equinox, or a function with params="),
        (
            lambda p, x: (port(p, x), x),
            PARAMS,
            "jax_model: returned [array, array], expected what torch_model returns, array",
        ),
    ],
)
def test_a_model_that_cannot_be_compared_is_refused_with_what_it_raised(model: Any, params: Any, said: str) -> None:
    with pytest.raises(crosscheck.UsageError) as raised:
        crosscheck.compare_models(MODEL, model, INPUTS, params=params, order=0)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (3, "torch_to_jax: got int, expected a function"),
        (
            lambda inputs: inputs[1],
            "torch_to_jax: it raised IndexError: list index out of range; expected it to return the list of JAX's inputs",
        ),
        (lambda inputs: inputs[0], "torch_to_jax: it returned ndarray, expected the list of JAX's inputs"),
    ],
)
def test_a_wrong_layout_of_inputs_is_refused(function: Any, said: str) -> None:
    with pytest.raises(crosscheck.UsageError) as raised:
        crosscheck.compare_models(MODEL, port, INPUTS, params=PARAMS, torch_to_jax=function, order=0)
    assert str(raised.value) == said


def test_integers_of_64_bits_are_indices_as_those_of_32() -> None:
    table = torch.nn.Embedding(5, 3)
    params = {"weight": jnp.asarray(table.weight.detach().numpy())}
    for dtype in (np.int64, np.int32):
        ids = np.array([[1, 2, 4]], dtype)
        assert crosscheck.compare_models(table, lambda p, i: p["weight"][i], [ids], params=params, order=0).passed
        wrong = crosscheck.compare_models(table, lambda p, i: p["weight"][i - 1], [ids], params=params, order=0)
        assert wrong.cause == "definition"


def wide(p: Any, x: Any) -> Any:
    """As the port, over a table of 10^14 numbers."""
    return port(p, x) + 0 * jnp.broadcast_to(x.sum(), (10**7, 10**7)).max()


def test_an_order_that_is_no_number_is_refused_and_models_without_weights_have_no_gradients() -> None:
    with pytest.raises(crosscheck.UsageError, match=r"order: got array\(\[0., 0.\]\), expected 0 or 1"):
        crosscheck.compare_models(torch.nn.Tanh(), lambda p, x: jnp.tanh(x), INPUTS, params={}, order=np.zeros(2))
    report = crosscheck.compare_models(torch.nn.Tanh(), lambda p, x: jnp.tanh(x), INPUTS, params={})
    assert (report.passed, report.gradients) == (True, ())
    assert not crosscheck.compare_models(torch.nn.Tanh(), lambda p, x: jnp.sin(x), INPUTS, params={}).passed


@pytest.mark.parametrize("order", [0, 1])
def test_a_comparison_that_does_not_fit_is_refused_before_it_runs(order: int) -> None:
    said = (
        r"inputs: the comparison needs about \d,\d{3},\d{3} GB of memory, and .* GB are free; give a smaller batch, shorter "
    )
    with pytest.raises(crosscheck.UsageError, match=said + "inputs or a model of fewer layers$"):
        crosscheck.compare_models(MODEL, wide, INPUTS, params=PARAMS, order=order)


@pytest.mark.full
def test_a_module_of_nnx_that_draws_random_numbers_is_refused() -> None:
    pytest.importorskip("flax")
    vae = ARCHITECTURES["vae"]
    port = vae.jax("nnx", evaluated=False)
    said = r"jax_model: it draws random numbers, from .dropout.rngs.count; call eval\(\)"
    with pytest.raises(crosscheck.UsageError, match=said):
        crosscheck.compare_models(vae.torch_model(0), port.model, vae.inputs(0), torch_to_jax=port.torch_to_jax)


@pytest.mark.full
def test_a_key_that_changes_no_result_draws_no_random_numbers() -> None:
    """As in flax's recurrent layers, whose first state is 0 and takes a key."""
    nnx = pytest.importorskip("flax.nnx")

    class Port(nnx.Module):
        def __init__(self, model: torch.nn.LSTM) -> None:
            own = {name: jnp.asarray(tensor.detach().numpy()) for name, tensor in model.named_parameters()}
            cell = nnx.OptimizedLSTMCell(5, 6, rngs=nnx.Rngs(0))
            cell.dense_i.kernel[...], cell.dense_h.kernel[...] = own["weight_ih_l0"].T, own["weight_hh_l0"].T
            cell.dense_h.bias[...] = own["bias_ih_l0"] + own["bias_hh_l0"]
            self.lstm = nnx.RNN(cell)

        def __call__(self, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            (c, h), y = self.lstm(x, return_carry=True)
            return y, (h[None], c[None])

    model = torch.nn.LSTM(5, 6, batch_first=True)
    x = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    report = crosscheck.compare_models(model, Port(model), [x])
    assert report.passed, report


@pytest.mark.full
def test_a_module_of_linen_may_be_bound_or_come_with_its_variables() -> None:
    linen = pytest.importorskip("flax.linen")
    model = torch.nn.Linear(4, 3)
    dense = linen.Dense(3)
    kernel, bias = (tensor.detach().numpy() for tensor in (model.weight.T, model.bias))
    variables = {"params": {"kernel": kernel, "bias": bias}}
    x = np.ones((2, 4), np.float32)
    for given, params in ((dense.bind(variables), None), (dense, variables), (dense.apply, variables)):
        assert crosscheck.compare_models(model, given, [x], params=params).passed
    said = r"jax_model: got a module of linen without its variables, expected .* params="
    with pytest.raises(crosscheck.UsageError, match=said):
        crosscheck.compare_models(model, dense, [x])
