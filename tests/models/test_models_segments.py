"""A fault's segment is saved, and shows by itself what the report says of it, without the models."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from cli import run
from facts import subjects
from ports import PROGRAM, params_of
from torch import nn
from zoo import ARCHITECTURES
from zoo.bugs import BUGS, Bug

from crosscheck import Fact, ModelsReport, UsageError, compare_models

BY_THEMSELVES = (
    "encoder-plain-epsilon-in-one-layer",
    "decoder-plain-causal-mask-by-one",
    "unet-plain-epsilon",
    "conv_batchnorm_train-plain-biased-variance",
    "mixer-plain-another-activation",
    "gru-plain-reset-before-the-product",
)


def compared(activation: Any) -> ModelsReport:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
    params = params_of(model)

    def port(p: Any, x: Any) -> Any:
        return activation(x @ p["0.weight"].T + p["0.bias"]) @ p["2.weight"].T + p["2.bias"]

    return compare_models(model, port, [np.random.default_rng(0).normal(size=(3, 4))], params=params, order=0)


@pytest.fixture(scope="module")
def failing() -> ModelsReport:
    return compared(jax.nn.gelu)


def printed(script: Path) -> str:
    """What a script prints, run from another folder than its own."""
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=script.parent.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.full
def test_a_segment_runs_by_itself(failing: ModelsReport, tmp_path: Path) -> None:
    [script] = failing.save_segments(tmp_path / "segments")
    assert {path.name for path in script.parent.iterdir()} == {"1-1.py", "1-1.safetensors"}
    code = script.read_text()
    assert "torch.ops.aten.gelu.default(" in code
    assert "lax.tanh(" in code
    assert failing.first is not None
    assert printed(script).splitlines() == [
        "PyTorch: 0 apart from what it gave in its model",
        f"JAX: {failing.first.error:.2g} apart from PyTorch; the report says {failing.first.error:.2g}",
    ]
    assert "save_segments" in failing.story()


@pytest.mark.full
def test_what_is_changed_in_a_script_changes_what_it_shows(failing: ModelsReport, tmp_path: Path) -> None:
    [script] = failing.save_segments(tmp_path / "segments")
    code = script.read_text()
    script.write_text(code.replace("lax.mul(0.5, ", "lax.mul(0.25, "))
    assert script.read_text() != code
    assert f"JAX: {failing.faults[0].error:.2g} " not in printed(script)


def test_nothing_of_a_users_is_overwritten(failing: ModelsReport, tmp_path: Path) -> None:
    failing.save_segments(tmp_path)
    failing.save_segments(tmp_path)  # its own files may be
    for name in ("1-1.py", "1-1.safetensors"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError, match=r"^folder: .* exists, and crosscheck did not write it"):
            failing.save_segments(tmp_path)
        assert (tmp_path / name).read_text() == "mine"
        failing.save_segments(tmp_path, force=True)
    with pytest.raises(OSError, match="exists"):
        failing.save_segments(tmp_path / "1-1.py")
    with pytest.raises(UsageError, match=r"^folder: got int, expected a path"):
        failing.save_segments(3)  # type: ignore[arg-type]


def test_what_cannot_be_written_as_code_is_said() -> None:
    report = compared(lambda x: jax.lax.while_loop(lambda h: h[0] < 3, lambda h: (h[0] + 1, 2 * h[1]), (0, x))[1])
    assert not report.passed
    assert report.segments == ()
    fact = Fact("no code", "while cannot be written as one call", where="1")
    assert subjects(report.notes) == {("segment not saved", fact.where, fact.what)}
    assert report.notes == (fact.words(),)


def test_a_right_port_has_no_segments(tmp_path: Path) -> None:
    report = compared(lambda x: jax.nn.gelu(x, approximate=False))
    assert report.passed
    assert report.save_segments(tmp_path / "segments") == []
    assert list(tmp_path.iterdir()) == []
    assert "save_segments" not in report.story()


@pytest.mark.full
def test_the_command_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "segments_model.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = ["segments_model:model", "segments_model:wrong", "--inputs", "segments_model:inputs"]
    given += ["--params", "segments_model:params", "--order", "0", "--segments", "out"]
    refused = run("models", *given)
    assert refused.exit_code == 2
    assert refused.stderr == "Error: --segments: got 'out', which is not a folder; make it first\n"
    (tmp_path / "out").mkdir()
    written = run("models", *given)
    assert written.exit_code == 1, written.output
    assert str(Path("out", "1-1.py")) in written.output
    assert (tmp_path / "out" / "1-1.safetensors").stat().st_size > 0
    (tmp_path / "out" / "1-1.py").write_text("mine")
    refused = run("models", *given)
    assert refused.exit_code == 2
    assert "did not write it" in refused.stderr
    assert (tmp_path / "out" / "1-1.py").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("bug", [pytest.param(bug, id=bug.name) for bug in BUGS if bug.name in BY_THEMSELVES])
def test_segments_of_architectures_run_by_themselves(bug: Bug, tmp_path: Path) -> None:
    original, port = ARCHITECTURES[bug.architecture], bug.jax(1)
    report = compare_models(
        original.torch_model(1), port.model, original.inputs(1), params=port.params, torch_to_jax=port.torch_to_jax, order=0
    )
    scripts = report.save_segments(tmp_path / "segments")
    assert len(scripts) == len(report.faults), report.notes
    for segment, script in zip(report.segments[:2], scripts, strict=False):
        said = f"JAX: {report.faults[segment.fault].error:.2g} apart from PyTorch"
        assert said in printed(script)
