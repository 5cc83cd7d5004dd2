"""Ports that compute the same in another form, and what is said where they are wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import Worded, assert_facts
from ports import Port, X, compared, linear, normal, params_of, seeded
from torch import nn
from torch.nn import functional as F

from crosscheck import Fact, ModelsReport, compare_models, copy_weights


def layers(report: ModelsReport) -> list[str | None]:
    return [fault.torch for fault in report.faults]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        return self.c(h + self.b(F.gelu(h)))


@pytest.mark.parametrize(("approximate", "factor", "wrong"), [(False, 1, []), (True, 1, [""]), (False, 2, [""])])
def test_a_bias_may_be_added_after_the_residual(approximate: bool, factor: float, wrong: list[str]) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        h = linear(p, "a", x)
        h = h + jax.nn.gelu(h, approximate=approximate) @ p["b.weight"].T + factor * p["b.bias"]
        return linear(p, "c", h)

    report = compared(seeded(Residual()), port, X, order=1)
    assert report.passed is not wrong, report.story()
    assert len(report.faults) == len(wrong), report.story()


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l = nn.Linear(8, 20, bias=False)
        self.weight = nn.Parameter(torch.ones(1, 4, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.l(x).view(*x.shape[:2], 4, 5) * self.weight).sum(-1)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_may_take_the_place_of_a_sum(transposed: bool) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        h = (x @ p["l.weight"].T).reshape(*x.shape[:2], 5, 4) if transposed else (x @ p["l.weight"].T).reshape(2, 6, 4, 5)
        return jnp.einsum("bnho,ho->bnh", h.swapaxes(2, 3) if transposed else h, p["weight"][0])

    assert compared(seeded(Heads()), port, X).passed is not transposed


class SequenceFirst(nn.Module):
    """Attention between two norms; the axis of the sequence comes first in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.pre, self.mid, self.post = nn.LayerNorm(8), nn.LayerNorm(8), nn.LayerNorm(8)
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pre(x).transpose(0, 1)
        h = self.mid(x)
        q, k, v = (projection(h).transpose(0, 1) for projection in (self.q, self.k, self.v))
        x = x + self.out((torch.softmax(q @ k.mT / 8**0.5, -1) @ v).transpose(0, 1))
        return self.post(x + self.down(F.gelu(self.up(x)))).transpose(0, 1)


def norm(p: dict[str, Any], name: str, x: Any, epsilon: float = 1e-5) -> Any:
    x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + epsilon)
    return x * p[f"{name}.weight"] + p[f"{name}.bias"]


@pytest.mark.full
@pytest.mark.parametrize(("bug", "wrong"), [("", []), ("pre", ["pre"]), ("scale", [""]), ("gelu", [""])])
def test_the_first_layer_that_is_wrong_is_found_though_the_axes_have_another_order(bug: str, wrong: list[str]) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        x = x if bug == "pre" else norm(p, "pre", x)
        q, k, v = (linear(p, name, norm(p, "mid", x)) for name in "qkv")
        x = x + linear(p, "out", jax.nn.softmax(q @ k.mT / (1 if bug == "scale" else 8**0.5)) @ v)
        h = jax.nn.gelu(linear(p, "up", x), approximate=bug == "gelu")
        return norm(p, "post", x + linear(p, "down", h))

    report = compared(seeded(SequenceFirst()), port, normal(3, 7, 8))
    assert layers(report) == wrong, report.story()
    assert all(fault.error < 5 for fault in report.faults)
    if bug == "gelu":
        assert report.faults[0].error < 0.01


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        q, k, v = (projection(x).view(b, t, 2, 4).transpose(1, 2) for projection in (self.q, self.k, self.v))
        scores = (q @ k.mT / 2).masked_fill(~torch.ones(t, t).tril().bool(), -1e30)
        return self.out((torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(b, t, 8))


@pytest.mark.full
@pytest.mark.parametrize(("scale", "shift"), [(0.5, 0), (1.0, 0), (0.5, 1)])
def test_masks_are_compared_in_any_order_of_axes(scale: float, shift: int) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        b, t, _ = x.shape
        q, k, v = (linear(p, name, x).reshape(b, t, 2, 4) for name in "qkv")
        scores = jnp.einsum("btnh,bsnh->btns", q * scale, k)
        scores = jnp.where(jnp.tril(jnp.ones((t, t), bool), shift)[None, :, None], scores, -1e30)
        return linear(p, "out", jnp.einsum("btns,bsnh->btnh", jax.nn.softmax(scores), v).reshape(b, t, 8))

    report = compared(seeded(Causal()), port, X)
    assert report.passed is ((scale, shift) == (0.5, 0))
    masks = {"masks", "masks of both"}
    assert all(any(fact.kind in masks for fact in fault.facts) is (shift == 1) for fault in report.faults), report.story()


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
        return self.o(torch.softmax(self.q(x) @ self.k(x).mT / 3 + fill, -1) @ self.v(x))


class Shared(nn.Module):
    """Two layers of attention with one mask, which the model makes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Masked() for _ in range(2)])

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        fill = (1.0 - mask[:, None].to(x.dtype)) * -1e30
        for layer in self.layers:
            x = x + layer(x, fill)
        return x


@pytest.mark.parametrize("bad", [0, 1])
def test_the_layer_that_forgets_a_shared_mask_is_explained(bad: int) -> None:
    mask = np.ones((2, 6), int)
    mask[1, 4:] = 0

    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        fill = (1.0 - mask[:, None].astype(x.dtype)) * -1e30
        for k in range(2):
            q, key, v = (linear(p, f"layers.{k}.{name}", x) for name in "qkv")
            x = x + linear(p, f"layers.{k}.o", jax.nn.softmax(q @ key.mT / 3 + (0 if k == bad else fill)) @ v)
        return x

    report = compared(seeded(Shared()), port, X, mask)
    (fault,) = report.faults
    assert fault.torch == ("layers.1" if bad else ""), report.story()  # the first layer shows the mask itself
    forgotten, masked = fault.facts
    assert (forgotten.kind, forgotten.what) == ("missing", "the mask"), report.story()
    assert (masked.kind, masked.role, masked.where[:12]) == ("masks", "PyTorch", "12 of 72 pla")
    assert [report.layers[number].name for number in fault.layers] == [f"layers.{bad}.o.weight"]


class Mixed(nn.Module):
    """Each position is mixed with the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.ones(8))
        self.l = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x * self.mix + F.pad(x, (0, 0, 1, -1)) * (1 - self.mix))


def test_numbers_computed_from_a_weight_are_no_other_uses_of_it() -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        before = jnp.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        return linear(p, "l", before * p["mix"] + x * (1 - p["mix"]))

    report = compared(seeded(Mixed()), port, X)
    assert not report.passed
    assert not [fact for fault in report.faults for fact in fault.facts if fact.kind == "applied"]


# State and weights that libraries keep in their own way


@pytest.mark.parametrize("momentum", [0.1, 0.01])
@pytest.mark.parametrize("whole", [True, False], ids=["with its key", "without its key"])
def test_new_statistics_are_compared_by_the_names_inside(momentum: float, whole: bool) -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6, momentum=0.1))).train()
    own = params_of(model)
    params = {"params": {name: array for name, array in own.items() if "running" not in name}}
    params["state"] = {"mean": own["1.running_mean"], "var": own["1.running_var"]}

    def port(p: dict[str, Any], x: Any) -> Any:
        x = linear(p["params"], "0", x)
        mean, var = x.mean(0), x.var(0)
        count = len(x) / (len(x) - 1)
        state = {name: (1 - momentum) * p["state"][name] for name in ("mean", "var")}
        state = {"mean": state["mean"] + momentum * mean, "var": state["var"] + momentum * var * count}
        y = (x - mean) / jnp.sqrt(var + 1e-5) * p["params"]["1.weight"] + p["params"]["1.bias"]
        return y, {"state": state} if whole else state

    report = compare_models(model, port, [normal(16, 8)], params=params)
    assert report.passed is (momentum == 0.1), report.story()
    assert all(fact.kind == "momentum" for fault in report.faults for fact in fault.facts)


@pytest.mark.parametrize(
    ("momentum", "by", "facts"),
    [
        (0.1, 1, []),
        (0.1, 0, [Fact("updated", "running_var", jax="with the variance divided by n, PyTorch by n - 1")]),
        (0.2, 1, [Fact("momentum", f"running_{name}", jax="2") for name in ("mean", "var")]),
    ],
)
def test_norms_that_update_their_statistics_alike_are_one_kind_of_fault(momentum: float, by: int, facts: list[Fact]) -> None:
    sizes = (16, 12, 8)
    model = seeded(nn.Sequential(*(nn.BatchNorm1d(8, momentum=0.1) for _ in sizes))).train()

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for norm, size in zip(self.norms, sizes, strict=True):
                x = torch.tanh(norm(x[:size]))
            return x

    def port(p: dict[str, Any], x: Any) -> Any:
        new = {}
        for k, size in enumerate(sizes):
            name, x = f"norms.{k}", x[:size]
            mean, var = x.mean(0), x.var(0)
            statistics = {"mean": mean, "var": var * size / (size - by)}
            new |= {
                f"{name}.running_{kind}": (1 - momentum) * p[f"{name}.running_{kind}"] + momentum * new_one
                for kind, new_one in statistics.items()
            }
            x = jnp.tanh((x - mean) / jnp.sqrt(var + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"])
        return x, new

    params = params_of(Cut())
    report = compare_models(Cut(), port, [normal(16, 8)], params=params)
    assert [len(group) for group in report.diverging] == [3] * len(facts), report.story()
    assert_facts([group[0].facts[0] for group in report.diverging], *facts)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("axis", [1, 0])
def test_a_module_that_keeps_a_computed_weight_is_compared_and_copied(axis: int) -> None:
    model = nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 6)))
    params = params_of(model)

    def port(p: dict[str, Any], x: Any) -> Any:
        weight = p["0.weight_v"] / jnp.linalg.norm(p["0.weight_v"], axis=axis, keepdims=True) * p["0.weight_g"]
        return x @ weight.T + p["0.bias"]

    report = compare_models(model, port, [X], params=params)
    assert report.passed is (axis == 1), report.story()
    if axis == 1:
        filled, _ = copy_weights(model, port, [X], params={name: jnp.zeros_like(array) for name, array in params.items()})
        assert all((filled[name] == array).all() for name, array in params.items())


# What the noise of rounding excuses


@pytest.mark.parametrize("offset", [-3.0, -5.0, -7.0, -8.0, -9.0, -30.0])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_feature_far_below_0_needs_no_more_digits_than_those_beside_it(offset: float, scale: float) -> None:
    """There PyTorch's GELU cancels, in float64 too, and JAX's does not."""
    x = normal(40, 6) * np.where(np.arange(6) == 2, 0.1, scale).astype(np.float32)
    x[:, 2] += offset
    model = seeded(nn.Sequential(nn.GELU(), nn.Linear(6, 3)))

    def port(p: dict[str, Any], x: Any) -> Any:
        return linear(p, "1", jax.nn.gelu(x, approximate=False))

    report = compared(model, port, x)
    assert report.passed, report.story()


@pytest.mark.full
@pytest.mark.parametrize("epsilon", [1e-5, 1e-6, 1.5e-5])
def test_noise_at_far_positions_excuses_nothing_elsewhere(epsilon: float) -> None:
    class Encoded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.out = nn.LayerNorm(11), nn.Linear(11, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            angle = torch.linspace(-1, 1, 8, dtype=x.dtype)[:, None] * torch.linspace(1, 5, 4, dtype=x.dtype) * torch.pi
            return self.out(self.norm(torch.cat([x, torch.cat([angle.sin(), angle.cos()], -1).expand(len(x), -1, -1)], -1)))

    def port(p: dict[str, Any], x: Any) -> Any:
        angle = jnp.linspace(-1, 1, 8, dtype=x.dtype)[:, None] * jnp.linspace(1, 5, 4, dtype=x.dtype) * jnp.pi
        table = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1)
        x = jnp.concatenate([x, jnp.broadcast_to(table, (len(x), 8, 8))], -1)
        return linear(p, "out", norm(p, "norm", x, epsilon))

    report = compared(seeded(Encoded()), port, normal(2, 8, 3))
    assert layers(report) == ([] if epsilon == 1e-5 else ["norm"]), report.story()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_gradients_that_cancel_are_judged_with_those_beside_them(scale: float) -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).chunk(3, -1)
            return self.out(torch.softmax(q @ k.mT / 3, -1) @ v) * scale

    def attention(p: dict[str, Any], x: Any) -> Any:
        q, k, v = jnp.split(linear(p, "qkv", x), 3, -1)
        return linear(p, "out", jax.nn.softmax(jnp.einsum("bqd,bkd->bqk", q / 3, k)) @ v) * scale

    assert compared(seeded(Joined()), attention, X, order=1).passed


@pytest.mark.parametrize("scale", [1.0, 0.9])
def test_the_row_that_padding_idx_gives_no_gradient_is_named(scale: float) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = nn.Embedding(7, 8, padding_idx=2), nn.Linear(8, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.table(ids) ** 2)

    @jax.custom_jvp
    def square(x: Any) -> Any:
        return x**2

    square.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * scale * primals[0] * tangents[0]))

    def port(p: dict[str, Any], ids: Any) -> Any:
        return linear(p, "out", square(p["table.weight"][ids]))

    report = compared(seeded(Padded()), port, np.array([[0, 1, 2], [3, 2, 6]]), order=1)
    (fault,) = report.faults
    assert isinstance(fault.explanation, Worded)
    assert (fault.explanation.kind == "padding") is (scale == 1), report.story()  # the other port is wrong elsewhere too


@pytest.mark.parametrize("port", [lambda p, x, mask: x * mask.astype(x.dtype), lambda p, x, mask: x * mask])
def test_the_padding_of_a_convolution_is_named_behind_a_conversion(port: Port) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(2, 3, 3, stride=2, padding=1)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.a(x * mask)

    def convolved(p: dict[str, Any], x: Any, mask: Any) -> Any:
        convolution = jax.lax.conv_general_dilated(port(p, x, mask), p["a.weight"], (2, 2), "SAME")
        return convolution + p["a.bias"][:, None, None]

    mask = (normal(2, 1, 12, 12) > 0).astype(int)
    report = compared(seeded(Padded()), convolved, normal(2, 2, 12, 12), mask)
    (fault,) = report.faults
    assert_facts(fault.facts, Fact("padding", torch="(1, 1) x (1, 1)", jax="(0, 1) x (0, 1)"))


class Hidden(nn.Module):
    """Attention whose causal mask is a buffer that is longer than the inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(4, 4)
        self.register_buffer("mask", torch.tril(torch.ones(6, 6)).view(1, 6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, t = self.q(x), x.shape[1]
        assert isinstance(self.mask, torch.Tensor)
        return (q @ q.mT).masked_fill(self.mask[:, :t, :t] == 0, -torch.inf).softmax(-1) @ q


@pytest.mark.parametrize("offset", [0, -1])
def test_a_mask_may_be_a_part_of_a_buffer(offset: int) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        q = x @ p["q.weight"].T + p["q.bias"]
        seen = jnp.tril(jnp.ones((4, 4)), offset).at[0, 0].set(1)
        return jax.nn.softmax(jnp.where(seen == 0, -jnp.inf, q @ q.swapaxes(1, 2)), -1) @ q

    assert compared(seeded(Hidden()), port, normal(2, 4, 4)).passed == (offset == 0)


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("compiled", [torch.jit.script, lambda model: torch.jit.trace(model, torch.tensor(X))])
def test_a_module_of_torchscript_is_compared_and_copied(compiled: Any, approximate: bool) -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 3)))

    def port(p: dict[str, Any], x: Any) -> Any:
        return linear(p, "2", jax.nn.gelu(linear(p, "0", x), approximate=approximate))

    script = compiled(model)
    report = compared(script, port, X, order=1)
    assert report.passed is not approximate, report.story()
    assert len(report.faults) == approximate
    if not approximate:
        assert len(report.gradients) == 4
        empty = {name: jnp.zeros(tuple(parameter.shape)) for name, parameter in model.named_parameters()}
        filled, _ = copy_weights(script, port, [X], params=empty)
        assert all(np.array_equal(filled[name], parameter.detach().numpy()) for name, parameter in model.named_parameters())


class Windows(nn.Module):
    """Attention in windows, some of which hold tokens of several regions."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        regions = x.new_zeros((4, 4))
        regions[:, 2:], regions[1, 3:], regions[2, 1:] = 1.0, 2.0, 3.0
        apart = regions.unsqueeze(1) - regions.unsqueeze(2)
        mask = apart.masked_fill(apart != 0, -100.0).masked_fill(apart == 0, 0.0)
        return self.out((q @ k.mT + mask).softmax(-1) @ v)


def test_a_mask_that_jax_has_not_is_forgotten() -> None:
    """Another axis in the making of the mask would leave nothing of it too."""

    def port(p: dict[str, Any], x: Any) -> Any:
        q, k, v = jnp.split(linear(p, "qkv", x), 3, -1)
        return linear(p, "out", jax.nn.softmax(q @ k.mT, -1) @ v)

    report = compared(seeded(Windows()), port, normal(4, 4, 8))
    assert report.first is not None
    assert [fact.kind for fact in report.first.facts] == ["missing"], report.story()
