"""What ports of models of real families showed: a wrong port that was certified, and faults at the wrong place."""

from math import inf, log, pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax import lax
from ports import IMAGE, Function, Port, X, compared, linear, normal, seeded
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


def test_where_rounding_changes_every_index_it_is_said_that_little_is_judged() -> None:
    places = (2, 4, 8, 16)
    model, x = seeded(Bucketed(places)), normal(4, 4)

    def port(p: dict[str, Any], x: Any) -> Any:
        index = (jnp.log(jnp.array(places).astype(x.dtype) * (1 - 2.0**-30)) / log(2)).astype(jnp.int32)
        return linear(p, "out", jnp.tanh(p["table.weight"][index] + x))

    report = compared(model, port, x)
    assert report.passed
    assert any(note.startswith("hardly judged: out.weight") for note in report.notes), report.notes


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
    params = {name: jnp.asarray(one.numpy()) for name, one in model.state_dict().items()}
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
        mean, var, weight, bias = (one[:, None, None] for one in (mean, var, weight, bias))
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
    assert fault.explanation.startswith("with 1e-05 in place of its 0.001, JAX gives what PyTorch gives")


def test_a_tiny_difference_is_not_said_to_be_one_of_order() -> None:
    model = seeded(nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16, eps=1e-12), nn.Linear(16, 4)))

    def port(p: dict[str, Any], x: Any) -> Any:
        x = linear(p, "0", x)
        x = (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 5e-9)
        return linear(p, "2", x * p["1.weight"] + p["1.bias"])

    (fault,) = compared(model, port, X).faults
    assert fault.torch == "1"
    assert fault.explanation.startswith("JAX computes something else")


def test_a_pooling_is_compared_with_the_norm_behind_it() -> None:
    """Where the padding is not seen, both sides give the same."""
    model = seeded(nn.Sequential(nn.Conv2d(3, 6, 1), nn.AvgPool2d(3, 2, padding=1), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)))

    def conv(p: dict[str, Any], name: str, x: Any) -> Any:
        return lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), "VALID") + p[f"{name}.bias"][:, None, None]

    def window(x: Any) -> Any:
        return lax.reduce_window(x, 0.0, lax.add, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))

    def port(p: dict[str, Any], x: Any) -> Any:
        x = conv(p, "0", x)
        x = window(x) / window(jnp.ones_like(x))
        moved = {name.replace("2.", "1.", 1): one for name, one in p.items() if name.startswith("2.")}
        return conv(p, "3", norm(moved, x, epsilon=1e-5, folded=False, last=False))

    (fault,) = compared(model, port, IMAGE).faults
    assert fault.torch == "1"
    assert fault.explanation.endswith("they differ in all of `y` but `y[:, :, 1:, 1:]`")


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
    assert (fault.torch, fault.explanation.partition(",")[0]) == ("out", "JAX does not apply out.bias")


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
    ("fill", "shift", "scores", "explanation"),
    [
        (-1e4, 0, lambda s: s * 0.35, None),
        (-inf, 0, lambda s: s * 0.35, None),
        (-1e4, 1, lambda s: s * 0.35, "PyTorch masks 10 of 72 places that JAX does not, such as [0, 0, 1]"),
        (-1e4, 0, lambda s: jnp.tanh(s * 0.35), "JAX computes something else"),
    ],
)
def test_a_mask_that_jax_computes_is_applied(fill: float, shift: int, scores: Port, explanation: str | None) -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        mask = jnp.where(jnp.tril(jnp.ones((6, 6), bool), shift), 0, fill)
        return linear(p, "out", jax.nn.softmax(scores(linear(p, "q", x) @ linear(p, "k", x).mT) + mask) @ x)

    faults = compared(seeded(Masked(fill)), port, X).faults
    assert [fault.explanation.partition(";")[0] for fault in faults] == ([] if explanation is None else [explanation])


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
    assert next((one.torch, one.layout, one.reason) for one in report.weights) == ("positions", "the same", None)
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
    (layer,) = (one for one in report.layers if one.fault is not None)
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
    assert not any("padding" in fault.explanation for fault in faults)
