"""The page about the perceptron: its examples print what it says, numbers within rounding."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from crosscheck._perceptron.losses import DIFFERENCES
from crosscheck.cli import main

PAGE = (Path(__file__).parent.parent / "docs" / "perceptron.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^```console\n\$ crosscheck (.*)\n((?:.*\n)*?)```", PAGE, re.MULTILINE)
PYTHON = re.findall(r"^```python\n((?:.*\n)*?)```\n\n```text\n((?:.*\n)*?)```", PAGE, re.MULTILINE)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
SMALL = 1e-5
"""What is smaller is rounding, which is another number on another machine."""


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in NUMBER.findall(text)]


def same(shown: str, printed: str) -> bool:
    """The same words, and the same numbers but for rounding, of which how much and when depend on the machine."""
    shown, printed = ("\n".join(line.rstrip() for line in text.split("\n")).strip() for text in (shown, printed))
    words = [re.sub(r"\s+", " ", NUMBER.sub("#", text)) for text in (shown, printed)]
    if words[0] != words[1]:
        return False
    evidence = re.compile(r"^(?:First|Largest) difference.*?\.$|^(?:How far|Had the).*?\.$", re.MULTILINE | re.DOTALL)
    pairs = zip(numbers(evidence.sub("", shown)), numbers(evidence.sub("", printed)), strict=True)
    return all(abs(a) < SMALL > abs(b) or a == pytest.approx(b, rel=1e-4) for a, b in pairs)


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_the_commands_print_what_the_page_says(command: str, shown: str) -> None:
    if "--losses" in command and not all(difference.seen_here for difference in DIFFERENCES):
        pytest.skip("the page shows the losses of another JAX")
    printed = CliRunner().invoke(main, command.split()).stdout
    assert same(shown, printed), printed


def test_the_python_examples_print_what_the_page_says() -> None:
    names: dict[str, object] = {}
    assert PYTHON
    for code, shown in PYTHON:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "example", "exec"), names)
        assert printed.getvalue() == shown


@pytest.mark.parametrize(
    ("said", "printed"), [("0.5 of 3", "0.6 of 3"), ("AGREE 1e-9", "DISAGREE 1e-9"), ("1e-9", "1e-3"), ("1 2", "1")]
)
def test_a_page_that_says_something_else_is_seen(said: str, printed: str) -> None:
    assert same(said, said)
    assert not same(said, printed)
