"""Options: alike in all commands, none given twice in vain, completed in a shell, and told in full by the help."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli import main
from click.testing import CliRunner
from contract import TRAINING_FAULTS

import crosscheck

RUN = CliRunner()
FLAGS = {
    "--dtype": {"float32", "float64", "bfloat16", "float16"},
    "--order": {"0", "1", "2"},
    "--mode": {"eager", "jit", "compile", "vmap", "forward", "all"},
    "--device": {"cpu", "gpu"},
}


def options() -> Iterator[tuple[str, click.Option]]:
    for name, command in main.commands.items():
        for param in command.params:
            if isinstance(param, click.Option):
                yield name, param


@pytest.mark.parametrize("flag", sorted({option.opts[0] for _, option in options()}))
def test_an_option_is_the_same_wherever_it_is(flag: str) -> None:
    alike = [option for _, option in options() if option.opts[0] == flag]
    assert len({option.metavar for option in alike}) == 1
    assert len({option.nargs for option in alike}) == 1
    if flag != "--dtype":  # a command that draws or sweeps has one dtype, and says so where it gets two
        assert len({option.multiple for option in alike}) == 1


def test_a_command_that_writes_can_be_told_to_overwrite() -> None:
    writing = {name for name, option in options() if option.opts[0] in ("--json", "--html", "--markdown", "--figure")}
    assert writing == {name for name, option in options() if option.opts[0] == "--force"} == set(main.commands)


@pytest.mark.parametrize(
    "line",
    [
        "compare torch:tanh jax.numpy:tanh --dtype float32 --dtype float64",
        "plot relu --dtype float32 --dtype float64",
        "plot relu --range 0 1 --range 0 2",
        "list --json a --json b",
        "verify relu --seed 1 --seed 2",
    ],
)
def test_what_takes_one_value_is_not_given_twice(line: str) -> None:
    option = line.rpartition(" --")[2].partition(" ")[0]
    done = RUN.invoke(main, line.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"Error: --{option}: got 2 values, expected one; run the command once for each\n"


@pytest.mark.parametrize(("orders", "judged"), [((), {0, 1}), (("0",), {0}), (("2", "0"), {0, 1, 2}), (("1", "1"), {0, 1})])
def test_the_orders_of_compare_are_repeated_as_elsewhere(orders: tuple[str, ...], judged: set[int], tmp_path: Path) -> None:
    arguments = [word for order in orders for word in ("--order", order)]
    path = tmp_path / "out.json"
    line = ["compare", "torch:tanh", "jax.numpy:tanh", "--shape", "3", "--mode", "eager", "--json", str(path), *arguments]
    done = RUN.invoke(main, line)
    assert done.exit_code == 0, done.output
    assert {comparison["order"] for comparison in json.loads(path.read_text())["comparisons"]} == judged


def test_a_wrong_order_among_right_ones_is_told() -> None:
    for wrong in ("3", "10", "first"):
        done = RUN.invoke(main, ["compare", "torch:tanh", "jax.numpy:tanh", "--order", "2", "--order", wrong])
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: --order: got ")
        assert wrong in done.stderr


def test_the_help_cuts_no_sentence() -> None:
    said = " ".join(RUN.invoke(main, ["--help"]).stdout.split())
    assert "..." not in said.replace("[ARGS]...", "")
    for command in main.commands.values():
        assert command.help is not None
        assert " ".join(command.help.split(". ")[0].split("\n\n")[0].split()) in said


def test_the_help_lists_the_faults() -> None:
    said = "".join(RUN.invoke(main, ["perceptron", "--help"]).stdout.split())
    assert ",".join(TRAINING_FAULTS) in said


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("crosscheck ver", {"verify"}),
        ("crosscheck verify soft", {name for name in crosscheck.activations if name.startswith("soft")}),
        ("crosscheck sweep hard_", {name for name in crosscheck.activations if name.startswith("hard_")}),
        *((f"crosscheck verify {flag} ", values) for flag, values in FLAGS.items()),
        ("crosscheck sweep --dtype b", {"bfloat16"}),
        ("crosscheck compare a b --mode ", {"eager", "jit"}),
    ],
)
def test_a_shell_completes_it(words: str, completions: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    done = RUN.invoke(main, [], prog_name="crosscheck", env={"_CROSSCHECK_COMPLETE": "bash_complete"})
    completed = {row.removeprefix("plain,") for row in done.stdout.splitlines()}
    assert {word for word in completed if word in completions or word in crosscheck.activations} == completions


def test_a_shell_completes_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ("crosscheck diff ", "crosscheck list --json ", "crosscheck verify --file "):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
        done = RUN.invoke(main, [], prog_name="crosscheck", env={"_CROSSCHECK_COMPLETE": "bash_complete"})
        assert done.stdout.splitlines() == ["file,"]
