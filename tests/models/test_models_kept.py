"""Runs of JAX that a file keeps: a comparison that was stopped goes on with them, and no other comparison gets them."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cli import run
from torch import nn

import crosscheck

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


class StopError(Exception):
    """Stops a comparison, as a user would."""


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))


def params(of: nn.Module) -> dict[str, Any]:
    return {name: value.detach().numpy().copy() for name, value in of.named_parameters()}


def port(p: dict[str, Any], x: Any) -> Any:
    import jax

    h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=False)
    h = jax.numpy.tanh(h @ p["2.weight"].T + p["2.bias"])
    return h @ p["4.weight"].T + p["4.bias"]


def compared(keep: Path | None, given: dict[str, Any] | None = None, stop: int = -1, **options: Any) -> Any:
    """The report, and what ran on the way."""
    module, ran = model(), []

    def progress(what: str) -> None:
        ran.append(what)
        if sum(stage.startswith("JAX") for stage in ran) == stop:
            raise StopError

    options = {"order": 0, **options}
    report = crosscheck.compare_models(
        module, port, [X], params=given or params(module), keep=keep, progress=progress, **options
    )
    return report, [stage for stage in ran if stage.startswith("JAX")]


def numbers(report: Any) -> list[Any]:
    return [(layer.name, layer.error, layer.accumulated, layer.drift) for layer in report.layers]


def test_a_comparison_that_was_stopped_goes_on_with_the_runs_that_it_had_finished(tmp_path: Path) -> None:
    (alone, _), (_, all_runs) = compared(None), compared(tmp_path / "other runs")
    with pytest.raises(StopError):
        compared(tmp_path / "runs", stop=len(all_runs) - 1)
    report, left = compared(tmp_path / "runs")
    assert 0 < len(left) < len(all_runs) / 2
    again, none = compared(tmp_path / "runs")
    assert none == []
    assert numbers(report) == numbers(again) == numbers(alone)


def test_another_comparison_does_not_get_the_runs(tmp_path: Path) -> None:
    compared(tmp_path / "runs")
    wrong = params(model())
    wrong["2.weight"] = wrong["2.weight"][:, ::-1]  # the same numbers in another order
    report, ran = compared(tmp_path / "runs", wrong)
    assert ran
    assert report.first.torch == "2"
    other, ran = compared(tmp_path / "runs", seed=1)
    assert other.passed
    assert ran


def test_the_faults_are_the_same_with_and_without_kept_runs(tmp_path: Path) -> None:
    wrong = params(model())
    wrong["2.bias"] = wrong["2.bias"] + np.float32(0.5)
    (alone, _), (kept, _), (again, _) = (
        compared(None, wrong),
        compared(tmp_path / "runs", wrong),
        compared(tmp_path / "runs", wrong),
    )
    assert alone.first is not None
    assert alone.story() == kept.story() == again.story()


def test_progress_names_the_layer_on_each_side() -> None:
    ran: list[str] = []
    module = model()
    crosscheck.compare_models(module, port, [X], params=params(module), progress=ran.append)
    assert "PyTorch: 2" in ran
    assert "JAX in float64: 2" in ran


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a table of runs, but a text that is longer than its header")
    with pytest.raises(crosscheck.UsageError, match=r"keep: .*notes\.txt is no file of kept runs"):
        compared(path)
    assert path.read_text().startswith("not a table")
    for no_file in (tmp_path / "missing" / "runs", tmp_path):
        with pytest.raises(crosscheck.UsageError, match=r"keep: .* is no file in a folder that exists"):
            compared(no_file)
    with pytest.raises(crosscheck.UsageError, match="keep: got int, expected a path"):
        compared(3)  # type: ignore[arg-type]


def test_a_database_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    with sqlite3.connect(path) as own:
        own.execute("CREATE TABLE notes (text TEXT)")
    before = path.read_bytes()
    with pytest.raises(crosscheck.UsageError, match=r"keep: .*own\.db is a database of something else"):
        compared(path)
    assert path.read_bytes() == before


MODULE = """
import numpy as np
from test_models_kept import X, model as torch_model, params, port
model, given = torch_model(), params(torch_model())
"""


def test_the_command_keeps_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept_port.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    words = (
        "kept_port:model",
        "kept_port:port",
        "--inputs",
        "kept_port:inputs",
        "--params",
        "kept_port:given",
        "--order",
        "0",
    )
    (tmp_path / "kept_port.py").write_text(MODULE + "inputs = [X]\n")
    first = run("models", *words, "--keep", "runs")
    assert first.exit_code == 0, first.output
    assert (tmp_path / "runs").stat().st_size > 0
    assert run("models", *words, "--keep", "runs").exit_code == 0
    refused = run("models", *words, "--keep", "kept_port.py")
    assert refused.exit_code == 2
    assert "keep: kept_port.py is no file of kept runs" in refused.output
