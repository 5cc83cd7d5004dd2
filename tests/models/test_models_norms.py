"""Ports that fold a batch norm into other weights, or compute it elsewhere than PyTorch does."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from facts import Worded, assert_facts
from ports import X, compared, linear, normal, seeded
from torch import nn

from crosscheck import Fact, compare_models

EPSILON = Fact("setting", role="epsilon", torch="1e-05", jax="0.001")
FOLDED: dict[str, Any] = {
    "shift": lambda x, a, w, b, m: x * a + (b - m * a),
    "minus": lambda x, a, w, b, m: x * a - (m * a - b),
    "bias first": lambda x, a, w, b, m: x * a + b - m * a,
    "plain": lambda x, a, w, b, m: (x - m) * (a / w) * w + b,
}


@pytest.mark.full
@pytest.mark.parametrize("form", FOLDED)
def test_a_batch_norm_may_be_folded_into_a_scale_and_a_shift(form: str) -> None:
    def port(p: dict[str, Any], x: Any, epsilon: float = 1e-5) -> Any:
        w, b, m, v = (p[f"1.{name}"] for name in ("weight", "bias", "running_mean", "running_var"))
        return linear(p, "2", FOLDED[form](linear(p, "0", x), w * jax.lax.rsqrt(v + epsilon), w, b, m))

    model, x = seeded(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))), normal(6, 8)
    assert compared(model, port, x, order=1).passed
    (fault,) = compared(model, lambda p, x: port(p, x, 1e-3), x).faults
    assert_facts(fault.facts, EPSILON)


LAYER_NORMS: dict[str, Any] = {
    "keras": lambda x, m, r, w, b: x * (i := w * r) + (b - m * i),
    "minus": lambda x, m, r, w, b: x * (i := r * w) - (m * i - b),
    "bias first": lambda x, m, r, w, b: x * (i := r * w) + b - m * i,
    "scaled deviation": lambda x, m, r, w, b: (x - m) * (r * w) + b,
    "plain": lambda x, m, r, w, b: (x - m) * r * w + b,
}


class Normed(nn.Module):
    """Layer norms in residual branches and at the end."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(8, bias=bias) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.last = nn.LayerNorm(8, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + torch.tanh(layer(norm(x)))
        return torch.as_tensor(self.last(x))


@pytest.mark.full
@pytest.mark.parametrize(("form", "bias"), [*((form, True) for form in LAYER_NORMS), ("scaled deviation", False)])
def test_a_layer_norm_may_scale_and_add_in_any_order(form: str, bias: bool) -> None:
    def norm(p: dict[str, Any], name: str, x: Any, epsilon: float) -> Any:
        inverse = jax.lax.rsqrt(x.var(-1, keepdims=True) + epsilon)
        return LAYER_NORMS[form](x, x.mean(-1, keepdims=True), inverse, p[f"{name}.weight"], p.get(f"{name}.bias", 0.0))

    def port(p: dict[str, Any], x: Any, epsilon: float = 1e-5, function: Any = jnp.tanh) -> Any:
        for k in range(2):
            x = x + function(linear(p, f"layers.{k}", norm(p, f"norms.{k}", x, 1e-5)))
        return norm(p, "last", x, epsilon)

    model = seeded(Normed(bias=bias))
    assert (report := compared(model, port, X, order=1)).passed, report.story()
    assert not report.notes
    (fault,) = compared(model, lambda p, x: port(p, x, 1e-3), X).faults
    assert fault.torch == "last"
    assert_facts(fault.facts, EPSILON)
    faults = compared(model, lambda p, x: port(p, x, function=jnp.sin), X).faults
    assert {fault.operation for fault in faults} == {"tanh"}


@pytest.mark.full
def test_a_group_norm_may_scale_and_add_in_any_order() -> None:
    def port(p: dict[str, Any], x: Any, epsilon: float = 1e-5) -> Any:
        y = linear(p, "0", x).reshape(6, 2, 4)
        w, b = (p[f"1.{name}"].reshape(2, 4) for name in ("weight", "bias"))
        inverse = w * jax.lax.rsqrt(y.var(-1, keepdims=True) + epsilon)
        return linear(p, "2", (y * inverse + (b - y.mean(-1, keepdims=True) * inverse)).reshape(6, 8))

    model, x = seeded(nn.Sequential(nn.Linear(8, 8), nn.GroupNorm(2, 8), nn.Linear(8, 3))), normal(6, 8)
    assert (report := compared(model, port, x, order=1)).passed, report.story()
    (fault,) = compared(model, lambda p, x: port(p, x, 1e-3), x).faults
    assert_facts(fault.facts, EPSILON)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_certificate_in_16_bits_says_which_weights_only_the_results_show(dtype: str) -> None:
    """A batch norm that was folded into the layer before it: no weight of PyTorch has these numbers."""
    layer, norm = model = seeded(nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4)))
    assert isinstance(norm.running_mean, torch.Tensor)
    assert isinstance(norm.running_var, torch.Tensor)
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
    shift = norm.bias - norm.running_mean * factor
    folded = {"w": (layer.weight.T * factor), "b": layer.bias * factor + shift}
    params = {name: jnp.asarray(tensor.detach().numpy(), dtype) for name, tensor in folded.items()}
    report = compare_models(model, lambda p, x: x @ p["w"] + p["b"], [normal(6, 8)], params=params, dtype=dtype)
    assert report.passed, report
    notes = [note.about for note in report.notes if isinstance(note, Worded) and note.kind == "no partner"]
    assert notes == [("['b']",)] * (dtype == "bfloat16")


class Shortcut(nn.Module):
    """A residual block of two convolutions, with a convolution beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv1, self.conv2, self.beside = (
            nn.Conv2d(*sizes, 1) for sizes in ((3, 4), (4, 6), (6, 6), (4, 6))
        )
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(6), nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        main = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.as_tensor(self.last(torch.relu(main + self.norm3(self.beside(x)))))


@pytest.mark.full
@pytest.mark.parametrize("shortcut_first", [True, False])
def test_the_branches_of_a_residual_block_may_have_any_order(shortcut_first: bool) -> None:
    """In each order, with norms as flax computes them: the scale is multiplied with the inverse deviation."""

    def normed(p: dict[str, Any], name: str, x: Any) -> Any:
        w, b, m, v = (p[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var"))
        return (x - m) * (jax.lax.rsqrt(v + 1e-5) * w) + b

    def conv(p: dict[str, Any], name: str, x: Any) -> Any:
        return jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "VALID") + p[f"{name}.bias"][:, None, None]

    def port(p: dict[str, Any], x: Any, wrong: float = 0.0) -> Any:
        def beside(x: Any) -> Any:
            return normed(p, "norm3", conv(p, "beside", x)) + wrong

        x = jax.nn.relu(conv(p, "first", x))
        short = beside(x) if shortcut_first else None
        main = normed(p, "norm2", conv(p, "conv2", jax.nn.relu(normed(p, "norm1", conv(p, "conv1", x)))))
        return conv(p, "last", jax.nn.relu(main + (beside(x) if short is None else short)))

    x = normal(2, 3, 4, 4)
    assert compared(seeded(Shortcut()), port, x, order=1).passed
    assert not compared(seeded(Shortcut()), lambda p, x: port(p, x, 0.1), x).passed


@pytest.mark.full
def test_another_quantity_is_not_blamed_beside_a_fault() -> None:
    """The scale is applied twice: its first product is not the result of the norm. A later activation is wrong."""

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.up, self.down = nn.LayerNorm(8, bias=False), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.down(torch.tanh(self.up(self.norm(x)))))

    def port(p: dict[str, Any], x: Any) -> Any:
        inverse, w = jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5), p["norm.weight"]
        x = x * (w * inverse) - x.mean(-1, keepdims=True) * (inverse * w)
        return linear(p, "down", jnp.sin(linear(p, "up", x)))

    report = compared(seeded(Layers()), port, X)
    assert [fault.operation for fault in report.faults] == ["tanh"], report.story()
    assert ("elsewhere", "norm.weight") in [(note.kind, *note.about) for note in report.notes if isinstance(note, Worded)]


@pytest.mark.full
def test_batch_norm_without_statistics_of_its_own_is_explained_without_ending_the_process() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False)))

    def port(p: dict[str, Any], x: Any) -> Any:
        h = x @ p["0.weight"].T + p["0.bias"]
        h = h.reshape(4, -1, 6)  # PyTorch takes all rows together
        h = (h - h.mean(1, keepdims=True)) / jnp.sqrt(h.var(1, keepdims=True) + 1e-5)
        return h.reshape(-1, 6) * p["1.weight"] + p["1.bias"]

    report = compared(model, port, normal(16, 4))
    assert not report.passed
    assert report.first.torch == "1", report.story()
