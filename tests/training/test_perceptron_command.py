"""`crosscheck perceptron`: what it prints and writes, its exit codes, and that every planted fault is named."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cli
import pytest
from click.testing import Result
from PIL import Image

pytestmark = pytest.mark.full

Command = Callable[..., subprocess.CompletedProcess[str]]


PARTS = {
    "sum": "loss",
    "no-reset": "clipping",
    "flipped-label": "data",
    "transposed": "data",
    "learning-rate": "schedule",
    "start": "start",
}
"""By planted fault, the part of the training that the report names."""


def run(*arguments: str) -> Result:
    """The command in this process, where the frameworks are loaded already."""
    return cli.run("perceptron", *arguments)


def test_both_trainings_are_printed_side_by_side(command: Command, tmp_path: Path) -> None:
    done = command("perceptron", "--epochs", "300", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert done.stdout.startswith("AGREE: or, float32, 300 epochs")
    assert "accuracy     100%          100%" in done.stdout
    assert "predictions  [0, 1, 1, 1]  [0, 1, 1, 1]" in done.stdout
    data = json.loads((tmp_path / "out.json").read_text())
    assert (data["schema"], data["gate"]) == ("crosscheck.perceptron/1", "or")
    for name in ("torch", "jax"):
        assert len(data["frameworks"][name]["losses"]) == 300
        assert data["frameworks"][name]["accuracy"] == 1


@pytest.mark.parametrize(
    ("side", "fault", "part"),
    [(side, *item) for side, item in zip(itertools.cycle(["", "torch:", "jax:"]), PARTS.items(), strict=False)],
)
def test_a_planted_fault_exits_1_and_is_named(side: str, fault: str, part: str) -> None:
    done = run("--gate", "or", "--epochs", "20", "--plant", side + fault)
    assert done.exit_code == 1
    who = side.rstrip(":") or "jax"
    assert done.stdout.startswith(f"DISAGREE: or, float32, 20 epochs: {who}'s {part}, from epoch ")
    assert f"Planted in {who}: {fault}." in done.stdout


@pytest.mark.parametrize("gate", ["xor", "true"])
def test_frameworks_that_agree_exit_0_learned_or_not(gate: str) -> None:
    assert run("--gate", gate, "--epochs", "50", "--dtype", "float64").exit_code == 0


def test_an_overflow_exits_1_and_says_when_and_where() -> None:
    done = run("--gate", "xor", "--learning-rate", "3.2e38", "--epochs", "20")
    assert done.exit_code == 1
    assert "jax's overflow, from epoch 3 on: the loss stopped being finite" in done.stdout


@pytest.mark.parametrize(("name", "extra"), [("torch", "torch"), ("jax", "jax"), ("optax", "jax")])
def test_a_missing_framework_says_which_extra_brings_it(command: Command, tmp_path: Path, name: str, extra: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise ModuleNotFoundError('not here')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = command("perceptron", "--gate", "or", env={"PYTHONPATH": path})
    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]  # on a busy machine, how far it is comes first
    assert error.startswith(f"Error: {name} cannot be imported (ModuleNotFoundError: not here).")
    assert f"pip install '.[{extra}]'" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_shown_on_a_terminal_and_on_standard_error_alone(tmp_path: Path) -> None:
    import pty

    screen, terminal = pty.openpty()
    arguments = [sys.executable, "-m", "crosscheck", "perceptron", "--gate", "or", "--epochs", "200"]
    shown = b""
    with (tmp_path / "out").open("wb") as out, subprocess.Popen(arguments, stdout=out, stderr=terminal) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # the end of a pseudo-terminal
            while part := os.read(screen, 1 << 12):
                shown += part
    os.close(screen)
    assert process.returncode == 0
    assert b"training in torch" in shown
    assert "training in" not in (tmp_path / "out").read_text()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_figure_is_written_and_its_path_printed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"or.{suffix}"
    done = run("--gate", "or", "--epochs", "20", "--figure", str(path))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == str(path)
    if suffix == "png":
        with Image.open(path) as image:
            assert image.size == pytest.approx((1300, 460), abs=1)  # as matplotlib rounds
    else:
        assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gate", "orr"), "unknown gate 'orr'; did you mean 'or'?"),
        (("--epochs", "0"), "epochs: got 0"),
        (("--epochs", "-3"), "epochs: got -3"),
        (("--learning-rate", "nan"), "--learning-rate: got nan"),
        (("--learning-rate", "-0.1"), "--learning-rate: got -0.1"),
        (("--dtype", "float16"), "unknown dtype 'float16'"),
        (("--seed", "-1"), "seed: got -1"),
        (("--plant", "sums"), "did you mean 'sum'?"),
        (("--plant", "numpy:sum"), "unknown framework 'numpy'"),
        (("--figure", "or.gif"), "the suffix '.gif'"),
        (("--json", "no/such/folder.json"), "does not exist"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert sum(line.startswith("Error:") for line in done.stderr.splitlines()) == 1
