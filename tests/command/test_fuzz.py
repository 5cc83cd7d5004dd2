"""Generated command lines keep the invariant of tests/fuzz, and a command that breaks one of its rules is caught."""

import json
import time
from pathlib import Path
from typing import Any

import click
import pytest
from fuzz import content, running
from fuzz.__main__ import main
from fuzz.campaign import campaign
from fuzz.invariant import broken
from fuzz.lines import COMMANDS
from fuzz.running import Line, run

pytestmark = pytest.mark.full

QUICK = {"": 5, "list": 25, "env": 3, "diff": 30, "atlas --diff": 25, "sweep --table": 25, "paths": 30}
"""Commands that run few functions or none, and how many lines of each."""
MANY = 100
FEWEST_KEPT = 2000
RESULTS = Path(__file__).parents[2] / "results" / "robustness" / "lines.json"


@pytest.mark.parametrize("command", QUICK)
def test_a_few_lines_keep_the_invariant(command: str) -> None:
    tally = campaign(command, QUICK[command])
    assert tally.failures == {}
    assert tally.examples >= QUICK[command] // 2


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_many_lines_keep_the_invariant(command: str) -> None:
    assert campaign(command, MANY).failures == {}


def test_the_lines_are_the_same_each_time_and_end_in_more_than_one_way() -> None:
    first, second = (campaign("list", 25) for _ in range(2))
    assert first.codes == second.codes
    assert set(first.codes) == {0, 2}


FORMULAS = {
    "definition": ("lambda m, x: 1 / 0", "mine: its formulas raised ZeroDivisionError: division by zero ("),
    "derivative": ("lambda m, x: {}['a']", "mine: its formulas raised KeyError: 'a' ("),
    "limits": ("lambda: None", "mine: its formulas raised AttributeError"),
}
RUNS = (("verify", "--quick", "--implementation", "torch"), ("plot",), ("sweep", "--dtype", "bfloat16", "--processes", "1"))


@pytest.mark.parametrize("field", FORMULAS)
def test_a_formula_that_raises_is_told_with_its_place(field: str) -> None:
    formula, message = FORMULAS[field]
    file = content.GOOD_RECORD + f"import dataclasses\nMINE = dataclasses.replace(MINE, {field}={formula})\n".encode()
    for command, *options in RUNS if field == "definition" else RUNS[:1]:
        line = Line((command, "mine", "--file", "mine.py", *options), {"mine.py": file})
        outcome = run(line)
        assert broken(line, outcome) == []
        assert outcome.code == 2
        assert outcome.stderr.startswith(f"Error: {message}")


@click.group()
def planted() -> None:
    """Commands that break the invariant."""


def plant(*options: str) -> Any:
    """A command of the group, with options that take a value."""

    def around(function: Any) -> Any:
        for option in options:
            function = click.option(option)(function)
        return planted.command(function.__name__)(function)

    return around


@plant()
def raises() -> None:
    {}["nothing"]


@plant("--json")
def empty(json: str) -> None:
    Path(json).write_text('{"schema": "crosscheck.arrays/1", "summary": {"elements": 0}}')
    click.echo("AGREE: 0 arrays")


@plant()
def says_nothing_was_compared() -> None:
    click.echo("FAILED: nothing was compared.")


@plant("--json")
def half(json: str) -> None:
    click.echo("AGREE")
    Path(json).write_text('{"schema": ')


@plant("--html")
def half_a_page(html: str) -> None:
    click.echo("AGREE")
    Path(html).write_text("<!DOCTYPE html><html><body>")


@plant("--html")
def markup(html: str) -> None:
    click.echo("AGREE")
    Path(html).write_text("<!DOCTYPE html><html><p><b>x</b></p></html>\n")


@plant("--markdown")
def markup_in_markdown(markdown: str) -> None:
    click.echo("AGREE")
    Path(markdown).write_text("**AGREE**\n\n| <b>x</b> |\n")


@plant()
def markup_on_the_terminal() -> None:
    click.echo("AGREE: \x1b[1mMARKED\x1b[0m")


@plant()
def moves_the_cursor() -> None:
    click.echo("AGREE: \x1b]0;x\x07")


@plant()
def ends_a_line() -> None:
    click.echo("AGREE: x\nFORGED: all agree")


@plant()
def leaves_a_file() -> None:
    click.echo("AGREE")
    Path(".out.json.tmp").write_text("{")


@plant("--json")
def forgets_the_file(json: str) -> None:
    click.echo("AGREE")


@plant()
def three() -> None:
    raise SystemExit(3)


@plant()
def refuses_without_a_word() -> None:
    raise SystemExit(2)


@plant()
def refuses_twice() -> None:
    click.echo("Error: one\nError: two", err=True)
    raise SystemExit(2)


@plant()
def prints_a_traceback() -> None:
    click.echo("Traceback (most recent call last):\nError: all of it", err=True)
    raise SystemExit(2)


@plant()
def changes_what_it_reads() -> None:
    click.echo("AGREE")
    Path("mine.py").write_text("")


@planted.command()
@click.argument("path")
@click.option("--json")
@click.option("--force", is_flag=True)
def overwrites(path: str, json: str, force: bool) -> None:
    click.echo(f"AGREE: {path} {force}")
    Path(json).write_text('{"schema": "crosscheck.list/1"}')


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("overwrites", "mine.py", "--json", "./mine.py"), "'mine.py' is read, and was overwritten"),
        (("overwrites", "mine.py", "--json", "link.py", "--force"), "'mine.py' is read, and was overwritten"),
        (("overwrites", "twin.py", "--json", "mine.py", "--force"), "'mine.py' is read, and was overwritten"),
        (("overwrites", "other.py", "--json", "link.py"), "'mine.py' was overwritten without --force"),
        (("raises",), "it raised KeyError: 'nothing' (test_fuzz.py:"),
        (("empty", "--json", "a.json"), "--json: exit code 0 with nothing compared"),
        (("says-nothing-was-compared",), "exit code 0 where nothing was compared"),
        (("half", "--json", "a.json"), "--json: no whole JSON"),
        (("half-a-page", "--html", "a.html"), "--html: half a page"),
        (("markup", "--html", "a.html"), "<b> of a name is a tag of the page"),
        (("markup-in-markdown", "--markdown", "a.md"), "'<b>x</b>' is markup in Markdown"),
        (("markup-on-the-terminal",), "'[bold]MARKED[/bold]' was taken for markup"),
        (("moves-the-cursor",), "an escape sequence of a name on standard output"),
        (("ends-a-line",), "a name ends a line on standard output"),
        (("leaves-a-file",), "'.out.json.tmp' was left behind"),
        (("forgets-the-file", "--json", "a.json"), "--json: no file, with exit code 0"),
        (("three",), "exit code 3"),
        (("refuses-without-a-word",), "0 error messages"),
        (("refuses-twice",), "2 error messages"),
        (("prints-a-traceback",), "it printed a traceback"),
        (("changes-what-it-reads",), "'mine.py' was changed"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_command_that_breaks_a_rule_is_caught(arguments: tuple[str, ...], rule: str) -> None:
    name = arguments[0] if arguments[0] in planted.commands else arguments[0].replace("-", "_")
    links = {"links": {"link.py": "mine.py"}, "twins": {"twin.py": "mine.py"}}
    line = Line((name, *arguments[1:]), {"mine.py": b"x = 1\n"}, ("<b>x</b>", "[bold]MARKED[/bold]"), **links)
    problems = broken(line, run(line, planted))
    assert any(told.startswith(rule) or rule in told for told in problems), problems


def test_a_command_that_hangs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LONGEST", 0.2)

    @planted.command("hangs")
    def hangs() -> None:
        time.sleep(10)

    line = Line(("hangs",))
    assert broken(line, run(line, planted))[0].startswith("it raised Hang: it took more than 0.2 s")


def test_the_command_tells_what_is_broken_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "lines.json"
    assert main(["lines", "list", "--examples", "10", "--json", str(path)]) == 0
    (row,) = json.loads(path.read_text())["rows"]
    assert (row["name"], row["broken"]) == ("list", [])
    assert sum(row["codes"].values()) == row["examples"]
    monkeypatch.setattr("fuzz.campaign.broken", lambda line, outcome: ["nothing is right"])
    assert main(["lines", "list", "--examples", "2"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_the_table_that_is_kept_is_of_these_commands_and_none_broke_the_invariant() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in kept] == list(COMMANDS)
    assert all(row["broken"] == [] for row in kept)
    assert sum(row["examples"] for row in kept) >= FEWEST_KEPT
    assert all(set(row["codes"]) <= {"0", "1", "2"} for row in kept)
