"""crosscheck compare on the command line: exit codes, inputs, JSON, and one message for what it cannot work with."""

import json
from pathlib import Path

import cli
import pytest
from click.testing import Result

MINE = """
import jax.numpy as jnp

limit = 3

def half(x):
    return x / 2

def third(x):
    return x / 3

def added(x, y):
    return x + y

class Maker:
    pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module of the user's."""
    (tmp_path / f"mine_{tmp_path.name}.py").write_text(MINE)
    (tmp_path / f"broken_{tmp_path.name}.py").write_text("x = 1\n1 / 0\n")
    (tmp_path / f"needs_{tmp_path.name}.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return cli.run("compare", *arguments)


def test_two_that_agree_exit_0() -> None:
    result = call("torch:tanh", "jax.numpy:tanh", "--range", "-3", "3")
    assert (result.exit_code, result.output.startswith("AGREE")) == (0, True), result.output


def test_two_that_differ_exit_1_with_the_snippet_at_the_end(folder: Path) -> None:
    module = f"mine_{folder.name}"
    result = call(f"{module}:half", f"{module}:third", "--order", "0", "--json", "report.json")
    assert result.exit_code == 1
    assert result.output.startswith("DISAGREE (definition): half / third:")
    assert "print(jax_y[0].item())  # " in result.output
    assert json.loads(Path("report.json").read_text())["summary"]["diagnosis"]["snippet"] in result.output


def test_gelu_is_two_functions() -> None:
    result = call("torch.nn.functional:gelu", "jax.nn:gelu")
    assert result.exit_code == 1
    verdict = "DISAGREE (definition): gelu / gelu: the PyTorch function is gelu, the JAX function is gelu_tanh."
    assert verdict in result.output.splitlines()[:2]  # on a busy machine, progress is said before it


def test_shapes_are_inputs_and_what_is_accepted_passes(folder: Path) -> None:
    module = f"mine_{folder.name}"
    assert call(f"{module}:added", f"{module}:added", "--shape", "4,8", "--shape", "8", "--order", "0").exit_code == 0
    arguments = (f"{module}:half", f"{module}:third", "--order", "0", "--range", "1", "2", "--mode", "eager")
    assert call(*arguments, "--accept", "definition").exit_code == 0
    assert call(*arguments, "--accept", "definition:1:2").exit_code == 0
    assert call(*arguments, "--accept", "definition:1:1.5").exit_code == 1


ENDING = "import sys\ndef ends(*arguments): sys.exit(0)\nLIST = [1.0]\n"
NAMES = {
    "models": ("--inputs", "--params"),
    "training": ("--batches", "--torch-state", "--jax-state"),
}


@pytest.mark.parametrize("command", NAMES)
def test_a_function_that_ends_the_program_is_no_agreement(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(folder)
    module = f"ending_{folder.name}"
    (folder / f"{module}.py").write_text(ENDING)
    for ends in NAMES[command]:
        options = [word for name in NAMES[command] for word in (name, f"{module}:{'ends' if name == ends else 'LIST'}")]
        result = cli.run(command, "torch:tanh", "jax.numpy:tanh", *options)
        assert (result.exit_code, result.stdout) == (2, "")
        said = "a function of yours called sys.exit(0), expected it to return or to raise an error"
        assert result.stderr == f"Error: {said}\n"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("torch", "jax.nn:relu"), ("the torch function: got 'torch'", "MODULE:FN")),
        (("torch:", "jax.nn:relu"), ("got 'torch:'", "MODULE:FN")),
        (("nowhere.at.all:f", "jax.nn:relu"), ("no module 'nowhere'", "installed")),
        (("torch.nowhere:f", "jax.nn:relu"), ("no module 'torch.nowhere'",)),
        (("torch:relu", "broken_FOLDER:f"), ("the JAX function: importing broken_", "ZeroDivisionError", "line 2")),
        (("torch:relu", "needs_FOLDER:f"), ("importing needs_", "ModuleNotFoundError", "nothing_of_that_name")),
        (("torch.nn.functional:gelo", "jax.nn:relu"), ("has no 'gelo'", "did you mean 'gelu'?")),
        (("torch:relu", "mine_FOLDER:limit"), ("is int, expected a function",)),
        (("torch:relu", "mine_FOLDER:Maker"), ("is a class", "name a function")),
        (("torch:relu", "jax.nn:relu", "--range", "2", "1"), ("--range: got 2 1", "lower one first")),
        (("torch:relu", "jax.nn:relu", "--range", "nan", "1"), ("--range: got nan 1", "finite")),
        (("torch:relu", "jax.nn:relu", "--range", "a", "1"), ("--range: got 'a'", "a number")),
        (("torch:relu", "jax.nn:relu", "--shape", "4,"), ("--shape: got '4,'", "16,64")),
        (("torch:relu", "jax.nn:relu", "--shape", "0"), ("--shape: got '0'", "positive")),
        (("torch:relu", "jax.nn:relu", "--order", "3"), ("order: got 3", "0, 1 or 2")),
        (("torch:relu", "jax.nn:relu", "--order", "one"), ("order: got 'one'", "0, 1 or 2")),
        (("torch:relu", "jax.nn:relu", "--dtype", "f32"), ("dtype 'f32'", "float32")),
        (("torch:relu", "jax.nn:relu", "--accept", "nope"), ("deviation 'nope'",)),
        (("torch:relu", "jax.nn:relu", "--accept", "definition:1"), ("--accept: got 'definition:1'", "CAUSE:LOW:HIGH")),
        (("torch:relu", "jax.nn:relu", "--json", "no/such/folder.json"), ("--json", "does not exist")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_it_cannot_work_with_is_one_message(folder: Path, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    result = call(*(argument.replace("FOLDER", folder.name) for argument in arguments))
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert all(part in result.output for part in parts), result.output
