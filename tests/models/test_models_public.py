"""What ports of public models get wrong, in small: the places, the causes, and the right ports that were doubted."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts, has_fact
from ports import Function, Port, X, compared, linear, norm, normal, params_of, seeded
from torch import nn
from torch.nn import functional as F

from crosscheck import Fact, ModelsReport, compare_models

pytestmark = pytest.mark.full

IDS = np.random.default_rng(0).integers(0, 20, (2, 8))
MASK = np.ones((2, 6), np.int64)
MASK[1, :2] = 0  # padding on the left


def only_fault(report: ModelsReport) -> Any:
    assert not report.passed
    assert len(report.diverging) == 1, report.story()
    return report.faults[0]


class Masked(nn.Module):
    """Attention to the tokens before, without those of the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.o = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x)[:, None].chunk(3, -1)
        seen = torch.ones(6, 6, dtype=torch.bool).tril() & (mask[:, None, None, :] > 0)
        return self.o(F.scaled_dot_product_attention(q, k, v, attn_mask=seen)[:, 0])


def attention(p: dict[str, Any], x: Any, mask: Any, *, hidden: float, rows: float, scale: float = 8**0.5) -> Any:
    q, k, v = jnp.split(linear(p, "qkv", x), 3, -1)
    seen = jnp.tril(jnp.ones((6, 6), bool)) & (mask[:, None, :] > 0)
    scores = q @ k.swapaxes(1, 2) / scale + jnp.where(seen, 0.0, hidden)
    scores = (
        jnp.where(seen.any(-1, keepdims=True), jax.nn.softmax(scores, -1), rows) if rows >= 0 else jax.nn.softmax(scores, -1)
    )
    return linear(p, "o", scores @ v)


@pytest.mark.parametrize("hidden", [float(jnp.finfo(jnp.float32).min), -1e9])
def test_rows_that_a_mask_hides_as_a_whole_are_compared(hidden: float) -> None:
    model = seeded(Masked())
    assert compared(model, lambda p, x, mask: attention(p, x, mask, hidden=hidden, rows=0.0), X, MASK, order=1).passed
    fault = only_fault(compared(model, lambda p, x, mask: attention(p, x, mask, hidden=hidden, rows=-1.0), X, MASK))
    assert has_fact(fault.facts, Fact("empty rows", role="PyTorch"))


def test_the_scale_of_attention_is_named() -> None:
    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        return attention(p, x, mask, hidden=-1e9, rows=0.0, scale=1.0)

    fault = only_fault(compared(seeded(Masked()), port, X, MASK))
    assert has_fact(fault.facts, Fact("form", "the product's scale", torch="1 / 2.82843", jax="1"))


def test_keys_and_values_exchanged_are_named_among_many_tokens() -> None:
    """What enters a segment is exchanged before its many inner values, for which there would be too much to compute."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v, self.o = (nn.Linear(64, 64) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = (layer(x).view(2, 64, 16, 4).transpose(1, 2) for layer in (self.q, self.k, self.v))
            return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))

    def port(p: dict[str, Any], x: Any) -> Any:
        q, k, v = (linear(p, name, x).reshape(2, 64, 16, 4) for name in ("q", "v", "k"))
        scores = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q / 2, k))
        return linear(p, "o", jnp.einsum("bhqk,bkhd->bqhd", scores, v).reshape(x.shape))

    fault = only_fault(compared(seeded(Attention()), port, normal(2, 64, 64)))
    assert has_fact(fault.facts, Fact("exchange", torch="the result of k", jax="the result of v"))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.norm, self.up, self.down, self.last = (
            *(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)),
            nn.LayerNorm(8),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x + torch.tanh(self.mix(x)))
        return self.last(x + self.down(F.gelu(self.up(x))))


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList([Layer(), Layer()]), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def layer(p: dict[str, Any], name: str, x: Any, *, how: str) -> Any:
    first, second = (f"{name}.last", f"{name}.norm") if how == "exchanged" else (f"{name}.norm", f"{name}.last")
    if how == "before":
        x = x + jnp.tanh(linear(p, f"{name}.mix", norm(p, first, x)))
    elif how == "sum later":
        x = norm(p, first, jnp.tanh(linear(p, f"{name}.mix", x))) + x
    else:
        x = norm(p, first, x + jnp.tanh(linear(p, f"{name}.mix", x)))
    return norm(p, second, x + linear(p, f"{name}.down", jax.nn.gelu(linear(p, f"{name}.up", x), approximate=False)))


@pytest.mark.parametrize(
    ("how", "where", "fact"),
    [
        ("before", "layers.1.norm", Fact("moved", "it", torch="after", jax="before mix")),
        ("sum later", "layers.1", Fact("later", jax="norm")),
        ("exchanged", "layers.1.norm", Fact("crossed", "last")),
        ("reversed", "layers", Fact("sequence", "layers.1, layers.0", jax="in reverse order")),
    ],
)
def test_modules_in_another_order_are_one_fault(how: str, where: str, fact: Fact) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        for number in (1, 0) if how == "reversed" else (0, 1):
            x = layer(p, f"layers.{number}", x, how=how if number == 1 else "")
        return linear(p, "head", x)

    fault = only_fault(compared(seeded(Layers()), port, X))
    assert (fault.torch, fault.facts) == (where, (fact,))


class Gated(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.gate, self.up, self.down, self.act = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize(
    ("activation", "other", "fact"),
    [
        (nn.SiLU(), jax.nn.relu, Fact("other", torch="silu", jax="relu")),
        (nn.SiLU(inplace=True), jax.nn.relu, Fact("other", torch="silu", jax="relu")),
        (nn.GELU(), jax.nn.gelu, Fact("form", "gelu", torch="exact", jax="the tanh form")),
    ],
)
def test_the_activation_of_a_gate_is_named(activation: nn.Module, other: Port, fact: Fact, cast: bool) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        gate = linear(p, "gate", x)
        # as layers of flax do that have a dtype; also where JAX traces in float64
        return linear(p, "down", other(gate.astype(jnp.float32) if cast else gate) * linear(p, "up", x))

    fault = only_fault(compared(seeded(Gated(activation)), port, X))
    assert fault.torch == "act"
    assert_facts(fault.facts[:1], fact)


def test_a_bias_of_other_numbers_is_named_behind_a_mask() -> None:
    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.o = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = (1 - mask[:, None, :].to(x.dtype)) * -1e4
            return self.o(F.softmax(self.q(x) @ self.k(x).transpose(1, 2) + hidden, -1) @ x)

    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        scores = linear(p, "q", x) @ linear(p, "k", x).swapaxes(1, 2)
        return linear(p, "o", jax.nn.softmax(jnp.where(mask[:, None, :] > 0, scores, -jnp.inf), -1) @ x)

    model = seeded(Queries())
    params = params_of(model)
    assert compare_models(model, port, [X, MASK], params=params, order=0).passed
    report = compare_models(model, port, [X, MASK], params={**params, "q.bias": params["q.bias"] * 0.5}, order=0)
    fault = only_fault(report)
    assert fault.torch == "q"
    assert has_fact(fault.facts, Fact("values", "q.bias"))


@pytest.mark.parametrize("offset", [0, 2])
def test_positions_that_torch_computes_from_the_tokens_are_one_fault(offset: int) -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places, self.norm = nn.Embedding(20, 8), nn.Embedding(16, 8), nn.LayerNorm(8)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            seen = ids.ne(21).int()
            return self.norm(self.words(ids) + self.places(torch.cumsum(seen, 1) * seen + 1))

    def port(p: dict[str, Any], ids: Any) -> Any:
        places = jnp.broadcast_to(jnp.arange(8), ids.shape) + offset
        return norm(p, "norm", p["words.weight"][ids] + p["places.weight"][places])

    report = compared(seeded(Positions()), port, IDS)
    assert report.passed is (offset == 2)
    if offset == 0:
        assert only_fault(report).torch == "places"


def test_a_table_in_float64_of_rounded_numbers_may_differ_in_their_last_digit() -> None:
    angles = np.arange(6)[:, None] * 10.0 ** -(np.arange(8) / 8)
    table = np.sin(angles).astype(np.float32)
    model = Function(lambda x: x * torch.from_numpy(table))
    other = np.where(np.arange(8) % 3 == 1, np.nextafter(table, np.float32(2)), table).astype(np.float64)
    assert compare_models(model, lambda _, x: x * jnp.array(other.copy()), [X], params={}).passed
    assert not compare_models(model, lambda _, x: x * jnp.array(other + 1e-5), [X], params={}).passed


@pytest.mark.parametrize(("block", "approximate", "right"), [(4, False, True), (3, False, False), (4, True, False)])
def test_what_follows_a_jump_everywhere_is_judged(block: int, approximate: bool, right: bool) -> None:
    """A number of each block goes into all outputs, so that rounding at a jump may move every one of them."""

    class Blocks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            each = torch.ones_like(mask) / 4
            number = torch.floor(torch.cumsum(each, 1) - each + torch.where(mask >= 0, 0.0, -9.0)).long().clamp(0, 3)
            return self.b(torch.einsum("bng,bnd->bgd", F.one_hot(number, 4).to(x.dtype), F.gelu(self.a(x))))

    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        each = jnp.ones_like(mask) / block
        number = jnp.clip(jnp.floor(jnp.cumsum(each, 1) - each + jnp.where(mask >= 0, 0.0, -9.0)).astype(int), 0, 3)
        h = jax.nn.gelu(linear(p, "a", x), approximate=approximate)
        return linear(p, "b", jnp.einsum("bng,bnd->bgd", jax.nn.one_hot(number, 4), h))

    assert compared(seeded(Blocks()), port, normal(2, 17, 8), np.ones((2, 17), np.int64)).passed is right


def test_the_same_mask_forgotten_in_every_layer_is_one_kind_of_fault() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([Masked(), Masked()])

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = layer(x, mask)
            return x

    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        for k in range(2):
            own = {
                name.removeprefix(f"layers.{k}."): weight for name, weight in p.items() if name.startswith(f"layers.{k}.")
            }
            x = attention(own, x, jnp.ones_like(mask), hidden=-1e9, rows=-1.0)
        return x

    right = np.ones_like(MASK)
    right[1, 4:] = 0  # padding on the right leaves something in each row
    report = compared(seeded(Twice()), port, X, right)
    assert [fault.torch for fault in report.diverging[0]] == ["layers.0", "layers.1"], report.story()
    assert len(report.diverging) == 1


def test_a_bias_relative_to_positions_that_torch_adds_in_place_is_a_landmark() -> None:
    class Relative(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.o, self.table = nn.Linear(8, 8), nn.Linear(8, 8), nn.Embedding(6, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            apart = (torch.arange(6)[:, None] - torch.arange(6)).clamp(min=0)
            hidden = torch.full((6, 6), torch.finfo(x.dtype).min).triu(1)
            scores = self.q(x) @ x.transpose(1, 2)
            scores += self.table(apart)[..., 0] + hidden
            return self.o(F.softmax(scores, -1) @ x)

    def port(p: dict[str, Any], x: Any, causal: bool) -> Any:
        apart = jnp.maximum(jnp.arange(6)[:, None] - jnp.arange(6), 0)
        scores = linear(p, "q", x) @ x.swapaxes(1, 2) + p["table.weight"][apart][..., 0]
        scores = jnp.where(jnp.tril(jnp.ones((6, 6), bool)), scores, -1e30) if causal else scores
        return linear(p, "o", jax.nn.softmax(scores, -1) @ x)

    model = seeded(Relative())
    assert compared(model, lambda p, x: port(p, x, True), X).passed
    fault = only_fault(compared(model, lambda p, x: port(p, x, False), X))
    assert has_fact(fault.facts, Fact("masks", role="PyTorch"))


def test_a_batch_norm_whose_statistics_have_each_other_s_place_is_one_fault() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.bn, self.b = nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(F.relu(self.bn(self.a(x))))

    def port(p: dict[str, Any], x: Any, mean: str, bias: str) -> Any:
        scale = jax.lax.rsqrt(p["bn.running_var"] + 1e-5) * p["bn.weight"]
        return linear(p, "b", jax.nn.relu((linear(p, "a", x) - p[mean]) * scale + p[bias]))

    model, rows = seeded(Normed()), normal(16, 8)
    assert compared(model, lambda p, x: port(p, x, "bn.running_mean", "bn.bias"), rows).passed
    assert only_fault(compared(model, lambda p, x: port(p, x, "bn.bias", "bn.running_mean"), rows)).torch == "bn"


def test_dropout_that_was_left_on_is_named() -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        h = jax.nn.relu(linear(p, "0", x))
        return linear(p, "3", jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, h.shape), h / 0.5, 0.0))

    model = seeded(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)))
    assert_facts(only_fault(compared(model, port, X)).facts, Fact("drawn"))


def test_a_mask_that_keeps_every_number_is_not_blamed_for_another_mistake() -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        h = jax.nn.relu(linear(p, "0", x))
        kept = jnp.where(jax.random.bernoulli(jax.random.key(0), 1.0, h.shape), h, 0.0)
        return linear(p, "3", kept + jnp.sin(kept))

    model = seeded(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)))
    assert "drawn" not in [fact.kind for fact in only_fault(compared(model, port, X)).facts]


def test_heads_of_a_mask_in_groups_are_no_cause() -> None:
    """JAX has the axes of its scores in another order, with heads in groups; its mask is PyTorch's."""

    def heads(x: Any) -> Any:
        return x.reshape(2, 6, 4, 2)

    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.o = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k = heads(self.q(x)), heads(x)
            scores = torch.einsum("btnh,bsnh->bnts", q, k) * 0.5
            scores = scores.masked_fill(torch.ones(6, 6, dtype=torch.bool).triu(1), -torch.inf)
            return self.o(torch.einsum("bnts,bsnh->btnh", scores.softmax(-1), k).reshape(2, 6, 8))

    def port(p: dict[str, Any], x: Any) -> Any:
        q, k = heads(linear(p, "q", x)).reshape(2, 6, 2, 2, 2), heads(x).reshape(2, 6, 2, 2, 2)
        scores = jnp.einsum("btgnh,bsgnh->btgns", q, k) * 0.25
        seen = jnp.tril(jnp.ones((6, 6), bool))[:, None, None, :]
        scores = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), -1)
        return linear(p, "o", jnp.einsum("btgns,bsgnh->btgnh", scores, k).reshape(2, 6, 8))

    facts = only_fault(compared(seeded(Grouped()), port, X)).facts
    assert not [fact for fact in facts if fact.kind in ("masks", "masks of both") or fact.what == "the mask"]


def test_a_layer_with_the_numbers_of_the_one_before_is_named() -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)))

    def port(p: dict[str, Any], x: Any) -> Any:
        return linear(p, "4", jnp.tanh(linear(p, "2", jnp.tanh(linear(p, "0", x)))))

    params = params_of(model)
    params |= {f"2.{part}": params[f"0.{part}"] for part in ("weight", "bias")}
    report = compare_models(model, port, [X], params=params, order=0)
    assert report.first is not None
    assert report.first.torch == "2", report.story()


def test_tokens_that_jax_moves_after_it_has_joined_them_are_one_fault() -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cls = nn.Parameter(torch.zeros(1, 1, 8))
            self.norm, self.up, self.last = nn.LayerNorm(8), nn.Linear(8, 8), nn.LayerNorm(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.cat([self.cls.expand(2, 1, 8), x], 1)
            return self.last(x + self.up(self.norm(x)))

    def port(p: dict[str, Any], x: Any, *, back: bool = False) -> Any:
        x = jnp.concatenate([jnp.broadcast_to(p["cls"], (2, 1, 8)), x], 1)[:, ::-1]
        x = norm(p, "last", x + linear(p, "up", norm(p, "norm", x)))
        return x[:, ::-1] if back else x

    # the layers treat each token alike, so that a port that moves them back is right
    assert compared(seeded(Joined()), lambda p, x: port(p, x, back=True), X).passed
    fault = only_fault(compared(seeded(Joined()), port, X))
    assert fault.operation == "cat"
    assert has_fact(fault.facts, Fact("order", where="the result of norm", jax="with axis -2 in reverse order"))
