"""Whole models: right ports are certified, and every planted bug is found in its layer, with nothing else blamed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cli import run
from facts import assert_facts
from ported import weights_of
from ports import PROGRAM, params_of
from sampled import sampled
from torch import nn
from zoo import ARCHITECTURES, Architecture, installed
from zoo.bugs import BUGS, planted
from zoo.corpus import CASES, SEED, Case, compared

from crosscheck import Fact, ModelsReport, UsageError, compare_models

USUAL = {
    "right: mlp-plain",
    "right: encoder-plain",
    "new: mlp-plain",
    "new: encoder-plain",
    "bug: encoder-plain-epsilon-in-one-layer",
    "bug: mlp-plain-stopped-gradient",
    "bug: conv_batchnorm_train-plain-momentum",
    "bug: resnet-plain-residual-missing",
    "training: rate halved one step late",
}
"""The cases of the zoo that the session `tests` judges. `tests_full` judges a sample of those in plain functions, and
`models` and `guard` judge all."""


def marks(number: int, case: Case) -> Sequence[pytest.MarkDecorator]:
    if case.name in USUAL:
        return ()
    return [sampled(number, one_of=12) if case.library == "plain" else pytest.mark.slow]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=marks(k, case)) for k, case in enumerate(CASES)])
def test_a_case_of_the_zoo_is_judged_as_it_must_be(case: Case) -> None:
    """Right ports are certified, planted bugs and mistakes found where they are, with nothing else blamed."""
    here(case.library)
    right, report = case.judge()
    assert right, report.story()


def here(library: str) -> None:
    if not installed(library):
        pytest.skip(f"{library} is not installed")


PORTS = [
    pytest.param(architecture, library, id=f"{architecture.name}-{library}")
    for architecture in ARCHITECTURES.values()
    for library in architecture.ports
]


@pytest.mark.parametrize(("library", "seed"), [pytest.param("plain", 25, marks=pytest.mark.full), ("equinox", 2)])
def test_an_expert_that_rounding_chooses_is_no_error_of_a_side(library: str, seed: int) -> None:
    """It is another one in JAX in one case, and in PyTorch in the other."""
    mixture = ARCHITECTURES["moe"]
    report = compared(mixture, mixture.jax(library, seed, dtype="bfloat16"), seed, dtype="bfloat16", order=0)
    assert report.passed, report.story()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("architecture", "library"), PORTS)
def test_a_right_port_is_certified_whatever_the_weights(
    architecture: Architecture, library: str, dtype: str, seed: int
) -> None:
    """So in the session models, where the libraries are installed."""
    here(library)
    report = compared(architecture, architecture.jax(library, seed, dtype=dtype), seed, dtype=dtype)
    assert report.passed, report.story()
    jax.clear_caches()


# The report


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


def small() -> tuple[nn.Module, dict[str, Any], list[np.ndarray]]:
    torch.manual_seed(0)
    model = Small()
    params = params_of(model)
    return model, params, [np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)]


def port(p: dict[str, Any], x: Any, *, approximate: bool = False) -> Any:
    h = jax.nn.gelu(x @ p["fc1.weight"].T + p["fc1.bias"], approximate=approximate)
    return h @ p["fc2.weight"].T + p["fc2.bias"]


def wrong(p: dict[str, Any], x: Any) -> Any:
    return port(p, x, approximate=True)


class Parallel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 64) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([layer(x) for layer in self.layers], 1)


def test_vectors_that_are_stacked_are_told_apart_where_many_of_their_numbers_are_alike() -> None:
    """As numbers of bfloat16 are."""
    torch.manual_seed(0)
    model = Parallel()
    layers = [weights_of(layer) for layer in model.layers]
    params = jax.tree.map(lambda *arrays: jnp.stack(arrays), *layers)

    def stacked(p: dict[str, Any], x: Any) -> Any:
        return jnp.einsum("bi,noi->bno", x, p["weight"]) + p["bias"]

    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    report = compare_models(model, stacked, [x], params=params, dtype="bfloat16")
    assert report.passed, report.story()
    assert {gradient.parameter: gradient.jax for gradient in report.gradients} == {
        f"layers.{i}.{name}": (f"['{name}']",) for i in range(3) for name in ("weight", "bias")
    }


def test_a_counter_of_a_weak_type_does_not_widen_what_it_is_combined_with() -> None:
    """As that of equinox's batch normalisation, by which averages are divided."""
    model, params, inputs = small()
    params["count"] = jnp.asarray(0)

    def counted(p: dict[str, Any], x: Any) -> Any:
        h = jax.nn.gelu(x @ p["fc1.weight"].T + p["fc1.bias"], approximate=False)
        h = h / jnp.where(p["count"] == 0, 1, 1 - 0.9 ** p["count"])
        return jax.lax.dot(h, p["fc2.weight"].T) + p["fc2.bias"]

    report = compare_models(model, counted, inputs, params=params, order=0, dtype="bfloat16")
    assert report.passed, report.story()


@pytest.fixture(scope="module")
def failing() -> ModelsReport:
    model, params, inputs = small()
    return compare_models(model, wrong, inputs, params=params, order=0)


def test_the_story_names_the_layer_and_what_both_sides_compute(failing: ModelsReport) -> None:
    assert (failing.cause, failing.side) == ("definition", None)
    assert failing.first is not None
    assert (failing.first.torch, failing.first.kind) == ("act", "GELU")
    assert_facts(failing.first.facts, Fact("form", "gelu", torch="exact", jax="the tanh form"))
    assert failing.first.source.startswith("test_models.py:")
    story = failing.story().splitlines()
    assert failing.headline.startswith(story[0])
    assert len(story[0]) <= 100
    assert len(story) < 30


PORT = """
import jax


def port(p, x):
    return jax.nn.gelu(x @ p["fc1.weight"].T + p["fc1.bias"]) @ p["fc2.weight"].T + p["fc2.bias"]
"""


def test_the_line_of_a_port_is_named_in_whatever_folder_it_is() -> None:
    names: dict[str, Any] = {}
    exec(compile(PORT, "/home/someone/crosscheck/ports/my_port.py", "exec"), names)
    model, params, inputs = small()
    report = compare_models(model, names["port"], inputs, params=params, order=0)
    assert report.first is not None
    assert report.first.source == "my_port.py:6"


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.fc2 = nn.Linear(3, 8, bias=False)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.fc1(x) + self.fc2(y)


def test_weights_that_jax_has_joined_are_not_said_to_be_missing() -> None:
    torch.manual_seed(0)
    model = Joined()
    own = weights_of(model)
    params = {"w": np.concatenate((own["fc1.weight"].T, own["fc2.weight"].T)), "b": own["fc1.bias"] + 1}
    random = np.random.default_rng(0)
    inputs = [random.normal(size=(3, width)).astype(np.float32) for width in (4, 3)]

    def joined(p: dict[str, Any], x: Any, y: Any) -> Any:
        return jnp.concatenate((x, y), -1) @ p["w"] + p["b"]

    report = compare_models(model, joined, inputs, params=params, order=0)
    assert [(fault.torch, fault.facts) for fault in report.faults] == [("fc1", (Fact("values", "fc1.bias", jax="['b']"),))]


def test_alike_faults_are_one_group(failing: ModelsReport) -> None:
    assert [len(group) for group in failing.diverging] == [1]
    report = compared(ARCHITECTURES["encoder"], next(bug for bug in BUGS if bug.kind == "quick gelu").jax(SEED), order=0)
    assert [len(group) for group in report.diverging] == [2]
    assert {fault.kind for fault in report.diverging[0]} == {"GELU"}


def test_the_report_is_written_and_drawn(failing: ModelsReport, tmp_path: Any) -> None:
    failing.to_json(tmp_path / "a.json")
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["schema"] == "crosscheck.models/1"
    assert data["summary"]["first"] == "act"
    assert len(data["layers"]) == len(failing.layers)
    failing.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "Every layer" in page
    assert "<svg" in page
    assert failing.plot().axes[0].get_yscale() == "log"
    assert "act" in failing.markdown()


@pytest.mark.full
def test_every_fault_is_explained_not_only_the_first() -> None:
    """Six layers with one activation of another kind each, and the last with one of a third."""
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(4, 4), nn.GELU())), nn.Linear(4, 2))
    params = params_of(model)

    def relus(p: dict[str, Any], x: Any) -> Any:
        for k in range(0, 12, 2):
            x = (jax.nn.relu if k == 10 else jax.nn.silu)(x @ p[f"{k}.weight"].T + p[f"{k}.bias"])
        return x @ p["12.weight"].T + p["12.bias"]

    report = compare_models(model, relus, [np.random.default_rng(0).normal(size=(3, 4))], params=params, order=0)
    assert [fault.torch for fault in report.faults] == ["1", "3", "5", "7", "9", "11"]
    assert [[(fact.kind, fact.jax, fact.torch) for fact in fault.facts] for fault in report.faults] == [
        *[[("other", "silu", "gelu")]] * 5,
        [("other", "relu", "gelu")],
    ]
    assert [len(group) for group in report.diverging] == [5, 1]


@pytest.mark.full
def test_a_mistake_that_every_layer_makes_is_explained_once() -> None:
    bug = next(candidate for candidate in BUGS if candidate.name == "deep-plain-epsilon-in-one-layer")
    (norm,) = bug.options.values()
    architecture = ARCHITECTURES[bug.architecture]
    port = planted([replace(bug, options={f"{k}.norm": norm for k in range(60)})], SEED)
    report = compared(architecture, port, order=0)
    assert len(report.faults) == 60
    assert [len(group) for group in report.diverging] == [60]
    assert_facts(report.faults[0].facts, Fact("setting", "LayerNorm", "epsilon", jax="0.001"))


def test_the_tree_has_a_verdict_at_each_module(failing: ModelsReport) -> None:
    head, *rows = failing.tree().splitlines()
    assert head.split() == ["layer", "verdict", "cause", "made", "here", "accumulated", "rounding"]
    told = {row.split()[0]: row.split() for row in rows}
    assert list(told) == ["fc1", "act", "fc2", "output"]
    assert told["act"][1:3] == ["DISAGREE", "definition"]
    assert told["fc2"][1:3] == ["(2", "landmarks)"]
    assert "agree" in told["fc1"]
    assert "agree" in told["fc2"]  # which shows what goes wrong in act, and is right
    assert str(failing) == f"{failing.story()}\n\n{failing.tree()}"


@pytest.mark.full
def test_layers_that_are_alike_and_right_are_one_row(tmp_path: Any) -> None:
    bug = next(candidate for candidate in BUGS if candidate.name == "deep-plain-epsilon-in-one-layer")
    report = compared(ARCHITECTURES[bug.architecture], bug.jax(SEED), order=0)
    names = [row.strip().partition(" (")[0] for row in report.tree().splitlines()]
    assert "0 to 29" in names
    assert "31 to 59" in names
    assert "0" not in names
    report.to_html(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("<details open") < 6
    assert page.count("<details") > len(report.layers) / 4


def test_the_model_stays_as_it_was() -> None:
    architecture = ARCHITECTURES["conv_batchnorm_train"]
    model = architecture.torch_model(SEED)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    port = architecture.jax("plain", SEED)
    compare_models(model, port.model, architecture.inputs(SEED), params=port.params, torch_to_jax=port.torch_to_jax, order=0)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# Bad input


def refused(*parts: str, **options: Any) -> None:
    model, params, inputs = small()
    given: dict[str, Any] = {"torch_model": model, "jax_model": port, "inputs": inputs, "params": params, **options}
    with pytest.raises(UsageError) as error:
        compare_models(given.pop("torch_model"), given.pop("jax_model"), given.pop("inputs"), **given)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_what_cannot_be_compared_is_refused_in_one_line() -> None:
    x = np.ones((3, 4), np.float32)
    refused("torch_model", "got function", "torch.nn.Module", torch_model=port)
    refused("jax_model", "got int", jax_model=3)
    refused("jax_model", "params=", params=None)
    refused("order", "got 2", "0 or 1", order=2)
    refused("dtype", dtype="float8")
    refused("torch_model", "raised", inputs=[x, x])
    refused("jax_model", "raises", "TypeError", jax_model=lambda p: p["fc1.weight"])
    refused("jax_model", "returned", jax_model=lambda p, x: (port(p, x), port(p, x), port(p, x)))
    refused("jax_model", "shape", jax_model=lambda p, x: port(p, x).sum())


def test_a_model_that_draws_random_numbers_is_refused() -> None:
    refused("torch_model", "random", "eval()", torch_model=nn.Sequential(Small(), nn.Dropout(0.5)).train())


# The command


def test_the_command(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ported_model.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = ["--inputs", "ported_model:inputs", "--params", "ported_model:params", "--order", "0"]
    right = run("models", "ported_model:model", "ported_model:right", *given)
    assert right.exit_code == 0, right.output
    assert "AGREE" in right.output
    wrong = run("models", "ported_model:model", "ported_model:wrong", *given, "--json", "a.json", "--figure", "a.png")
    assert wrong.exit_code == 1, wrong.output
    assert "first in 1" in wrong.output
    assert json.loads((tmp_path / "a.json").read_text())["summary"]["faults"] == 1
    assert (tmp_path / "a.png").stat().st_size > 0
    refused = run("models", "ported_model:mode", "ported_model:wrong", *given)
    assert refused.exit_code == 2
    assert "did you mean 'model'?" in refused.stderr
