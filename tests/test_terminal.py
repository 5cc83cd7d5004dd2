"""What is printed is what rich prints, but for control characters, which are shown."""

import io
import sys

import cli
import pytest
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

import crosscheck
from crosscheck._report.terminal import WIDTH, print_rich


class Output(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def printed(monkeypatch: pytest.MonkeyPatch, text: str, terminal: bool) -> tuple[str, str]:
    """By crosscheck, and by rich."""
    table = Table("a", "b", box=None, pad_edge=False)
    table.add_row(Text(text), Text("1" * 30, style="red"))
    group = Group(Text("head", style="bold"), Text(), table, Text("end"))
    told = []
    for ours in (True, False):
        output = Output(terminal)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", output)
            console = Console() if terminal else Console(width=WIDTH, color_system=None)
            (print_rich if ours else console.print)(group)
        told.append(output.getvalue())
    return told[0], told[1]


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_it_is_what_rich_prints_but_for_control_characters(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    ours, rich = printed(monkeypatch, "x" * 150, terminal)
    assert ours == rich
    ours, rich = printed(monkeypatch, "a\x1b]0;title\x07b", terminal)
    assert "\x1b]0;" in rich
    assert "\x1b]0;" not in ours
    assert r"a\x1b]0;title" in ours
    monkeypatch.setenv("NO_COLOR", "1")  # or a colour stands between the two
    ours, _ = printed(monkeypatch, "a\x1b[2J\n\u202eb", terminal)
    assert "a\\x1b[2J  111" in ours
    assert "\n\\u202eb" in ours


def test_names_messages_and_texts_are_shown() -> None:
    report = crosscheck.compare_arrays({"a\nb\x00é": [1.0]}, {"a\nb\x00é": [2.0]})
    assert "the worst in a\\nb\\x00é" in report.headline
    assert "a\\nb\\x00é (float64" in str(report)
    done = cli.run("list", "--json", "a\n  b\x07/out.json")
    assert done.stderr.startswith("Error: --json: the folder ")
    assert done.stderr.endswith("/a b\\x07 does not exist; make it first\n")
