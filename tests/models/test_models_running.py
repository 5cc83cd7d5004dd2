"""How a model of JAX is run: repeated stretches are compiled, what depends on weights alone is known; no number changes."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax import lax
from ports import compared, linear, normal
from shadowed import Noise

from crosscheck._models.record.jax_recording import JaxProgramFlat, trace
from crosscheck._models.run.compiling import REPEATED, repeated
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.interpreter import ModelRun, Perturbation, Schedule, Watch

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
WEIGHTS = [np.random.default_rng(k).normal(size=(4, 4)).astype(np.float32) for k in range(REPEATED)]


def layers(weights: list[Any], inputs: list[Any]) -> list[Any]:
    x = inputs[0]
    for weight in weights:
        x = x + jnp.tanh(x @ weight) * 0.1
    return [x]


def traced(count: int) -> JaxProgramFlat:
    return trace(layers, WEIGHTS[:count], [f"w{k}" for k in range(count)], [X], "float32")


def seen(count: int, *, whole: bool, noise: Noise | None = None, replaced: float | None = None) -> list[np.ndarray]:
    """The sum at each layer, and the result; one sum in the middle may be replaced."""
    flat = traced(count)
    sums = [step.operation.index for step in flat.steps if step.operation.name == "add"]
    values: list[np.ndarray] = []

    def look(run: ModelRun, value: Any) -> Any:
        values.append(np.asarray(value))
        return None if replaced is None or len(values) != count // 2 else np.full(value.shape, replaced)

    stretches = repeated(flat, (), set(sums)) if whole else ()
    assert len(stretches) == (count if whole and count >= REPEATED else 0)
    watched = {step: Watch({}, look) for step in sums}
    results = ModelRun(
        flat, wide=True, watched=watched, perturbation=Perturbation(noise), keep=False, schedule=Schedule(stretches)
    )(WEIGHTS[:count], [X])
    return [*values, *results]


@pytest.mark.parametrize("replaced", [None, 0.5])
def test_compiled_stretches_give_what_single_steps_give(replaced: float | None) -> None:
    for compiled, stepped in zip(*(seen(REPEATED, whole=whole, replaced=replaced) for whole in (True, False)), strict=True):
        np.testing.assert_allclose(compiled, stepped, rtol=1e-13)


def test_a_model_that_repeats_less_is_run_step_by_step() -> None:
    assert len(seen(REPEATED - 1, whole=True)) == REPEATED


def test_noise_follows_from_the_seed() -> None:
    first, again, other = (seen(REPEATED, whole=True, noise=Noise(seed, 1e-6))[-1] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).all()


def test_each_stretch_has_noise_of_its_own() -> None:
    weights = [WEIGHTS[0]] * REPEATED
    flat = trace(
        lambda w, x: [jnp.tanh(x[0] @ weight) for weight in w], weights, [f"w{k}" for k in range(REPEATED)], [X], "float32"
    )
    products = {step.operation.index for step in flat.steps if step.operation.name == "dot_general"}
    stretches = repeated(flat, products, ())
    assert len(stretches) >= REPEATED - 1  # the last one ends with the outputs
    noise = Noise(3, 1e-6)
    noisy = ModelRun(flat, wide=True, perturbation=Perturbation(noise), schedule=Schedule(stretches))(weights, [X])
    clean = ModelRun(flat, wide=True)(weights, [X])
    errors = np.array([value / exact - 1 for value, exact in zip(noisy, clean, strict=True)])
    assert len(np.unique(errors)) == errors.size
    assert 1e-8 < np.abs(errors).max() < 1e-5


MOVES = (
    lambda x: (x.reshape(2, 6), x.T, x[:, None, 1:3], x[::2], x[None]),
    lambda x: (jnp.concatenate([x, x], 1), jnp.pad(x, ((1, 2), (0, 1)), constant_values=3.0), jnp.pad(x, 1)[2:]),
    lambda x: (lax.pad(x, x.dtype.type(0), [(-1, 0, 0), (0, 0, 1)]), jnp.broadcast_to(x[0], (2, 3, 4)), x[:1].squeeze(0)),
    lambda x: (jnp.where(x > 0, x, -1.0), lax.select_n(jnp.int32(1), x, 2 * x), jnp.clip(x, -0.5, 0.5)),
)
OPERATIONS = (
    lambda x: (x + 1, x - x.T.reshape(3, 4), x * x, x / (3 + x), -x, abs(x), jnp.sign(x), x**2, x**-3, (2 + x) ** (x / 3)),
    lambda x: (jnp.exp(x), jnp.exp2(x), jnp.expm1(x), jnp.log(x), jnp.log1p(x), jnp.sqrt(x), lax.rsqrt(x), jnp.square(x)),
    lambda x: (jnp.sin(x), jnp.cos(x), jnp.tanh(x), jax.nn.sigmoid(x), jnp.arctan2(x, x[::-1])),
    lambda x: (jax.scipy.special.erf(x), jax.scipy.special.erfc(x), lax.erf_inv(x / 4), jnp.floor(x), jnp.ceil(x)),
    lambda x: (jnp.maximum(x, x[::-1]), jnp.minimum(x, 0.25), jnp.isfinite(jnp.log(x)), x == x[0], x != 0, x < 0, x <= 0),
    lambda x: ((x > 0) & (x < 1), (x > 1) | (x < 0), ~(x >= 0), (x > 0).astype(jnp.int32).sum(), (x > 0) * x),
    lambda x: (x.sum(), x.sum(1), x.max(0), x.min(), x.prod(1), (x > 0).any(0), (x > 0).all()),
    lambda x: (x.astype(jnp.int32), x.astype(bool), (x > 0).astype(x.dtype), jnp.arange(3).astype(x.dtype) * x.sum()),
    lambda x: (x @ x.T, x[0] @ x.T, jnp.einsum("ab,cb->ac", x, x), jnp.einsum("ab,ab->a", x, x), jnp.outer(x[0], x[1])),
    lambda x: (jnp.einsum("abc,acd->dab", x.reshape(3, 2, 2), x.reshape(3, 2, 2)), lax.stop_gradient(x)),
)


@pytest.mark.parametrize("function", [*MOVES, *OPERATIONS])
def test_numpy_computes_small_arrays_as_jax_does(function: Any) -> None:
    flat = trace(lambda _, inputs: list(function(inputs[0])), [], [], [X], "float32")
    results = ModelRun(flat, wide=True)([], [X])
    with jax.enable_x64(True):
        expected = jax.jit(function)(X.astype(np.float64))
    for result, jax_result in zip(results, expected, strict=True):
        assert (result.shape, result.dtype.kind) == (jax_result.shape, jax_result.dtype.kind)
        np.testing.assert_allclose(result, jax_result, rtol=1e-13, atol=1e-15)


ALIKE = (
    *MOVES,
    lambda x: (x + 1, x - x.T.reshape(x.shape), x * x, x / (3 + x), -x, abs(x), x**2, jnp.sqrt(x), jnp.square(x), 1 / x),
    lambda x: (jnp.floor(x), jnp.ceil(x), jnp.maximum(x, x[::-1]), jnp.minimum(x, 0.25), jnp.isfinite(x), x == x[0], x != 0),
    lambda x: ((x > 0) & (x <= 1), (x >= 1) | (x < 0), ~(x >= 0), x.max(0), x.min(), (x > 0).any(0), (x > 0).all()),
    lambda x: ((x > 0).astype(x.dtype), jnp.arange(2, 5).astype(x.dtype), jnp.arange(3) * 2**30, x.astype(jnp.int32)),
    lambda x: (x.astype(jnp.bfloat16), x.astype(jnp.float16), x.astype(jnp.float32), jnp.square(1e-20 * x), 1e-40 * x),
    lambda x: (
        x / x[:1],
        x / x[2, 1],
        3 / x,
        x**3,
        lax.div(jnp.arange(5), 2),
        (x[0, 3:].astype(int) + 2**24 + 2**16 + jnp.arange(3)).astype(jnp.bfloat16),
    ),
)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("function", ALIKE)
def test_what_rounds_once_has_the_bits_of_jax_in_each_dtype(function: Any, dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        x = np.array(10 * jax.random.normal(jax.random.key(0), (3, 4)), jnp.dtype(dtype))
        x[0] = [np.nan, np.inf, -np.inf, -0.0]
        flat = trace(lambda _, inputs: list(function(inputs[0])), [], [], [x], dtype)
        results, expected = ModelRun(flat, wide=False)([], [x]), jax.jit(function)(x)
    for result, jax_result in zip(results, expected, strict=True):
        assert (result.shape, result.dtype) == (jax_result.shape, jax_result.dtype)
        np.testing.assert_array_equal(result, np.asarray(jax_result))
        assert (np.signbit(result) == np.signbit(jax_result)).all()


def test_no_operation_is_compiled_for_small_arrays(caplog: pytest.LogCaptureFixture) -> None:
    def function(x: Any) -> Any:
        x = jnp.tanh(x @ x.T) + jnp.where(x[:, :1] > 0, x[:, :1], 0.1)
        return jax.nn.softmax(x / jnp.sqrt(1 + (x * x).mean(-1, keepdims=True)))

    def of_one_rounding(x: Any) -> Any:
        return jnp.where(x > 0, x.T.reshape(x.shape) * 2 - 1, x / abs(x)).max(0).astype(jnp.bfloat16)

    def compiled(rows: int, function: Any, *, wide: bool) -> list[str]:
        x = np.random.default_rng(0).normal(size=(rows, 5)).astype(np.float32)
        flat = trace(lambda _, inputs: [function(inputs[0])], [], [], [x], "float32")
        caplog.clear()
        with jax.log_compiles(True):
            ModelRun(flat, wide=wide, perturbation=Perturbation(Noise(1, 1e-7) if wide else None))([], [x])
        said = [record.getMessage() for record in caplog.records]
        # What puts the input on the device is compiled too.
        return [message for message in said if "Finished XLA compilation" in message and "jit(stage)" not in message]

    assert not compiled(7, function, wide=True)
    assert not compiled(7, of_one_rounding, wide=False)
    assert len(compiled(300, function, wide=True)) > 5


def test_a_compiled_stretch_may_hold_a_constant_that_was_rounded() -> None:
    """As in layers that hold minus infinity or a scale in another dtype: nothing shows whether it was rounded."""

    def program(weights: list[Any], inputs: list[Any]) -> list[Any]:
        x = inputs[0]
        for weight in weights:
            x = x + jnp.tanh(x @ weight).astype(jnp.float32) * np.float32(0.1)
        return [x]

    flat = trace(program, WEIGHTS, [f"w{k}" for k in range(REPEATED)], [X], "float32")
    flat.exact.clear()
    sums = {step.operation.index for step in flat.steps if step.operation.name == "add"}
    stretches = repeated(flat, (), sums)
    assert len(stretches) == REPEATED
    clean, noisy = (
        ModelRun(flat, wide=True, perturbation=Perturbation(noise), schedule=Schedule(stretches))(WEIGHTS, [X])
        for noise in (None, Noise(1, 1e-7))
    )
    assert 1e-9 < np.abs(noisy[0] / clean[0] - 1).max() < 1e-5


def test_a_quotient_of_integers_is_an_integer_under_noise() -> None:
    """As in a mixture of experts, which divides positions by the number of experts for each token."""

    def program(weights: list[Any], inputs: list[Any]) -> list[Any]:
        x = inputs[0]
        for weight in weights:
            x = x + x[jnp.argsort(x[:, 0]) // 2 - 1] @ weight * 0.1
        return [x]

    flat = trace(program, WEIGHTS, [f"w{k}" for k in range(REPEATED)], [X], "float32")
    sums = {step.operation.index for step in flat.steps if step.operation.name == "add"}
    stretches = repeated(flat, (), sums)
    assert any(step.operation.name == "div" for stretch in stretches for step in stretch.steps)
    clean, noisy = (
        ModelRun(flat, wide=True, perturbation=Perturbation(noise), schedule=Schedule(stretches))(WEIGHTS, [X])
        for noise in (None, Noise(1, 1e-7))
    )
    np.testing.assert_allclose(noisy[0], clean[0], rtol=1e-4)


class Layer(torch.nn.Module):
    """A layer of a causal transformer: softmax in float32, and a scale that no float32 holds."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(8)
        self.qkv, self.out, self.up, self.down = (torch.nn.Linear(*sizes) for sizes in ((8, 24), (8, 8), (8, 16), (16, 8)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        scores = (q @ k.transpose(-1, -2)) * 0.3
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        y = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v
        x = x + self.out(y.transpose(1, 2).flatten(-2)) * 0.7
        return x + self.down(torch.nn.functional.silu(self.up(x)))


class Transformer(torch.nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(Layer() for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def transformer(p: dict[str, Any], x: Any, *, depth: int, wrong: int | None) -> Any:
    """The port; in the layer ``wrong``, the result of attention has another factor."""
    for k in range(depth):
        h = x - x.mean(-1, keepdims=True)
        h = h * lax.rsqrt((h * h).mean(-1, keepdims=True) + 1e-5)
        h = h * p[f"layers.{k}.norm.weight"] + p[f"layers.{k}.norm.bias"]
        q, key, v = (part.reshape(*x.shape[:-1], 2, 4) for part in jnp.split(linear(p, f"layers.{k}.qkv", h), 3, -1))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, key) * jnp.asarray(0.3, x.dtype)
        mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
        scores = jnp.where(mask, scores.astype(jnp.float32), -jnp.inf)
        y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores.astype(jnp.float32), -1).astype(x.dtype), v)
        factor = np.float32(0.7 if k != wrong else 0.71)
        x = x + linear(p, f"layers.{k}.out", y.reshape(x.shape)) * factor
        x = x + linear(p, f"layers.{k}.down", jax.nn.silu(linear(p, f"layers.{k}.up", x)))
    return x


@pytest.mark.full
@pytest.mark.parametrize("wrong", [None, 6])
def test_layers_with_constants_that_may_have_been_rounded_are_compiled(wrong: int | None) -> None:
    depth = REPEATED + 4
    torch.manual_seed(0)
    report = compared(Transformer(depth), partial(transformer, depth=depth, wrong=wrong), normal(1, 5, 8))
    assert report.passed is (wrong is None), report.story()
    assert [fault.torch for fault in report.faults] == ([] if wrong is None else [f"layers.{wrong}"]), report.story()


# Values that depend on weights alone

NAMES = ("joined", "other", "scale")
PARTS = [np.random.default_rng(k).normal(size=(2, 4)).astype(np.float32) for k in range(3)]


def joined(weights: list[Any], inputs: list[Any]) -> list[Any]:
    first, other, scale = weights
    matrix = jnp.concatenate([first.T, other.T], 1)
    return [inputs[0] @ matrix + 0.1, (scale * scale / 3).sum() * inputs[0], scale]


@pytest.mark.parametrize("loose", [(), ("joined",), NAMES])
@pytest.mark.parametrize(("wide", "noise"), [(True, None), (True, Noise(1, 1e-6)), (False, None)])
def test_known_values_change_no_number(wide: bool, noise: Noise | None, loose: tuple[str, ...]) -> None:
    flat = trace(joined, PARTS, NAMES, [X], "float32")
    fixed = Fixed(flat, PARTS)
    named = frozenset(loose)
    known = fixed.values(wide=wide, noisy=noise is not None, loose=named)
    perturbation = Perturbation(noise, loose=named)
    runs = (ModelRun(flat, wide=wide, perturbation=perturbation, keep=False, known=values) for values in ({}, known))
    for left, right in zip(*(run(PARTS, [X]) for run in runs), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_run_of_jax_holds_no_weight_in_float64_that_it_only_moves(dtype: str) -> None:
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(3, 4, 5)), jnp.float32)
    with jax.enable_x64(dtype == "float64"):
        given = (weight.astype(dtype), jnp.asarray(2.0, dtype))
        x = np.ones((2, 5), given[0].dtype)

        def scanned(weights: Any, inputs: Any) -> Any:
            stacked, factor = weights
            parts = lax.scan(lambda total, w: (total + inputs[0] @ w.T, None), jnp.zeros((2, 4), x.dtype), stacked)
            return [parts[0] * (factor * factor)]

        flat = trace(scanned, given, ("stacked", "factor"), [x], dtype)
    fixed = Fixed(flat, given)
    known = fixed.values(wide=True)
    moved = [number for number in known if flat.avals[number].shape[-1:] == (5,) or flat.avals[number].shape == (5, 4)]
    assert len(moved) == 1 + 3 + 3  # the weight, its slices, and these transposed
    for number in moved:
        assert np.shares_memory(fixed.moved(number, wide=True), np.asarray(given[0]))
        assert known[number].dtype == np.float64
    run = ModelRun(flat, wide=True, known=known, keep=False)
    (result,) = run(given, [x])
    expected = 4.0 * np.asarray(given[0], np.float64).sum((0, 2)) * np.ones((2, 1))
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert not {*moved, *flat.weights} & {*dict.keys(run.values)}
