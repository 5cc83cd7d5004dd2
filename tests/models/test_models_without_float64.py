"""Models with operations that PyTorch has no float64 for, such as the grouped products of a mixture of experts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from facts import assert_facts, kind_of
from ports import compared, linear, normal, seeded
from torch import nn

from crosscheck import Fact

X = normal(2, 5, 8)


@torch.library.custom_op("crosscheck_test::narrow_mm", mutates_args=())
def narrow_mm(rows: torch.Tensor, matrices: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """A grouped product that exists in float32 alone."""
    torch._check_not_implemented(rows.dtype == torch.float32, lambda: f'"narrow_mm" not implemented for {rows.dtype}')
    bounds = [0, *ends.tolist()]
    parts = [rows[bounds[k] : bounds[k + 1]] @ matrix for k, matrix in enumerate(matrices)]
    return torch.cat(parts)


def kept(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def gradients(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
    rows, matrices, ends = ctx.saved_tensors
    bounds = [0, *ends.tolist()]
    parts = [gradient[bounds[k] : bounds[k + 1]] for k in range(len(matrices))]
    by_rows = narrow_mm(gradient, matrices.transpose(1, 2).contiguous(), ends)
    return by_rows, torch.stack([rows[bounds[k] : bounds[k + 1]].T @ part for k, part in enumerate(parts)]), None


narrow_mm.register_autograd(gradients, setup_context=kept)


def grouped_mm(rows: torch.Tensor, matrices: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.grouped_mm(rows, matrices, offs=ends)


PRODUCTS: dict[str, Callable[..., torch.Tensor]] = {"grouped": grouped_mm, "narrow": narrow_mm}


class Experts(nn.Module):
    """A mixture of four experts, of which each token goes to two."""

    def __init__(self, product: str) -> None:
        super().__init__()
        self.norm, self.router, self.last = nn.LayerNorm(8), nn.Linear(8, 4), nn.Linear(8, 4)
        self.up, self.down = nn.Parameter(torch.empty(4, 8, 16)), nn.Parameter(torch.empty(4, 16, 8))
        self.product = product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.reshape(-1, 8)
        y = self.norm(x)
        shares, chosen = torch.softmax(self.router(y), -1).topk(2, -1)
        order = chosen.flatten().argsort(stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=4).cumsum(0).to(torch.int32)
        hidden = nn.functional.silu(PRODUCTS[self.product](y[order // 2], self.up, ends))
        hidden = PRODUCTS[self.product](hidden, self.down, ends) * shares.flatten()[order][:, None]
        return torch.as_tensor(self.last(x + torch.zeros_like(x).index_add(0, order // 2, hidden)))


def port(p: dict[str, Any], x: Any, *, epsilon: float = 1e-5, function: Any = jax.nn.silu, shift: int = 0) -> Any:
    x = x.reshape(-1, 8)
    y = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + epsilon) * p["norm.weight"] + p["norm.bias"]
    shares, chosen = jax.lax.top_k(jax.nn.softmax(linear(p, "router", y)), 2)
    hidden = jnp.einsum("nef,efd->ned", function(jnp.einsum("nd,edf->nef", y, p["up"])), p["down"])
    shares = (jax.nn.one_hot((chosen + shift) % 4, 4) * shares[..., None]).sum(1)
    return linear(p, "last", x + (hidden * shares[..., None]).sum(1))


@pytest.mark.skipif(not hasattr(nn.functional, "grouped_mm"), reason="this PyTorch has none")
def test_grouped_products_are_compared_in_float64() -> None:
    model = seeded(Experts("grouped"))
    report = compared(model, port, X, order=1)
    assert report.passed, report.story()
    assert not report.notes
    assert max(layer.error for layer in report.layers) < 1e-13
    fault = compared(model, lambda p, x: port(p, x, function=lambda h: jax.nn.silu(h) + 1e-8 * h), X).faults[0]
    assert fault.torch == ""
    assert 1e-9 < fault.error < 1e-7


@pytest.mark.full
def test_what_exists_in_float32_alone_is_judged_in_float32() -> None:
    model = seeded(Experts("narrow"))
    report = compared(model, port, X, order=1)
    assert report.passed, report.story()
    assert [kind_of(note) for note in report.notes] == ["no float64"]
    assert max(layer.error for layer in report.layers) > 1e-9
    (fault,) = compared(model, lambda p, x: port(p, x, epsilon=1e-6), X).faults
    assert fault.torch == "norm"
    assert_facts(fault.facts, Fact("setting", "LayerNorm", "epsilon", torch="1e-05", jax="1e-06"))
    for wrong in ({"function": jax.nn.gelu}, {"shift": 1}, {"function": lambda h: jax.nn.silu(h) * (1 + 1e-4)}):
        report = compared(model, lambda p, x, wrong=wrong: port(p, x, **wrong), X)
        assert [fault.torch for fault in report.faults] == [""], report.story()
