"""What ``compare_models`` must not let pass: whatever a model returns is compared, and what differs there is said."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import Worded, assert_facts
from torch import nn

from crosscheck import Fact, ModelsReport, UsageError, compare_models

Function = Callable[[Any], Any]


class Around(nn.Module):
    """Two layers, and a function of their result."""

    def __init__(self, of_torch: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.norm, self.act, self.fc2 = nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 6)
        self.of_torch = of_torch

    def forward(self, x: torch.Tensor) -> Any:
        return self.of_torch(self.fc2(self.act(self.norm(self.fc1(x)))))


def port(p: dict[str, Any], x: Any, *, epsilon: float = 1e-5) -> Any:
    h = x @ p["fc1.weight"].T + p["fc1.bias"]
    h = (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + epsilon)
    h = jax.nn.relu(h * p["norm.weight"] + p["norm.bias"])
    return h @ p["fc2.weight"].T + p["fc2.bias"]


X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def params_of(model: nn.Module) -> dict[str, Any]:
    return {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}


def compared(of_torch: Function, of_jax: Function, x: np.ndarray = X, order: int = 0, **options: Any) -> ModelsReport:
    model = Around(of_torch)
    return compare_models(model, lambda p, x: of_jax(port(p, x, **options)), [x], params=params_of(model), order=order)


def itself(y: Any) -> Any:
    return y


def halves(y: Any) -> Any:
    return y[:, :3], y[:, 3:]


def test_every_output_is_compared_whatever_operation_gives_it() -> None:
    assert compared(lambda y: tuple(y.split(3, 1)), lambda y: tuple(jnp.split(y, 2, 1))).passed
    for k in (0, 1):

        def wrong(y: Any, k: int = k) -> Any:
            parts = jnp.split(y, 2, 1)
            return tuple(2 * part if number == k else part for number, part in enumerate(parts))

        assert compared(lambda y: tuple(y.split(3, 1)), wrong).cause == "definition"
    swapped = compared(halves, lambda y: tuple(jnp.split(y, 2, 1))[::-1])
    assert swapped.cause == "definition"
    assert set(swapped.outputs) <= {"y[0]", "y[1]"}


def test_integers_and_truth_values_are_compared() -> None:
    assert compared(lambda y: (y, y.argmax(-1)), lambda y: (y, y.argmax(-1))).passed
    assert not compared(lambda y: (y, y.argmax(-1)), lambda y: (y, (-y).argmax(-1))).passed
    assert compared(lambda y: y > 0, lambda y: y > 0).passed
    assert not compared(lambda y: y > 0, lambda y: y <= 0).passed


def test_an_input_that_is_returned_is_compared() -> None:
    model = nn.Linear(4, 2)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x: torch.Tensor) -> Any:
            return self.inner(x), x

    params = params_of(model)
    for factor, passed in ((1, True), (2, False)):
        report = compare_models(
            Both(), lambda p, x, c=factor: (x @ p["weight"].T + p["bias"], c * x), [X], params=params, order=0
        )
        assert report.passed is passed, report.story()


def test_nan_where_the_other_side_has_a_number_is_seen() -> None:
    def masked_torch(y: Any) -> Any:
        return torch.softmax(y.masked_fill(torch.tensor([[True], [False], [False]]), -torch.inf), -1)

    def masked(y: Any) -> Any:
        return jax.nn.softmax(jnp.where(jnp.array([[True], [False], [False]]), -jnp.inf, y), -1)

    assert compared(masked_torch, masked).passed
    report = compared(masked_torch, lambda y: jnp.nan_to_num(masked(y)))
    assert report.cause == "special"


def test_a_bias_in_another_order_is_blamed_on_its_layer_alone() -> None:
    model = Around(itself)
    params = params_of(model)
    params["fc1.bias"] = params["fc1.bias"][::-1]
    report = compare_models(model, port, [X], params=params, order=0)
    assert [fault.torch for fault in report.faults] == ["fc1"], report.story()


@pytest.mark.parametrize("size", [1, 30, 300])
def test_an_epsilon_is_found_however_large_the_activations_are(size: int) -> None:
    assert compared(itself, itself, size * X).passed
    report = compared(itself, itself, size * X, epsilon=1e-6)
    assert [fault.torch for fault in report.faults] == ["norm"], report.story()


def test_outputs_of_other_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"its output y has the shape \(3,\), torch's has \(3, 1\)"):
        compared(lambda y: y[:, :1], lambda y: y[:, 0])


# Gradients


def test_parameters_that_are_not_trained_have_no_gradient_to_compare() -> None:
    model = Around(itself)
    model.fc1.requires_grad_(requires_grad=False)
    report = compare_models(model, port, [X], params=params_of(model))
    assert report.passed
    assert {gradient.parameter for gradient in report.gradients} == {"norm.weight", "norm.bias", "fc2.weight", "fc2.bias"}


def test_an_output_that_needs_no_gradient_is_no_error() -> None:
    report = compared(lambda y: (y, y.detach()), lambda y: (y, jax.lax.stop_gradient(y)), order=1)
    assert report.passed
    assert len(report.gradients) == 6


def test_a_backward_pass_that_raises_is_a_fault() -> None:
    @jax.custom_vjp
    def twice(y: Any) -> Any:
        return 2 * y

    def forward(y: Any) -> Any:
        return 2 * y, None

    def backward(*_: Any) -> Any:
        raise RuntimeError("no backward pass here")

    twice.defvjp(forward, backward)
    report = compared(lambda y: 2 * y, twice, order=1)
    assert (report.cause, report.side) == ("error", "jax")
    fact = Fact("raises", "RuntimeError: no backward pass here", "JAX")
    assert report.faults[0].facts == (fact,)
    assert fact.words() in report.verdict


def test_gradients_by_what_jax_holds_the_sum_of_are_compared() -> None:
    model = nn.LSTM(3, 4)
    own = {name: value.detach().numpy() for name, value in model.named_parameters()}
    params = {"i": own["weight_ih_l0"].T, "h": own["weight_hh_l0"].T, "b": own["bias_ih_l0"] + own["bias_hh_l0"]}

    class Outputs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = model

        def forward(self, x: torch.Tensor) -> Any:
            return self.lstm(x)[0]

    def lstm(p: Any, xs: Any, stopped: bool = False) -> Any:
        bias = jax.lax.stop_gradient(p["b"]) if stopped else p["b"]

        def step(carry: Any, x: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(x @ p["i"] + h @ p["h"] + bias, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((xs.shape[1], 4), xs.dtype)
        return jax.lax.scan(step, (zeros, zeros), xs)[1]

    x = np.random.default_rng(1).normal(size=(3, 2, 3)).astype(np.float32)
    report = compare_models(Outputs(), lstm, [x], params=jax.tree.map(jnp.asarray, params))
    assert report.passed, report.story()
    assert "gradients: 4 of 4 agree" in report.story()
    wrong = compare_models(Outputs(), partial(lstm, stopped=True), [x], params=jax.tree.map(jnp.asarray, params))
    assert [gradient.parameter for gradient in wrong.gradients if gradient.cause == "missing"] == [
        "lstm.bias_ih_l0",
        "lstm.bias_hh_l0",
    ]


def test_gradients_are_taken_along_the_same_cotangent_where_channels_are_last() -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, 3, bias=False)
    kernel = jnp.asarray(model.weight.detach().numpy().transpose(2, 3, 1, 0))
    image = np.random.default_rng(2).normal(size=(1, 2, 6, 5)).astype(np.float32)

    def conv(p: Any, x: Any) -> Any:
        return jax.lax.conv_general_dilated(x, p["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    report = compare_models(
        model, conv, [image], params={"kernel": kernel}, torch_to_jax=lambda inputs: [inputs[0].transpose(0, 2, 3, 1)]
    )
    assert report.passed, report.story()
    assert report.gradients[0].jax


class DrawsInVain(nn.Linear):
    """What it draws does not matter: it is not used, or drawn from a seed, as layers that may be dropped do it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.rand(())
        np.random.seed(3)
        return super().forward(x) * float(np.random.uniform())


def test_a_model_that_draws_numbers_in_vain_is_compared() -> None:
    model = DrawsInVain(4, 2)
    scale = np.random.RandomState(3).uniform()
    for factor, right in ((scale, True), (scale + 0.01, False)):
        report = compare_models(
            model, lambda p, x, by=factor: (x @ p["weight"].T + p["bias"]) * by, [X], params=params_of(model), order=0
        )
        assert report.passed is right


class RootMeanSquare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.out = nn.Parameter(torch.rand(4) + 0.5), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)))


@pytest.mark.parametrize(("epsilon", "right"), [(1e-6, True), (1e-5, False)])
def test_what_is_computed_in_another_order_is_left_out_and_said(epsilon: float, right: bool) -> None:
    def normed(p: dict[str, Any], x: Any) -> Any:
        scale = jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + epsilon) * p["weight"]
        return (x * scale) @ p["out.weight"].T + p["out.bias"]

    model = RootMeanSquare()
    report = compare_models(model, normed, [X], params=params_of(model), order=0)
    assert report.passed is right
    assert isinstance(report.notes[0], Worded)
    assert (report.notes[0].kind, report.notes[0].about[0]) == ("elsewhere", "weight")
    assert "weight" not in [layer.name for layer in report.layers]
    if right:
        assert max(layer.error for layer in report.layers) < 1e-9
    else:
        assert all(report.layers[number].fault == 0 for number in report.faults[0].layers)


class Embedded(nn.Module):
    """Attention within a window, of two embeddings and a table of positions."""

    def __init__(self, window: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.word, self.kind, self.window = nn.Embedding(9, 4), nn.Embedding(3, 4), window
        self.q, self.k, self.out = (nn.Linear(4, 4, bias=False) for _ in range(3))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.word(ids) + self.kind(torch.zeros_like(ids))
        angles = torch.arange(ids.shape[1])[:, None] * torch.tensor([0.3, 0.2, 0.1, 0.7])
        q, k = self.q(x) * torch.cos(angles), self.k(x) * torch.cos(angles)
        apart = torch.arange(ids.shape[1])[:, None] - torch.arange(ids.shape[1])
        hidden = (apart < 0) | (apart >= self.window)
        return self.out(torch.softmax((q @ k.mT).masked_fill(hidden, float("-inf")), -1) @ x)


def embedded(p: dict[str, Any], ids: Any, *, window: int, kind: int) -> Any:
    x = p["word.weight"][ids] + p["kind.weight"][jnp.full_like(ids, kind)]
    angles = np.arange(ids.shape[1])[:, None] * np.float32([0.3, 0.2, 0.1, 0.7]).astype(np.float64)
    table = jnp.asarray(np.cos(angles).astype(np.float32))
    q, k = (x @ p["q.weight"].T) * table, (x @ p["k.weight"].T) * table
    apart = jnp.arange(ids.shape[1])[:, None] - jnp.arange(ids.shape[1])
    scores = jnp.where((apart < 0) | (apart >= window), -1e30, q @ k.mT)
    return (jax.nn.softmax(scores, -1) @ x) @ p["out.weight"].T


BOUND = "the bound of a mask or window"


@pytest.mark.parametrize(
    ("window", "kind", "where", "facts"),
    [
        (3, 0, None, []),
        (
            4,
            0,
            "",
            [
                Fact("form", BOUND, torch=">= 3", jax=">= 4", near="behind q and k"),
                Fact("masks", role="PyTorch", where="10 of 128 places that JAX does not, such as [0, 3, 0]"),
            ],
        ),
        (
            2,
            0,
            "",
            [
                Fact("form", BOUND, torch=">= 3", jax=">= 2", near="behind q and k"),
                Fact("masks", role="JAX", where="12 of 128 places that PyTorch does not, such as [0, 2, 0]"),
            ],
        ),
        (3, 1, "kind", [Fact("part", "kind.weight", where=", as of other rows")]),
    ],
)
def test_a_mask_and_the_row_of_a_table_are_named(window: int, kind: int, where: str | None, facts: list[Fact]) -> None:
    model = Embedded(3)
    ids = np.random.default_rng(0).integers(0, 9, (2, 8))
    report = compare_models(
        model, lambda p, x: embedded(p, x, window=window, kind=kind), [ids], params=params_of(model), order=0
    )
    assert [fault.torch for fault in report.faults] == ([] if where is None else [where])
    assert_facts([fact for fault in report.faults for fact in fault.facts], *facts)


class OfImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.act, self.other = nn.Conv2d(3, 4, 3, padding=1), nn.Hardswish(), nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.act(self.one(x)))


@pytest.mark.full
def test_another_activation_between_layers_with_channels_last_is_named() -> None:
    def port(p: dict[str, Any], x: Any) -> Any:
        for name, act in (("one", jax.nn.hard_sigmoid), ("other", itself)):
            kernel = p[f"{name}.weight"].transpose(2, 3, 1, 0)
            h = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = act(h + p[f"{name}.bias"])
        return x

    model = OfImages()
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 5)).astype(np.float32)
    report = compare_models(
        model, port, [x], params=params_of(model), order=0, torch_to_jax=lambda own: [own[0].transpose(0, 2, 3, 1)]
    )
    assert [fault.torch for fault in report.faults] == ["act"]
    assert_facts(report.faults[0].facts, Fact("other", torch="hardswish", jax="hardsigmoid"))


@pytest.mark.parametrize(
    ("bias", "axis", "blamed"), [(True, 0, {"fc2", "of_torch"}), (True, -1, {"fc2"}), (False, 0, {"of_torch"})]
)
def test_two_bugs_between_the_same_weights_are_both_named(*, bias: bool, axis: int, blamed: set[str]) -> None:
    model = Around(nn.LogSoftmax(-1))
    params = params_of(model) | ({"fc2.bias": jnp.zeros(6)} if bias else {})
    report = compare_models(model, lambda p, x: jax.nn.log_softmax(port(p, x), axis), [X], params=params, order=0)
    assert {fault.torch for fault in report.faults} == blamed
