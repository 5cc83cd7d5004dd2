"""What ports of models of real families showed: a wrong port that was certified, and faults at the wrong place."""

from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts
from jax import lax
from ports import IMAGE, Function, Port, X, compared, linear, normal, seeded
from torch import nn
from torch.nn import functional as F

from crosscheck import Fact, compare_models

pytestmark = pytest.mark.full


# What is compared


class Root(nn.Module):
    """Two weights of one module, which have no names of modules that could be said to be in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.zeros(8, 8)) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(torch.tanh(x @ self.a) @ self.b) @ self.c


@pytest.mark.parametrize("order", ["abc", "bac", "cba"])
def test_weights_of_one_module_in_another_order_are_found(order: str) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        first, second, third = order
        return jnp.tanh(jnp.tanh(x @ p[first]) @ p[second]) @ p[third]

    report = compared(seeded(Root()), port, X)
    assert report.passed is (order == "abc")
    assert "in this order" not in report.story()


@pytest.mark.parametrize(
    "port",
    [
        lambda p, x: linear(p, "2", x),
        lambda p, x: linear(p, "0", jnp.tanh(linear(p, "2", x))),
    ],
    ids=["without the first layer", "in another order"],
)
def test_a_port_whose_layer_takes_the_input_itself_is_compared(port: Port) -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)))
    assert not compared(model, port, X).passed


@pytest.mark.parametrize("kind", [jnp.complex64, jnp.float8_e4m3fn, jnp.bfloat16])
def test_a_constant_of_any_dtype_is_compared(kind: Any) -> None:
    table = jnp.asarray([0.5, 1.5, 3.25, 0.0625], kind)
    held = torch.from_numpy(np.array(table.astype(jnp.float32) if kind is not jnp.complex64 else table.real))

    def port(p: dict[str, Any], x: Any, wrong: bool) -> Any:
        return (x + 0.3) * table.real.astype(x.dtype) * (1.001 if wrong else 1.0)

    for wrong in (False, True):
        model, options = Function(lambda x: (x + 0.3) * held), {"params": {}, "order": 0}
        assert compare_models(model, lambda p, x, w=wrong: port(p, x, w), [normal(3, 4)], **options).passed is not wrong


def test_an_output_made_of_weights_alone_is_compared() -> None:
    class Weights(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(4, 4))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x * 2, torch.exp(self.w)

    for function, passed in ((jnp.exp, True), (jnp.expm1, False)):
        report = compared(seeded(Weights()), lambda p, x, function=function: (x * 2, function(p["w"])), X)
        assert report.passed is passed


# What is named


def norm(p: dict[str, Any], x: Any, *, epsilon: float, folded: bool, last: bool) -> Any:
    mean, var, weight, bias = (p[f"1.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
    if not last:
        mean, var, weight, bias = (array[:, None, None] for array in (mean, var, weight, bias))
    if folded:
        return (x - mean) * (lax.rsqrt(var + epsilon) * weight) + bias
    return (x - mean) / jnp.sqrt(var + epsilon) * weight + bias


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("folded", [False, True])
def test_the_epsilon_of_a_batch_norm_is_named(folded: bool, last: bool) -> None:
    model = seeded(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1)))
    layout = ("NHWC", "OIHW", "NHWC") if last else ("NCHW", "OIHW", "NCHW")

    def port(p: dict[str, Any], x: Any) -> Any:
        x = x.transpose(0, 2, 3, 1) if last else x
        for name in ("0", "3"):
            x = lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "VALID", dimension_numbers=layout)
            x = x + (p[f"{name}.bias"] if last else p[f"{name}.bias"][:, None, None])
            if name == "0":
                x = jax.nn.relu(norm(p, x, epsilon=1e-3, folded=folded, last=last))
        return x.transpose(0, 3, 1, 2) if last else x

    (fault,) = compared(model, port, IMAGE).faults
    assert fault.torch == "1"
    assert_facts(fault.facts, Fact("setting", "BatchNorm", "epsilon", torch="1e-05", jax="0.001"))


def test_a_tiny_difference_is_not_said_to_be_one_of_order() -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16, eps=1e-12), nn.Linear(16, 4)))

    def port(p: dict[str, Any], x: Any) -> Any:
        x = linear(p, "0", x)
        x = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 5e-9)
        return linear(p, "2", x * p["1.weight"] + p["1.bias"])

    (fault,) = compared(model, port, X).faults
    assert fault.torch == "1"
    assert_facts(fault.facts, Fact("setting", "LayerNorm", "epsilon", torch="1e-12", jax="5e-09"))


def test_a_mistake_in_a_pooling_that_has_no_name_is_placed_there() -> None:
    """The divisors are wrong where the padding is seen; the norm behind it is right."""
    model = seeded(nn.Sequential(nn.Conv2d(3, 6, 1), nn.AvgPool2d(3, 2, padding=1), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)))

    def conv(p: dict[str, Any], name: str, x: Any) -> Any:
        return lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "VALID") + p[f"{name}.bias"][:, None, None]

    def window(x: Any) -> Any:
        return lax.reduce_window(x, 0.0, lax.add, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))

    def port(p: dict[str, Any], x: Any) -> Any:
        x = conv(p, "0", x)
        x = window(x) / (18 - window(jnp.ones_like(x)))
        moved = {name.replace("2.", "1.", 1): weight for name, weight in p.items() if name.startswith("2.")}
        return conv(p, "3", norm(moved, x, epsilon=1e-5, folded=False, last=False))

    (fault,) = compared(model, port, IMAGE).faults
    assert fault.torch == "1"
    assert fault.facts == ()


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.fc, self.out = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 20)
        self.out.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.out(torch.tanh(self.fc(self.table(ids)))))


def test_the_bias_that_a_tied_layer_forgets_is_named() -> None:
    def port(p: dict[str, Any], ids: Any) -> Any:
        return jnp.tanh(linear(p, "fc", p["table.weight"][ids])) @ p["table.weight"].T

    (fault,) = compared(seeded(Tied()), port, np.arange(15).reshape(3, 5)).faults
    assert fault.torch == "out"
    assert_facts(fault.facts, Fact("missing", "the bias out.bias"))


class Masked(nn.Module):
    """The mask is a buffer, which JAX computes."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.q, self.k, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.register_buffer("mask", torch.full((6, 6), fill).triu(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.mask, torch.Tensor)
        return torch.as_tensor(self.out(torch.softmax(self.q(x) @ self.k(x).mT * 0.35 + self.mask, -1) @ x))


@pytest.mark.parametrize(
    ("fill", "shift", "scores", "facts"),
    [
        (-1e4, 0, lambda s: s * 0.35, []),
        (-inf, 0, lambda s: s * 0.35, []),
        (
            -1e4,
            1,
            lambda s: s * 0.35,
            [Fact("masks", role="PyTorch", where="10 of 72 places that JAX does not, such as [0, 0, 1]")],
        ),
        (
            -1e4,
            0,
            lambda s: jnp.tanh(s * 0.35),
            [Fact("extra", "tanh", where="bmm(the result of q, the result of k)", near="behind q and k")],
        ),
    ],
)
def test_a_mask_that_jax_computes_is_applied(fill: float, shift: int, scores: Port, facts: list[Fact]) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        mask = jnp.where(jnp.tril(jnp.ones((6, 6), bool), shift), 0, fill)
        return linear(p, "out", jax.nn.softmax(scores(linear(p, "q", x) @ linear(p, "k", x).mT) + mask) @ x)

    faults = compared(seeded(Masked(fill)), port, X).faults
    assert_facts([fault.facts[0] for fault in faults], *facts)


class Positions(nn.Module):
    """The input needs some of the positions."""

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.fc = nn.Parameter(torch.zeros(16, 8)), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.fc(x + self.positions[: x.shape[1]]))


def test_a_table_of_which_both_sides_apply_a_part_is_matched_whole() -> None:
    report = compared(seeded(Positions()), lambda p, x: linear(p, "fc", x + p["positions"][: x.shape[1]]), X)
    assert report.passed
    assert next((weight.torch, weight.layout, weight.reason) for weight in report.weights) == ("positions", "the same", None)
    assert len(report.weights) == 3


# Where the fault is


class Timed(nn.Module):
    """Blocks that share an embedding of time; each applies the activation itself."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Linear(3, 5)
        self.of_x = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
        self.of_t = nn.ModuleList([nn.Linear(5, 6) for _ in range(3)])
        self.out = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        t = self.time(t)
        for of_x, of_t in zip(self.of_x, self.of_t, strict=True):
            x = x + torch.tanh(of_x(x) + of_t(F.silu(t)))
        return torch.as_tensor(self.out(x))


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_activation_that_one_block_forgets_is_not_missed_in_the_next(bad: int) -> None:
    def port(p: dict[str, Any], x: Any, t: Any) -> Any:
        t = linear(p, "time", t)
        for k in range(3):
            x = x + jnp.tanh(linear(p, f"of_x.{k}", x) + linear(p, f"of_t.{k}", t if k == bad else jax.nn.silu(t)))
        return linear(p, "out", x)

    report = compared(seeded(Timed()), port, normal(4, 6), normal(4, 3))
    (fault,) = report.faults
    assert fault.operation == "silu"
    (layer,) = (candidate for candidate in report.layers if candidate.fault is not None)
    assert layer.name == f"of_t.{bad}.weight"


class Causal(nn.Module):
    """torch pads both sides, and takes the first positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv1d(8, 8, 4, groups=8, padding=3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.out(F.silu(self.conv(x.mT)[..., : x.shape[1]].mT)))


@pytest.mark.parametrize("act", [jax.nn.silu, jax.nn.gelu, lambda x: x])
def test_a_convolution_of_which_torch_takes_a_part_is_not_blamed_for_its_padding(act: Port) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        y = lax.conv_general_dilated(x.mT, p["conv.weight"], (1,), [(3, 0)], feature_group_count=8)
        return linear(p, "out", act((y + p["conv.bias"][:, None]).mT))

    faults = compared(seeded(Causal()), port, X).faults
    assert len(faults) == (act is not jax.nn.silu)
    assert not [fact for fault in faults for fact in fault.facts if "padding" in (fact.kind, fact.role)]
