"""The command line: what it prints, its exit codes, and one message that teaches for every kind of bad input."""

import gc
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli import assert_refused, main
from click.testing import CliRunner

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_list_names_every_activation_and_what_is_shipped(command: Command) -> None:
    done = command("list", "--json", "list.json", env={})
    assert done.returncode == 0
    for word in ("sigmoid", "relu", "tanh", "torch.sigmoid", "jax.nn.relu"):
        assert word in done.stdout


def test_a_command_looks_for_garbage_rarely_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_threshold()
    during: list[tuple[int, ...]] = []
    monkeypatch.setattr("crosscheck._catalogue.Catalogue.values", lambda catalogue: during.append(gc.get_threshold()) or [])
    CliRunner().invoke(main, ["list"])
    assert [length > before for length in during] == [True]
    assert gc.get_threshold() == before


@pytest.mark.parametrize(("error", "said"), [(MemoryError(), "ask for less at once"), (MemoryError("9 TiB"), "9 TiB")])
def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch, error: MemoryError, said: str) -> None:
    def values(catalogue: object) -> None:
        raise error

    monkeypatch.setattr("crosscheck._catalogue.Catalogue.values", values)
    done = CliRunner().invoke(main, ["list"])
    assert (done.exit_code, done.stderr) == (2, f"Error: there is not enough memory: {said}\n")


def test_verify_prints_the_verdict_and_writes_json(command: Command, tmp_path: Path) -> None:
    done = command("verify", "relu", "--quick", "--dtype", "float32", "--order", "0", "--json", "out.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASSED: relu")
    assert "Error" not in done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["summary"]["passed"] is True


def test_an_undeclared_disagreement_exits_1(command: Command) -> None:
    done = command("verify", "relu", "--quick", "--order", "1", "--without", "relu-gradient-at-nan", env={})
    assert done.returncode == 1
    assert done.stdout.startswith("FAILED: relu")


@pytest.mark.full
def test_a_file_adds_an_activation(command: Command, activation_file: Path) -> None:
    assert "mine" in command("list", "--file", str(activation_file)).stdout
    done = command("verify", "--file", str(activation_file), "--quick", "--dtype", "float32", "--implementation", "torch")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("PASSED: mine")
    both = command("verify", "mine", "relu", "--file", str(activation_file), "--quick", "--order", "0")
    assert both.stdout.startswith("PASSED: 2 activations")


@pytest.mark.full
def test_several_processes_say_what_one_says(command: Command) -> None:
    arguments = ("verify", "linear", "relu", "leaky_relu", "--quick", "--dtype", "float32", "--mode", "eager")
    single, several = (command(*arguments, "--without", "relu-negative-zero", "--processes", n, env={}) for n in ("1", "2"))
    assert single.returncode == several.returncode == 1
    assert several.stdout == single.stdout
    assert "Error" not in several.stderr


def test_the_accuracy_of_the_own_implementations_is_printed(command: Command, tmp_path: Path) -> None:
    done = command("verify", "sigmoid", "--dtype", "float32", "--order", "0", "--accuracy", "--json", "out.json")
    lines = done.stdout.splitlines()
    head = ["activation order", "float32 own torch", "float32 own jax", "float32 own jax jit"]
    header = next(i for i, line in enumerate(lines) if " ".join(line.split()) == " ".join(head))
    row = lines[header + 1]
    comparisons = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    own = {(c["implementation"], c["mode"]): c["max_ulp"] for c in comparisons if c["against"] == "exact"}
    wanted = (own["torch", "eager"], own["jax", "eager"], own["jax", "jit"])
    assert row.split() == ["sigmoid", "value", *(f"{ulp:.3g}" for ulp in wanted)]


@pytest.mark.full
def test_the_accuracy_says_what_its_maxima_leave_out(command: Command, tmp_path: Path) -> None:
    """Where the terms of a softmax's gradient cancel, the error is within the budget in ULP of them alone."""
    arguments = ("softmax", "--dtype", "float32", "--order", "1", "--accuracy", "--json", "out.json")
    done = command("verify", *arguments)
    own = [
        c
        for c in json.loads((tmp_path / "out.json").read_text())["comparisons"]
        if c["against"] == "exact" and c["implementation"] in ("torch", "jax") and c["excepted"]
    ]
    assert {c["implementation"] for c in own} == {"torch", "jax"}
    for c in own:
        assert c["excepted"]["worst"]["ulp"] <= 5 < c["excepted"]["worst"]["ulp_of_truth"]
    worst = max((c["excepted"]["worst"] for c in own), key=lambda point: point["ulp_of_truth"])
    total = sum(c["excepted"]["count"] for c in own)
    said = done.stdout.splitlines()[-1].split()
    assert said[:5] == ["softmax", "gradient", f"{total:,}", f"{worst['ulp_of_truth']:.3g}", repr(worst["input"])]
    of_torch = sum(c["excepted"]["count"] for c in own if c["implementation"] == "torch")
    assert f" ({of_torch})" in done.stdout


def test_env_prints_versions_and_settings(command: Command, tmp_path: Path) -> None:
    done = command("env", "--json", "env.json")
    assert done.returncode == 0
    assert "capability" in done.stdout
    assert json.loads((tmp_path / "env.json").read_text())["environment"]["jax"]["version"]


BAD_FILES = {
    "no-record": ("x = 1\n", "holds no record"),
    "syntax": ("def (\n", "does not import"),
    "taken": ("import crosscheck\nMINE = crosscheck.activations['relu']\n", "two activations are called 'relu'"),
    "aliases": (
        "import crosscheck, dataclasses\nMINE = dataclasses.replace(crosscheck.activations['relu'], aliases=('<b>',))\n",
        "relu: aliases: got ('<b>',), expected Python identifiers",
    ),
    "limits": ("import crosscheck\nA = crosscheck.Limits((0, 1), 2)\n", "Limits.minus: got (0, 1), expected three numbers"),
    "malformed": (
        "from crosscheck import Deviation\nBAD = Deviation('a', 'odd', ('jax.native',), (), 'r', 'l', ())\n",
        "Deviation 'a'",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_refused(command: Command, tmp_path: Path, kind: str) -> None:
    source, message = BAD_FILES[kind]
    (tmp_path / "bad.py").write_text(source)
    assert_refused(command("list", "--file", "bad.py"), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "sigmoit"), "did you mean 'sigmoid'?"),
        (("verify", "relu", "--quick", "--thorough"), "--quick, --thorough: got both, expected one of them"),
        (("verify", "relu", "--dtype", "float31"), "unknown dtype 'float31'; did you mean 'float32'?"),
        (("verify", "relu", "--order", "3"), "unknown order '3'"),
        (("verify", "relu", "--order", "first"), "unknown order 'first'"),
        (("verify", "relu", "--implementation", "torch.natif"), "did you mean 'torch.native'?"),
        (("verify", "relu", "--mode", "lazy"), "unknown mode 'lazy'"),
        (("verify", "relu", "--device", "tpu"), "unknown device 'tpu'"),
        (("verify", "relu", "--seed", "-1"), "seed: got -1"),
        (("verify", "relu", "--without", "relu-gradient-at-nun"), "did you mean 'relu-gradient-at-nan'?"),
        (("verify", "relu", "--json", "no/such/folder.json"), "does not exist"),
        (("verify", "relu", "--json", "."), "is a folder"),
        (("verify", "relu", "--json", "x" * 300), "cannot be written: File name too long"),
        (("verify", "relu", "--json", "a", "--html", "./a"), "--json, --html: got the same file ./a; give each its own"),
        (("list", "--file", "x" * 300), "does not exist or is not a file"),
        (("verify", "--file", "nothing.py"), "does not exist"),
        (("env", "--device", "abacus"), "unknown device 'abacus'"),
        (("list", "--json", "no/such/folder.json"), "does not exist"),
        (("verify", "relu", "--seed", "many"), "is not a valid integer"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    assert_refused(command(*arguments), message)


def test_a_shell_is_told_by_exit_2(command: Command) -> None:
    assert_refused(command("verrify", env={}), "No such command")


def test_a_device_that_is_not_there_is_refused(command: Command) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert_refused(command("verify", "relu", "--device", "gpu"), "'gpu'")


@pytest.fixture
def without(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An environment in which a framework raises at import."""

    def break_(name: str) -> dict[str, str]:
        folder = tmp_path / "broken" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise OSError('its library is damaged')\n")
        return {"PYTHONPATH": str(folder.parent)}

    return break_


def test_a_framework_that_fails_to_import_is_said(command: Command, without: Callable[[str], dict[str, str]]) -> None:
    done = command("verify", "relu", "--quick", "--order", "0", "--dtype", "float32", env=without("torch"))
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    assert "; not run here: torch. " in said
    assert "torch cannot be imported (OSError: its library is damaged)" in said
    assert "Traceback" not in done.stderr
    listed = command("list", env={"PYTHONPATH": str(Path("broken").absolute())})
    assert listed.returncode == 0


def test_nothing_compared_exits_2(command: Command) -> None:
    done = command("verify", "relu", "--quick", "--implementation", "torch", "--mode", "jit")
    assert done.returncode == 2
    assert done.stdout.startswith("FAILED: nothing was compared.")
