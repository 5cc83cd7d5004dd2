"""What is printed reads at the width there is, and on a narrow page, is what rich prints, and shows control characters."""

import io
import json
import re
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from subprocess import CompletedProcess

import cli
import pytest
import rich.table
from matplotlib.figure import Figure
from rich.console import Console, Group
from rich.text import Text

import crosscheck
from crosscheck._report.blocks import Block, Branch, Code, Drawing, Folded, Heading, Lines, Paragraph, Table, Tree
from crosscheck._report.document import Document
from crosscheck._report.terminal import WIDTH, layout, print_rich

Command = Callable[..., CompletedProcess[str]]

LINK = "https://example.org/" + "a/long/path/" * 8
NUMBERS = Table([["activation", "order", "own torch", "jax matched"], ["gelu", "value", "1.97", "1.7e+07"]], keys=2)
REASONS = Table([["id", "cause", "reason"], ["gelu-at-infinity", "special", "Infinity times 0 is NaN. " * 5 + LINK]])
BLOCKS: list[Block] = [
    NUMBERS,
    REASONS,
    Lines("Not declared", ["gelu value, float32 eager: " + "one word after another " * 8]),
    Paragraph("A sentence that is longer than most of the widths. " * 3),
    Code("cause     inaccurate: " + "digits are lost on the way " * 6),
]


def printed(width: int, *blocks: Block) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(layout(Document("PASSED: all", True, blocks)), crop=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [30, 45, 60, 80, 110, 140, 200])
def test_nothing_is_cut_and_only_an_address_is_longer_than_a_line(width: int) -> None:
    lines = printed(width, *BLOCKS)
    assert [line for line in lines if len(line) > width and LINK not in line] == []
    text = " ".join(" ".join(lines).split())
    for table in (NUMBERS, REASONS):
        for row in table.rows:
            assert all(word in text for cell in row for word in cell.split() if word != LINK)
    assert LINK in text.replace(" ", "")
    assert text.count("digits are lost") + text.count("digits are") >= 6


def test_a_table_that_does_not_fit_is_told_in_lines() -> None:
    beside = ["activation  order  own torch  jax matched", "gelu        value       1.97      1.7e+07"]
    assert printed(60, NUMBERS)[2:] == beside
    folded = [" " * 21 + "own      jax", "activation  order  torch  matched", "gelu        value   1.97  1.7e+07"]
    assert printed(33, NUMBERS)[2:] == folded
    tight = [" " * 19 + "own     jax", "activation order torch matched", "gelu       value  1.97 1.7e+07"]
    assert printed(30, NUMBERS)[2:] == tight
    assert printed(29, NUMBERS)[2:] == ["gelu value", "  own torch 1.97", "  jax matched 1.7e+07"]


def test_what_is_said_in_a_named_line_stays_in_its_column() -> None:
    _, _, first, second, *_ = printed(40, Code("cause     inaccurate: digits are lost on the way of it"))
    assert (first, second) == ("cause     inaccurate: digits are lost on", "          the way of it")


def test_code_is_never_broken() -> None:
    line = "x = " + " + ".join(["1"] * 60)
    assert line in printed(40, Code(line, "python"))


def test_code_in_markdown_cannot_end_its_fence() -> None:
    text = Document("done", True, [Code("```\nout\n````")]).markdown()
    assert text == "**done**\n\n`````text\n```\nout\n````\n`````\n"


def test_the_blocks_of_a_document_as_markdown() -> None:
    blocks = [Heading("a #1"), Paragraph("two\nlines"), Table([["x", "y"], ["1", ""]])]
    text = Document("ok *now*", True, blocks).markdown()
    assert text == "**ok \\*now\\***\n\n### a \\#1\n\ntwo lines\n\n| x | y |\n|---|---|\n| 1 |   |\n"


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("80", 80), ("", WIDTH), ("0", WIDTH), ("wide", WIDTH)])
def test_a_pipe_is_as_wide_as_columns_says(command: Command, columns: str, width: int) -> None:
    done = command("list", env={"COLUMNS": columns})
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("activation ") == (width == WIDTH)
    assert len(done.stdout.split()) > 3 * len(crosscheck.activations)


def test_a_narrow_page_has_the_head_beside_each_cell() -> None:
    page = Document("PASSED: all", True, [NUMBERS]).page()
    cells = re.findall(r'<td role="cell" data-head="([^"]*)">([^<]*)', page)
    assert cells == [("own torch", "1.97"), ("jax matched", "1.7e+07")]
    assert re.findall(r'<td role="cell" class="key">([^<]*)', page) == ["gelu", "value"]
    assert "content: attr(data-head)" in page


def test_a_text_is_text_in_every_place_of_a_page() -> None:
    evil = "<script>\"'&{{ 1 }}"
    table, cells = Table([[evil, evil], [evil, evil]]), [evil, evil]
    tree = Tree(cells, [Branch(cells, [Branch(cells)], wrong=True)])
    blocks = [Heading(evil), Paragraph(evil), Code(evil), Lines(evil, cells), table, Folded(evil, table), tree]
    page = Document(evil, True, [*blocks, Drawing(Figure, evil)], {evil: evil}, evil).page()
    assert "<script" not in page
    assert "\"'" not in page
    assert page.count("&lt;script&gt;") == page.count("{{ 1 }}") == 32


@pytest.mark.full
def test_a_run_that_passes_calls_everything_by_its_name_on_screen(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ("--quick", "--json", "out.json", "--markdown", "out.md", "--html", "out.html")
    done = command("verify", "gelu", *arguments)
    assert done.returncode == 0, done.stderr
    told = [done.stdout, *(unescape((tmp_path / name).read_text()) for name in ("out.md", "out.html"))]
    for text in told:
        flat = " ".join(text.split())
        assert all(name in flat for name in ("own torch, own jax: crosscheck's own", "torch, jax: what the frameworks ship"))
        assert not re.search(r"\b(torch|jax)\.native\b|\bnatives\b|does not occur", flat)
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= 80
    data = json.loads((tmp_path / "out.json").read_text())
    names = {"torch", "jax", "torch.native", "jax.native", "jax.native.matched"}
    assert names <= {comparison["implementation"] for comparison in data["comparisons"]}


# What rich prints, but for control characters


class Output(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def printed_by_both(monkeypatch: pytest.MonkeyPatch, text: str, terminal: bool) -> tuple[str, str]:
    """By crosscheck, and by rich."""
    table = rich.table.Table("a", "b", box=None, pad_edge=False)
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
    ours, rich = printed_by_both(monkeypatch, "x" * 150, terminal)
    assert ours == rich
    ours, rich = printed_by_both(monkeypatch, "a\x1b]0;title\x07b", terminal)
    assert "\x1b]0;" in rich
    assert "\x1b]0;" not in ours
    assert r"a\x1b]0;title" in ours
    monkeypatch.setenv("NO_COLOR", "1")  # or a colour stands between the two
    ours, _ = printed_by_both(monkeypatch, "a\x1b[2J\n\u202eb", terminal)
    assert "a\\x1b[2J  111" in ours
    assert "\n\\u202eb" in ours


def test_names_messages_and_texts_are_shown() -> None:
    report = crosscheck.compare_arrays({"a\nb\x00é": [1.0]}, {"a\nb\x00é": [2.0]})
    shown = r"a\nb\x00é"
    assert f"the worst in {shown}" in report.headline
    assert f"{shown} (float64" in str(report)
    done = cli.run("list", "--json", "a\n  b\x07/out.json")
    assert done.stderr.startswith("Error: --json: the folder ")
    assert done.stderr.endswith("/a b\\x07 does not exist; make it first\n")
