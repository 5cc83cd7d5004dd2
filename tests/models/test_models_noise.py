"""What rounding explains in a port and what it does not: constants, fills, jumps, small numbers beside large ones."""

from math import log, pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import Worded
from ports import Function, Port, X, compared, linear, normal, params_of, seeded
from torch import nn
from torch.nn import functional as F

from crosscheck import compare_models

pytestmark = pytest.mark.full


# A difference that rounding alone seems to explain


class Bucketed(nn.Module):
    """Rows of a table by the logarithm of a position, as for the buckets of relative positions."""

    def __init__(self, places: tuple[int, ...] = tuple(range(1, 20))) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(8, 4), nn.Linear(4, 4)
        self.places = places

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = (torch.log(torch.tensor(self.places).to(x.dtype)) / log(2)).long()
        return self.out(torch.tanh(self.table(rows) + x))


@pytest.mark.parametrize(
    ("rows", "passed"),
    [
        (lambda r: jnp.log(r) / log(2), True),
        (lambda r: jnp.log(r * (1 - 2.0**-30)) / log(2), True),  # other rows at the powers of two, as rounding may give
        (lambda r: jnp.log(r) / log(2) + 1, False),
        (lambda r: jnp.log(r) / log(3), False),
        (lambda r: jnp.log(r) / log(4), False),
    ],
    ids=["the same", "rounded otherwise", "one more", "another base", "half"],
)
def test_an_index_that_rounding_changes_at_few_places_excuses_no_other_place(rows: Port, passed: bool) -> None:
    model, x = seeded(Bucketed()), normal(19, 4)

    def port(p: dict[str, Any], x: Any) -> Any:
        index = rows(jnp.arange(1, 20).astype(x.dtype)).astype(jnp.int32)
        return linear(p, "out", jnp.tanh(p["table.weight"][index] + x))

    report = compared(model, port, x)
    assert report.passed is passed, report.story()
    assert [fault.torch for fault in report.faults] == ([] if passed else ["table"])


def test_a_port_that_differs_by_rounded_constants_alone_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search keeps every value of a run: of a large model, more than fits into memory."""
    model, x = seeded(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))), normal(3, 4)

    def port(p: dict[str, Any], x: Any, approximate: bool = False) -> Any:
        return linear(p, "2", jax.nn.gelu(linear(p, "0", x), approximate=approximate))  # holds sqrt(2) in float32

    def refused(*_: Any) -> None:
        raise RuntimeError("a search began")

    monkeypatch.setattr("crosscheck._models.judge.fault_search.FaultSearch", refused)
    assert compared(model, port, x).passed
    with pytest.raises(RuntimeError, match="a search began"):
        compared(model, lambda p, x: port(p, x, approximate=True), x)


def test_where_rounding_changes_every_index_it_is_said_that_little_is_judged() -> None:
    places = (2, 4, 8, 16)
    model, x = seeded(Bucketed(places)), normal(4, 4)

    def port(p: dict[str, Any], x: Any) -> Any:
        index = (jnp.log(jnp.array(places).astype(x.dtype) * (1 - 2.0**-30)) / log(2)).astype(jnp.int32)
        return linear(p, "out", jnp.tanh(p["table.weight"][index] + x))

    report = compared(model, port, x)
    assert report.passed
    judged = [note.about for note in report.notes if isinstance(note, Worded) and note.kind == "hardly judged"]
    assert [about[0] for about in judged] == ["out.weight"], report.notes


class Filled(nn.Module):
    """Attention with a bias of positions and a mask that is added to the scores."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.q, self.k, self.out, self.bias = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Embedding(4, 1)
        self.fill = fill

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n = torch.arange(x.shape[1])
        bias = self.bias((n[None] - n[:, None]).abs().clamp(max=3))[..., 0] + (1.0 - mask[:, None].to(x.dtype)) * self.fill
        return self.out(torch.softmax(self.q(x) @ self.k(x).mT + bias, -1) @ x)


@pytest.mark.parametrize("fill", [-1e4, -1e9, -1e30, torch.finfo(torch.float32).min])
@pytest.mark.parametrize(("far", "scale"), [(3, 1.0), (2, 1.0), (3, 0.35)], ids=["right", "another bias", "another scale"])
def test_the_fill_of_a_mask_hides_no_other_difference(fill: float, far: int, scale: float) -> None:
    mask = np.ones((2, 6), int)
    mask[0, 4:] = 0

    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        n = jnp.arange(x.shape[1])
        bias = p["bias.weight"][jnp.minimum(jnp.abs(n[None] - n[:, None]), far)][..., 0]
        bias = bias + (1.0 - mask[:, None].astype(x.dtype)) * fill
        return linear(p, "out", jax.nn.softmax(linear(p, "q", x) @ linear(p, "k", x).mT * scale + bias) @ x)

    report = compared(seeded(Filled(fill)), port, X, mask)
    assert report.passed is ((far, scale) == (3, 1.0)), report.story()
    assert [fault.torch for fault in report.faults] == (["bias"] if far == 2 else [""] if scale != 1 else [])


class Relative(Filled):
    """The bias depends on the logarithm of the distance."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n = torch.arange(x.shape[1])
        rows = (torch.log((n[None] - n[:, None]).abs().to(x.dtype) + 1) / log(2)).long()
        bias = self.bias(rows)[..., 0] + (1.0 - mask[:, None].to(x.dtype)) * self.fill
        return self.out(torch.softmax(self.q(x) @ self.k(x).mT + bias, -1) @ x)


@pytest.mark.parametrize(("base", "passed"), [(2, True), (3, False), (2.6, False)])
def test_neither_a_fill_nor_a_jump_hides_a_wrong_index(base: float, passed: bool) -> None:
    mask = np.ones((2, 12), int)
    mask[0, 9:] = 0
    fill = torch.finfo(torch.float32).min

    def port(p: dict[str, Any], x: Any, mask: Any) -> Any:
        n = jnp.arange(x.shape[1])
        rows = (jnp.log(jnp.abs(n[None] - n[:, None]).astype(x.dtype) + 1) / log(base)).astype(jnp.int32)
        bias = p["bias.weight"][rows][..., 0] + (1.0 - mask[:, None].astype(x.dtype)) * fill
        return linear(p, "out", jax.nn.softmax(linear(p, "q", x) @ linear(p, "k", x).mT + bias) @ x)

    report = compared(seeded(Relative(fill)), port, normal(2, 12, 8), mask)
    assert report.passed is passed, report.story()
    assert [fault.torch for fault in report.faults] == ([] if passed else ["bias"])


ALLOWED = np.arange(1600).reshape(8, 200) % 100 == 0
TRIANGLE = np.tril(np.ones((6, 6), np.float32))
LARGE = normal(16, 16) * np.where(np.arange(16)[:, None] == 0, 1e4, 1).astype(np.float32)
TIE = np.concatenate([[0.25], normal(199)]).astype(np.float32)


@pytest.mark.parametrize(
    ("of_torch", "of_jax", "given"),
    [
        (
            lambda x: torch.where(torch.from_numpy(ALLOWED), x / 0.7, -1e9),
            lambda x, wrong: jnp.where(ALLOWED, x / (0.8 if wrong else 0.7), -1e9),
            normal(8, 200),
        ),
        (
            lambda x: torch.softmax(x / 4 + (1 - torch.from_numpy(TRIANGLE)) * -1e9, -1),
            lambda x, wrong: jax.nn.softmax(x / (5 if wrong else 4) + (1 - jnp.asarray(TRIANGLE)) * -1e9, -1),
            normal(6, 6),
        ),
        (
            lambda x: torch.round(x / 0.1) * 0.1 + F.gelu(x),
            lambda x, wrong: jnp.round(x / 0.1) * 0.1 + jax.nn.gelu(x, approximate=wrong),
            TIE,
        ),
        (lambda x: x + 1, lambda x, wrong: x + (2 if wrong else 1), np.full(4, 1_700_000_000, np.int32)),
        (lambda x: x * 1e200, lambda x, wrong: x * (1.1e200 if wrong else 1e200), normal(20).astype(np.float64)),
        (F.gelu, lambda x, wrong: jax.nn.gelu(x, approximate=wrong), LARGE),
        (F.gelu, lambda x, wrong: jax.nn.gelu(x, approximate=wrong), LARGE.T),
        (
            lambda x: torch.cat([x, 1e-10 * F.gelu(x)], -1),
            lambda x, wrong: jnp.concatenate(
                [x, 1e-10 * (jax.nn.relu(x) if wrong else jax.nn.gelu(x, approximate=False))], -1
            ),
            normal(6, 8),
        ),
        (lambda x: x * 0.1, lambda x, wrong: x * np.float32(0.1001 if wrong else 0.1), normal(6, 8)),
        (lambda x: torch.sin(x * pi), lambda x, wrong: jnp.sin(x * jnp.float32(3.1416 if wrong else pi)), normal(6, 8)),
    ],
    ids=[
        "few beside fills",
        "an array of ones",
        "a tie",
        "large integers",
        "beyond the square root of the largest number",
        "beside a row of large numbers",
        "beside a feature of large numbers",
        "joined to large numbers",
        "a scalar of NumPy",
        "a scalar of JAX",
    ],
)
def test_a_wrong_port_is_not_certified(of_torch: Port, of_jax: Port, given: Any) -> None:
    dtype = "float64" if given.dtype == np.float64 else "float32"
    for wrong in (False, True):
        options = {"params": {}, "order": 0, "dtype": dtype}
        report = compare_models(Function(of_torch), lambda p, x, wrong=wrong: of_jax(x, wrong), [given], **options)
        assert report.passed is not wrong, report.story()


class Scaled(nn.Module):
    """A scale in the source or in a buffer."""

    def __init__(self, *, held: bool) -> None:
        super().__init__()
        self.l = nn.Linear(8, 4)
        self.register_buffer("scale", torch.tensor(0.7) if held else None, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l(x) * (0.7 if self.scale is None else self.scale)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("held", [False, True], ids=["in the source", "in a buffer"])
@pytest.mark.parametrize("scale", [0.7, np.float32(0.7), jnp.float32(0.7)], ids=["python", "numpy", "jax"])
def test_a_scale_is_exact_where_torch_does_not_round_it(dtype: str, held: bool, scale: Any) -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 4)))[0]
    params = {"l.weight": jnp.asarray(model.weight.detach().numpy()), "l.bias": jnp.asarray(model.bias.detach().numpy())}
    torch_model = Scaled(held=held)
    torch_model.l = model
    options = {"params": params, "order": 0, "dtype": dtype}
    assert compare_models(torch_model, lambda p, x: linear(p, "l", x) * scale, [X], **options).passed
    if not held:  # a buffer in the dtype may have any number near it
        wrong = compare_models(torch_model, lambda p, x: linear(p, "l", x) * (scale * 1.02), [X], **options)
        assert [fault.torch for fault in wrong.faults] == [""], wrong.story()


class Positioned(nn.Module):
    """A table of positions that torch computes in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.l, self.out = nn.Linear(8, 8), nn.Linear(8, 4)
        angles = torch.arange(6)[:, None] * torch.exp(torch.arange(0, 8, 2) * (-log(10000.0) / 8))
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.l(x) + self.table))


@pytest.mark.parametrize("base", [10000.0, 9999.0])
def test_a_table_that_was_rounded_in_another_way_is_no_fault(base: float) -> None:
    model = Positioned()
    angles = np.arange(6)[:, None] * np.exp(np.arange(0, 8, 2) * (-np.log(base) / 8))
    params = params_of(model)
    params["table"] = jnp.asarray(np.concatenate([np.sin(angles), np.cos(angles)], 1), jnp.float32)
    assert (params["table"] != model.table.numpy()).any()

    def port(p: dict[str, Any], x: Any) -> Any:
        return linear(p, "out", jax.nn.relu(linear(p, "l", x) + p["table"]))

    report = compare_models(model, port, [X], params=params, order=1)
    assert report.passed is (base == 10000), report.story()


@pytest.mark.parametrize("factor", [1.0, 1.0001])
def test_a_weight_that_was_normed_before_is_no_fault(factor: float) -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), nn.Linear(8, 4))
    params = {
        f"{k}.{name}": jnp.asarray(getattr(model[k], name).detach().numpy()) for k in (0, 1) for name in ("weight", "bias")
    }
    params["0.weight"] *= factor
    report = compare_models(model, lambda p, x: linear(p, "1", linear(p, "0", x)), [X], params=params, order=0)
    assert report.passed is (factor == 1), report.story()


class Rotated(nn.Module):
    """Attention with rotary positions, whose frequencies are a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.register_buffer("frequencies", 1 / 10000 ** (torch.arange(0, 8, 2).float() / 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert isinstance(self.frequencies, torch.Tensor)
        angles = (torch.arange(x.shape[1])[:, None] * self.frequencies).repeat(1, 2)

        def turn(x: torch.Tensor) -> torch.Tensor:
            return x * angles.cos() + torch.cat([-x[..., 4:], x[..., :4]], -1) * angles.sin()

        return ((turn(self.q(x)) @ turn(self.k(x)).mT) * 8**-0.5).softmax(-1) @ self.v(x)


@pytest.mark.parametrize("base", [10000.0, 20000.0])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounding_a_table_to_16_bits_excuses_no_other_table(dtype: str, base: float) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        angles = jnp.arange(x.shape[1])[:, None] / base ** (jnp.arange(0, 8, 2) / 8)
        cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)

        def turn(x: Any) -> Any:
            first, second = x[..., :4], x[..., 4:]
            return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1)

        q, k, v = (linear(p, name, x) for name in "qkv")
        return jax.nn.softmax((turn(q) @ turn(k).swapaxes(1, 2)) * 8**-0.5, -1) @ v

    torch.manual_seed(0)
    model = Rotated()
    params = {name: jnp.asarray(tensor.numpy()) for name, tensor in model.state_dict().items() if name != "frequencies"}
    report = compare_models(model, port, [normal(2, 12, 8)], params=params, dtype=dtype, order=0)
    assert report.passed is (base == 10000), report.story()


@pytest.mark.parametrize("error", [0.0, 0.015])
def test_weights_that_jax_holds_as_products_are_judged_in_16_bits(error: float) -> None:
    """Two layers without an activation between them are one in JAX, whose weights are rounded by themselves."""
    model = seeded(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4)))
    own = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    w = own["0.weight"].T @ own["1.weight"].T * (1 + error * np.sign(normal(9, 8)[1:]))
    b = own["0.bias"] @ own["1.weight"].T + own["1.bias"]
    params = {
        "w": jnp.asarray(w),
        "b": jnp.asarray(b),
        "w2": jnp.asarray(own["3.weight"].T),
        "b2": jnp.asarray(own["3.bias"]),
    }

    def port(p: dict[str, Any], x: Any) -> Any:
        return jnp.tanh(x @ p["w"] + p["b"]) @ p["w2"] + p["b2"]

    report = compare_models(model, port, [X], params=params, dtype="bfloat16", order=0)
    assert report.passed is (error == 0), report.story()


class Decayed(nn.Module):
    """A decay for each feature, of which a buffer holds the logarithm, as in a retention network."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 4), nn.Linear(4, 2)
        self.decay = nn.Buffer(torch.log(1 - 2.0 ** (-5 - torch.arange(4.0))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.up(x) * torch.exp(3 * self.decay))


@pytest.mark.parametrize("first", [5, 6])
@pytest.mark.parametrize("xp", [np, jnp])
def test_torch_may_hold_the_rounded_logarithms_of_numbers_that_jax_has_exactly(first: int, xp: Any) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        kept = 1 - 2.0 ** (-first - xp.arange(4.0))
        return linear(p, "down", linear(p, "up", x) * jnp.asarray(kept, x.dtype) ** 3)

    torch.manual_seed(0)
    model = Decayed()
    params = params_of(model)
    report = compare_models(model, port, [normal(3, 4)], params=params, order=1)
    assert report.passed is (first == 5), report.story()
