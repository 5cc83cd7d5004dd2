"""Running statistics in training mode: their old values enter the new ones, so they are copied, and then compared."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from facts import Worded, assert_facts, has_fact, kind_of
from ports import floats_of, linear, normal, seeded
from torch import nn
from zoo import ARCHITECTURES, installed

from crosscheck import Fact, ModelsReport, compare_models

X = normal(32, 4)
STATISTICS = {f"{norm}.running_{kind}" for norm in ("bn1", "bn2") for kind in ("mean", "var")}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(4, 6), nn.BatchNorm1d(6)
        self.fc2, self.bn2, self.out = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.bn1(self.fc1(x)))
        return self.out(torch.tanh(self.bn2(self.fc2(x))))


def net() -> nn.Module:
    return seeded(Net()).train()


def port(p: Any, x: Any, momentum: float = 0.1) -> Any:
    new = dict(p)
    for k in (1, 2):
        x = linear(p, f"fc{k}", x)
        mean, var, count = x.mean(0), x.var(0), len(x) / (len(x) - 1)
        for name, batch in ((f"bn{k}.running_mean", mean), (f"bn{k}.running_var", var * count)):
            new[name] = (1 - momentum) * p[name] + momentum * batch
        x = jnp.tanh((x - mean) / jnp.sqrt(var + 1e-5) * p[f"bn{k}.weight"] + p[f"bn{k}.bias"])
    return linear(p, "out", x), new


def fresh(model: nn.Module) -> dict[str, Any]:
    return {
        name: jnp.ones_like(array) if "var" in name else jnp.zeros_like(array) for name, array in floats_of(model).items()
    }


def copied(report: ModelsReport) -> set[str | None]:
    return {match.torch for match in report.weights if match.matched and "running" in str(match.torch)}


def test_statistics_that_are_written_alone_are_copied_and_compared() -> None:
    model = net()
    report = compare_models(model, port, [X], params=fresh(model), weights="copy")
    assert report.passed, report.story()
    assert copied(report) == STATISTICS
    assert report.outputs.keys() > STATISTICS
    assert report.notes == ()


def test_statistics_are_copied_although_another_momentum_changes_them() -> None:
    model = net()
    report = compare_models(model, lambda p, x: port(p, x, 0.3), [X], params=fresh(model), weights="copy", order=0)
    assert copied(report) == STATISTICS
    assert len(report.faults) == 4
    for fault in report.faults:
        assert_facts(fault.facts, Fact("momentum", jax="3"))


def test_other_statistics_before_the_run_are_said_and_certify_nothing() -> None:
    model = net()
    params = floats_of(model) | {name: array for name, array in fresh(model).items() if name in STATISTICS}
    report = compare_models(model, port, [X], params=params, order=0)
    assert not report.passed
    assert report.faults == ()
    assert isinstance(report.message, Worded)
    assert (report.message.kind, {*report.message.about}) == ("other statistics", STATISTICS)
    assert report.message in report.verdict
    assert "not returned" not in map(kind_of, report.notes)


def test_a_port_that_returns_no_statistics_is_told_so() -> None:
    model = net()
    report = compare_models(model, lambda p, x: port(p, x)[0], [X], params=fresh(model), weights="copy", order=0)
    assert report.passed, report.story()
    assert [{*note.about} for note in report.notes if isinstance(note, Worded) and note.kind == "not returned"] == [
        STATISTICS
    ]


@pytest.mark.full
@pytest.mark.parametrize("library", ["plain", "nnx", "linen"])
def test_the_statistics_of_a_port_to_a_library_are_copied(library: str) -> None:
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    architecture = ARCHITECTURES["conv_batchnorm_train"]
    model, port = architecture.torch_model(0), architecture.jax(library, fresh=True)
    given: dict[str, Any] = {"params": port.params, "torch_to_jax": port.torch_to_jax, "weights": "copy", "order": 0}
    report = compare_models(model, port.model, architecture.inputs(0), **given)
    assert report.passed, report.story()
    assert copied(report) == STATISTICS
    assert report.outputs.keys() > STATISTICS


BY_N = Fact("updated", jax="with the variance divided by n, PyTorch by n - 1")


def of_divisors(report: ModelsReport) -> set[tuple[str | None, bool]]:
    """Each faulty module, and whether its fault is that JAX divides a variance by n, where PyTorch divides by n - 1."""
    return {(fault.torch, has_fact(fault.facts, BY_N)) for fault in report.faults}


@pytest.mark.full
def test_the_state_of_haiku_is_copied() -> None:
    hk = pytest.importorskip("haiku")

    def forward(x: Any) -> Any:
        for k in (1, 2):
            x = hk.Linear(6, name=f"fc{k}")(x)
            x = jnp.tanh(hk.BatchNorm(True, True, 0.9, eps=1e-5, name=f"bn{k}")(x, True))
        return hk.Linear(3, name="out")(x)

    made = hk.without_apply_rng(hk.transform_with_state(forward))
    report = compare_models(
        net(),
        lambda p, x: made.apply(*p, x),
        [X],
        params=made.init(jax.random.key(0), jnp.asarray(X)),
        weights="copy",
        order=0,
    )
    assert copied(report) == STATISTICS
    assert of_divisors(report) == {("bn1", True), ("bn2", True)}, report.story()


@pytest.mark.full
def test_the_state_of_equinox_is_copied_although_it_has_no_names() -> None:
    eqx = pytest.importorskip("equinox")

    class Port(eqx.Module):
        fc1: Any
        bn1: Any
        fc2: Any
        bn2: Any
        out: Any

        def __init__(self) -> None:
            keys = jax.random.split(jax.random.key(0), 3)
            self.fc1, self.fc2 = (eqx.nn.Linear(n, 6, key=key) for n, key in zip((4, 6), keys[:2], strict=True))
            self.out = eqx.nn.Linear(6, 3, key=keys[2])
            self.bn1, self.bn2 = (eqx.nn.BatchNorm(6, "batch", eps=1e-5, momentum=0.9, mode="batch") for _ in range(2))

        def __call__(self, x: Any, state: Any) -> Any:
            x, state = self.bn1(self.fc1(x), state)
            x, state = self.bn2(self.fc2(jnp.tanh(x)), state)
            return self.out(jnp.tanh(x)), state

    module, state = eqx.nn.make_with_state(Port)()
    params, static = eqx.partition(module, eqx.is_inexact_array)

    def apply(p: Any, x: Any) -> Any:
        each = jax.vmap(eqx.combine(p[0], static), axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return each(x, p[1])

    report = compare_models(net(), apply, [X], params=(params, state), weights="copy", order=0)
    assert copied(report) == STATISTICS
    assert of_divisors(report) == {("bn1", True), ("bn2", True)}, report.story()
