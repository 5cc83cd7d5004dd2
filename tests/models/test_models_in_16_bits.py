"""Models in bfloat16: a part that one side computes in float32 and the other in bfloat16 is no rounding of the dtype."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts
from torch import nn

from crosscheck import Fact, ModelsReport, compare_models

WIDTH, FACTOR = 16, 4.89
Array = Any


class Turned(nn.Module):
    """Products between which vectors are turned by angles of their positions, as rotary embeddings turn them."""

    def __init__(self, precise: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.precise = precise

    def forward(self, x: Any, positions: Any) -> Any:
        dtype = torch.float32 if self.precise else x.dtype
        rates = 0.1 ** (torch.arange(0, WIDTH, 2) / WIDTH)
        angles = positions.to(dtype)[:, None] * rates.to(dtype)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        y, z = self.first(x).chunk(2, -1)
        return self.last(torch.cat([y * cos - z * sin, z * cos + y * sin], -1))


def turned(p: dict[str, Array], x: Array, positions: Array, *, precise: bool) -> Array:
    dtype = jnp.float32 if precise else x.dtype
    rates = 0.1 ** (jnp.arange(0, WIDTH, 2) / WIDTH)
    angles = positions.astype(dtype)[:, None] * rates.astype(dtype)
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    y, z = jnp.split(x @ p["first.weight"].T, 2, -1)
    return jnp.concatenate([y * cos - z * sin, z * cos + y * sin], -1) @ p["last.weight"].T


def compared(*, torch_is_precise: bool, jax_is_precise: bool) -> ModelsReport:
    torch.manual_seed(0)
    model = Turned(torch_is_precise).bfloat16()
    params = {name: jnp.asarray(tensor.detach().float().numpy(), jnp.bfloat16) for name, tensor in model.named_parameters()}
    inputs = [np.random.default_rng(0).normal(size=(12, WIDTH)), np.arange(300, 312)]

    def port(p: dict[str, Array], x: Array, positions: Array) -> Array:
        return turned(p, x, positions, precise=jax_is_precise)

    return compare_models(model, port, inputs, params=params, dtype="bfloat16", order=0)


@pytest.mark.parametrize("precise", [True, False])
def test_the_same_digits_on_both_sides_agree(precise: bool) -> None:
    report = compared(torch_is_precise=precise, jax_is_precise=precise)
    assert report.passed, report


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_the_side_that_computes_angles_in_bfloat16_is_at_fault(side: str) -> None:
    report = compared(torch_is_precise=side == "jax", jax_is_precise=side == "torch")
    assert (report.cause, report.side) == ("inaccurate", side), report
    who, other = ("PyTorch", "jax") if side == "torch" else ("JAX", "torch")
    dtypes = {side: "bfloat16", other: "float32"}
    assert_facts(report.faults[0].facts, Fact("precision", "cos and sin", who, **dtypes), Fact("errs", role=who))


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Any) -> Any:
        return x * self.factor


class Scaled(nn.Module):
    """Embeddings times a number, beside a layer of them, and a norm whose scale is 1 + weight."""

    def __init__(self, holds: bool, early: bool) -> None:
        super().__init__()
        self.words, self.inner = nn.Embedding(64, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.weight = nn.Parameter(torch.randn(WIDTH) / 3)
        self.holds, self.early = holds, early

    def forward(self, ids: Any) -> Any:
        x = self.words(ids)
        x = x * (torch.tensor(FACTOR, dtype=x.dtype) if self.holds else FACTOR)
        x = x + self.inner(x)
        y = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True))
        return y.type_as(x) * (1 + self.weight) if self.early else (y * (1 + self.weight.float())).type_as(x)


def scaled(p: dict[str, Array], ids: Array, *, holds: bool, early: bool) -> Array:
    x = p["words.weight"][ids]
    x = x * jnp.sqrt(FACTOR**2).astype(x.dtype) if holds else (x.astype(jnp.float32) * FACTOR).astype(x.dtype)
    x = x + x @ p["inner.weight"].T
    y = x.astype(jnp.float32)
    y = y / jnp.sqrt((y**2).mean(-1, keepdims=True))
    if early:
        return y.astype(x.dtype) * (1 + p["weight"])
    return (y * (1 + p["weight"].astype(jnp.float32))).astype(x.dtype)


def both_scaled(torch_side: tuple[bool, bool], jax_side: tuple[bool, bool]) -> ModelsReport:
    torch.manual_seed(0)
    model = Scaled(*torch_side).bfloat16()
    params = {name: jnp.asarray(tensor.detach().float().numpy(), jnp.bfloat16) for name, tensor in model.named_parameters()}
    holds, early = jax_side

    def port(p: dict[str, Array], ids: Array) -> Array:
        return scaled(p, ids, holds=holds, early=early)

    return compare_models(model, port, [np.arange(48).reshape(4, 12)], params=params, dtype="bfloat16", order=0)


@pytest.mark.parametrize("both", [(True, True), (True, False), (False, False)])
def test_numbers_that_both_sides_hold_alike_agree(both: tuple[bool, bool]) -> None:
    report = both_scaled(both, both)
    assert report.passed, report.story()


@pytest.mark.parametrize(
    ("torch_side", "jax_side", "fact"),
    [
        ((False, False), (True, False), Fact("rounds", "4.89 to 4.875 in bfloat16", "JAX")),
        ((True, True), (True, False), Fact("rounds", "what it computes of weight to bfloat16", "PyTorch")),
        ((True, False), (True, True), Fact("rounds", "what it computes of weight to bfloat16", "JAX")),
    ],
)
def test_a_number_that_one_side_rounds_is_named(
    torch_side: tuple[bool, bool], jax_side: tuple[bool, bool], fact: Fact
) -> None:
    report = both_scaled(torch_side, jax_side)
    assert [fault.facts for fault in report.faults] == [(fact,)], report.story()


def test_numbers_of_python_that_jax_rounds_as_it_always_does_are_no_fault() -> None:
    """PyTorch computes with 0.7 as it is, in float32; JAX rounds a number beside an array to the dtype of the array."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Times(0.7), nn.Linear(WIDTH, WIDTH), Times(FACTOR)).bfloat16()
    params = {name: jnp.asarray(tensor.detach().float().numpy(), jnp.bfloat16) for name, tensor in model.named_parameters()}

    def port(p: dict[str, Array], x: Array) -> Array:
        y = (x @ p["0.weight"].T + p["0.bias"]) * 0.7
        return (y @ p["2.weight"].T + p["2.bias"]) * FACTOR

    x = np.random.default_rng(0).standard_normal((8, WIDTH))
    report = compare_models(model, port, [x], params=params, dtype="bfloat16", order=0)
    assert report.passed, report.story()


def test_running_statistics_that_jax_returns_in_float32_have_the_rounding_of_the_dtype_that_holds_them() -> None:
    """As flax linen's BatchNorm returns them: what it keeps of the old ones is rounded to bfloat16."""
    torch.manual_seed(0)
    model = nn.BatchNorm1d(4).train()
    state = {name: jnp.asarray(tensor.numpy()) for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    state |= {"running_mean": jnp.asarray([0.3, -1.1, 0.7, 2.3]), "running_var": jnp.asarray([0.7, 1.3, 2.9, 0.6])}
    with torch.no_grad():
        for name in ("running_mean", "running_var"):
            getattr(model, name).copy_(torch.from_numpy(np.array(state[name])))

    def port(p: dict[str, Array], x: Array) -> tuple[Array, dict[str, Array]]:
        wide = x.astype(jnp.float32)
        mean, variance = wide.mean(0), wide.var(0)
        y = (wide - mean) / jnp.sqrt(variance + 1e-5) * p["weight"] + p["bias"]
        parts = {"running_mean": mean, "running_var": variance * len(x) / (len(x) - 1)}
        return y.astype(x.dtype), {name: 0.9 * p[name] + jnp.float32(0.1) * part for name, part in parts.items()}

    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    report = compare_models(model, port, [x], params=state, dtype="bfloat16", order=0)
    assert report.passed, report.story()
