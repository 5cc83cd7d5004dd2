"""The memory that a comparison of two models takes: what is held once, and what does not fit."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import crosscheck
from crosscheck._models.values.spilled import Stored


class Overwriting(nn.Module):
    """Layers whose operands are results on record, in other shapes, or overwritten before they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(4, 6), nn.ReLU(inplace=True)
        self.second, self.third = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        h = self.act(self.first(x))
        k = self.second(h)
        k[0] *= 2  # a view of the result is written to
        return self.third(k)


@pytest.mark.parametrize("wrong", ["", "second", "third"])
def test_an_operand_is_what_the_operation_got_whatever_is_written_to_it_later(wrong: str) -> None:
    torch.manual_seed(0)
    model, x = Overwriting(), np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    params = {name: jnp.asarray(tensor.detach().numpy().copy()) for name, tensor in model.named_parameters()}

    def port(p: dict[str, Any], x: Any) -> Any:
        def linear(name: str, x: Any) -> Any:
            return x @ p[f"{name}.weight"].T * (1.5 if name == wrong else 1.0) + p[f"{name}.bias"]

        k = linear("second", jax.nn.relu(linear("first", x)))
        return linear("third", k.at[0].multiply(2))

    report = crosscheck.compare_models(model, port, [x], params=params)
    assert [fault.torch for fault in report.faults] == ([wrong] if wrong else []), report.story()


class Renormalised(nn.Module):
    """A model whose call writes to a parameter: its embedding shortens the rows that it picks."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(10, 4, max_norm=0.5), nn.Linear(4, 2)

    def forward(self, ids: Any) -> Any:
        return self.head(self.table(ids))


def test_a_model_that_writes_to_a_parameter_is_compared_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    model, ids = Renormalised(), np.arange(6)
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    params = {name: jnp.asarray(tensor.numpy()) for name, tensor in before.items()}

    def port(p: dict[str, Any], ids: Any) -> Any:
        rows = p["table.weight"][ids]
        length = jnp.sqrt((rows**2).sum(-1, keepdims=True))
        return rows * jnp.where(length > 0.5, 0.5 / (length + 1e-7), 1.0) @ p["head.weight"].T + p["head.bias"]

    report = crosscheck.compare_models(model, port, [ids], params=params, order=0)
    assert report.passed, report.story()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_parameters())
    wrong = crosscheck.compare_models(
        model, lambda p, ids: p["table.weight"][ids] @ p["head.weight"].T + p["head.bias"], [ids], params=params, order=0
    )
    assert wrong.cause == "definition"


STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
needs_linux = pytest.mark.skipif(not CLEAR.exists(), reason="the most memory that was resident is read from /proc")
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "memory.py"


def most_resident() -> int:
    """The most bytes that this process held since the mark was set back."""
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))


@needs_linux
@pytest.mark.parametrize("order", [0, 1])
def test_a_model_too_large_is_refused_before_it_is_copied(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(6000, 6000)  # larger than what the first comparison of a process imports
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    x = np.ones((1, 6000), np.float32)
    monkeypatch.setattr("crosscheck._models.run.memory.available", lambda: 100_000_000)
    CLEAR.write_text("5")
    before = most_resident()
    with pytest.raises(crosscheck.UsageError) as raised:
        # what is computed from weights alone is held in float64
        crosscheck.compare_models(model, lambda p, x: x @ -(-p["weight"]).T + p["bias"], [x], params=params, order=order)
    assert most_resident() - before < model.weight.nbytes
    need, said = memory_said(str(raised.value))
    assert need > 0.4
    assert said == "0.1 GB are free; give a model of fewer layers, or compare its parts"


def test_a_batch_too_large_is_refused_before_what_is_computed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nn.Linear(2, 2), np.ones((2 * 10**6, 2), np.float32)
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    monkeypatch.setattr("crosscheck._models.run.memory.available", lambda: 200_000_000)
    with pytest.raises(crosscheck.UsageError) as raised:
        crosscheck.compare_models(model, lambda p, x: x @ p["weight"].T + p["bias"], [x], params=params, order=0)
    need, said = memory_said(str(raised.value))
    assert need > 0.2
    assert said == "0.2 GB are free; give a smaller batch, shorter inputs or a model of fewer layers"


def memory_said(message: str) -> tuple[float, str]:
    """The GB that a refused comparison needs, and what the message says after them."""
    start, _, rest = message.partition(" GB of memory, and ")
    assert start.startswith("inputs: the comparison needs about ")
    return float(start.rpartition(" ")[2]), rest


@needs_linux
@pytest.mark.parametrize(
    ("name", "order"),
    [
        *(pytest.param(*model, marks=pytest.mark.full) for model in (("mlp", 0), ("unet", 1), ("gpt2-4x256", 1))),
        *(
            pytest.param(*model, marks=pytest.mark.catalogue)
            for model in (("lstm", 1), ("images-small", 1), ("wide-conv", 0), ("gpt2-4x256", 0))
        ),
    ],
)
def test_the_estimate_is_what_a_comparison_takes_within_30_percent(name: str, order: int) -> None:
    if name.startswith("gpt2"):
        pytest.importorskip("transformers")
    command = [sys.executable, str(BENCHMARK), name, "--order", str(order), "--alone"]
    # what JAX compiles takes more memory than what it finds compiled
    own = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(command, env=own, stdout=subprocess.PIPE, text=True, check=True)
    sizes = json.loads(done.stdout.splitlines()[-1])
    assert 0.7 <= sizes["estimated"] / sizes["measured"] <= 1.3, sizes


class Logits(nn.Module):
    """A table whose rows are picked, and multiplied by for the logits."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(words, width), nn.LayerNorm(width)

    def forward(self, ids: Any) -> Any:
        return self.norm(self.table(ids)) @ self.table.weight.T


def logits(p: dict[str, Any], ids: Any) -> Any:
    h = p["table.weight"][ids]
    h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5) * p["norm.weight"] + p["norm.bias"]
    return h @ p["table.weight"].T


def both(words: int, width: int) -> tuple[nn.Module, dict[str, Any], list[Any]]:
    torch.manual_seed(0)
    model = Logits(words, width)
    params = {name: tensor.detach().numpy().copy() for name, tensor in model.named_parameters()}
    return model, params, [np.random.default_rng(0).integers(0, words, (2, 5))]


@pytest.mark.full
def test_a_product_with_a_large_weight_is_computed_in_parts() -> None:
    model, params, ids = both(5000, 1000)  # more numbers than are held in float64 together
    right = crosscheck.compare_models(model, logits, ids, params=params)
    assert right.passed, right.story()

    def wrong(p: dict[str, Any], ids: Any) -> Any:
        return logits(p, ids).at[..., -1].multiply(2.0)

    report = crosscheck.compare_models(model, wrong, ids, params=params, order=0)
    assert not report.passed


@pytest.mark.full
@pytest.mark.parametrize(
    ("change", "passed", "judged"),
    [
        (lambda bias: bias, True, True),
        (jax.lax.stop_gradient, False, True),
        (lambda bias: bias * 1.0000001, True, True),  # as a rounded constant does
        (lambda bias: 2 * bias, False, False),
    ],
    ids=["right", "stopped gradient", "rounded", "twice"],
)
def test_numbers_that_wait_on_a_disk_are_judged_as_those_in_memory(
    monkeypatch: pytest.MonkeyPatch, change: Any, passed: bool, judged: bool
) -> None:
    model, params, ids = both(30, 6)
    with torch.no_grad():
        model.norm.bias += 0.5
    params["norm.bias"] += 0.5

    def port(p: dict[str, Any], ids: Any) -> Any:
        return logits({**p, "norm.bias": change(p["norm.bias"])}, ids)

    monkeypatch.setattr("crosscheck._models.run.interpreter.LARGE", 2**16)
    in_memory = crosscheck.compare_models(model, port, ids, params=params)
    monkeypatch.setattr("crosscheck._models.run.interpreter.LARGE", 0)
    monkeypatch.setattr("crosscheck._models.values.spilled.IN_MEMORY", 0)
    on_disk = crosscheck.compare_models(model, port, ids, params=params)
    assert in_memory.passed is passed, in_memory.story()
    assert in_memory == on_disk
    assert in_memory.faults == on_disk.faults
    assert {gradient.parameter for gradient in in_memory.gradients} == (set(params) if judged else set())


def test_weights_are_copied_with_values_that_wait_on_a_disk_as_with_those_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, params, ids = both(30, 6)
    untrained = {name: np.zeros_like(array) for name, array in params.items()}
    _, in_memory = crosscheck.copy_weights(model, logits, ids, params=untrained)
    viewed: list[int] = []
    monkeypatch.setattr("crosscheck._models.copy.known_weights.LARGE", 0)
    monkeypatch.setattr("crosscheck._models.values.spilled.IN_MEMORY", 0)
    view = Stored.view
    monkeypatch.setattr(Stored, "view", lambda stored: viewed.append(stored.size) or view(stored))
    filled, on_disk = crosscheck.copy_weights(model, logits, ids, params=untrained)
    assert on_disk == in_memory
    assert {name: filled[name].tolist() for name in params} == {name: array.tolist() for name, array in params.items()}
    assert viewed.count(2 * 5 * 6) > 5  # what the norm makes of the rows that are picked


SCALE = torch.tensor(2.0, requires_grad=True)
"""No parameter; a reentrant checkpoint needs something that gets a gradient."""


class ThreeUses(nn.Module):
    """A table that is looked up, makes the logits, and is looked up again in a checkpoint, as large models have them."""

    def __init__(self, *, sparse: bool, reentrant: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(30, 6, sparse=sparse)
        self.reentrant = reentrant

    def forward(self, ids: Any) -> Any:
        again = checkpoint(lambda scale: self.table(ids + 1) * scale, SCALE, use_reentrant=self.reentrant)
        return (self.table(ids) + again) @ self.table.weight.T


@pytest.mark.full
def test_nothing_of_a_comparison_is_left_for_the_collector() -> None:
    model, params, ids = both(30, 6)

    def port(p: dict[str, Any], ids: Any) -> Any:
        return logits({**p, "norm.bias": 2 * p["norm.bias"] + 1}, ids)

    for call in (crosscheck.compare_models, crosscheck.copy_weights):
        gc.collect()
        gc.disable()  # otherwise the collector may run by chance
        try:
            call(model, port, ids, params=params)
            assert gc.collect() < 500  # objects; a search for faults makes tens of thousands
        finally:
            gc.enable()


@pytest.mark.parametrize(("sparse", "reentrant"), [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("stopped", ["", "first", "second", "logits"])
def test_each_summand_of_a_large_gradient_counts(
    monkeypatch: pytest.MonkeyPatch, stopped: str, sparse: bool, reentrant: bool
) -> None:
    torch.manual_seed(0)
    model, ids = ThreeUses(sparse=sparse, reentrant=reentrant), [np.random.default_rng(0).integers(0, 29, (2, 5))]
    params = {"table.weight": model.table.weight.detach().numpy().copy()}

    def port(p: dict[str, Any], ids: Any) -> Any:
        use = dict.fromkeys(("first", "second", "logits"), p["table.weight"])
        if stopped:
            use[stopped] = jax.lax.stop_gradient(use[stopped])
        return (use["first"][ids] + use["second"][ids + 1] * 2.0) @ use["logits"].T

    monkeypatch.setattr(SCALE, "grad", torch.tensor(7.0))
    whole = crosscheck.compare_models(model, port, ids, params=params)
    assert SCALE.grad == 7.0
    monkeypatch.setattr("crosscheck._models.backward.summands.LARGE", 0)
    in_summands = crosscheck.compare_models(model, port, ids, params=params)
    assert in_summands.passed is not bool(stopped), in_summands.story()
    assert [gradient.cause for gradient in in_summands.gradients] == [gradient.cause for gradient in whole.gradients]
    errors = [[gradient.error for gradient in report.gradients] for report in (in_summands, whole)]
    np.testing.assert_allclose(*errors, rtol=1e-6, atol=1e-6 if sparse else 1e-12)  # a sparse one is in float32


def test_a_backward_pass_that_raises_leaves_other_gradients_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    class Raising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            y = self.layer(x) * SCALE
            if y.requires_grad:
                y.register_hook(lambda _: 1 / 0)
            return y * 2.0

    monkeypatch.setattr(SCALE, "grad", torch.tensor(7.0))
    model = Raising()
    params = {name: array.detach().numpy() for name, array in model.named_parameters()}

    def port(p: dict[str, Any], x: Any) -> Any:
        return (x @ p["layer.weight"].T + p["layer.bias"]) * 4.0

    report = crosscheck.compare_models(model, port, [np.ones((2, 3), np.float32)], params=params)
    assert [fault.side for fault in report.faults] == ["torch"]
    assert SCALE.grad == 7.0


class Cached(nn.Module):
    """Turns what it is given by angles whose table it keeps from its first call, from frequencies that were rounded."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.register_buffer("frequencies", 1.0 / (10000 ** (torch.arange(8) / 8)))
        self.table: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.table is None:
            self.table = torch.cos(torch.arange(5.0)[:, None] * self.frequencies)
        return torch.as_tensor(torch.tanh(self.layer(x) * self.table))


def turned(p: dict[str, Any], x: Any, module: str = "") -> Any:
    table = jnp.cos(jnp.arange(5.0)[:, None] / 10000 ** (jnp.arange(8) / 8))
    return jnp.tanh((x @ p[f"{module}layer.weight"].T + p[f"{module}layer.bias"]) * table)


@pytest.mark.full
def test_gradients_are_computed_again_by_a_module_that_has_kept_nothing() -> None:
    torch.manual_seed(0)
    model = Cached()
    params = {name: value.detach().numpy() for name, value in model.named_parameters()}
    x = np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32)
    report = crosscheck.compare_models(model, turned, [x], params=params)
    assert report.passed, report.story()
    assert {gradient.cause for gradient in report.gradients} == {None}


class Embedded(nn.Module):
    """Words whose gradient is sparse, of which there are no numbers in float64, times a table that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.cached = nn.Embedding(6, 8, sparse=True), Cached()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.cached(self.words(tokens)))


def test_a_backward_pass_that_needs_numbers_that_were_left_out_has_a_module_that_has_kept_nothing() -> None:
    torch.manual_seed(0)
    model = Embedded()
    params = {name: value.detach().numpy() for name, value in model.named_parameters()}

    def port(p: dict[str, Any], tokens: Any) -> Any:
        return turned(p, p["words.weight"][tokens], "cached.")

    tokens = np.random.default_rng(0).integers(0, 6, (2, 5))
    report = crosscheck.compare_models(model, port, [tokens], params=params)
    assert report.passed, report.story()
    assert {gradient.cause for gradient in report.gradients} == {None}


def test_a_scalar_weight_that_jax_does_not_use_has_a_gradient_of_zeros() -> None:
    model, params, ids = both(30, 6)
    model.spare = nn.Parameter(torch.tensor(1.0))
    report = crosscheck.compare_models(model, logits, ids, params={**params, "spare": np.ones((), np.float32)})
    assert report.passed, report.story()
    assert {gradient.cause for gradient in report.gradients} == {None}
