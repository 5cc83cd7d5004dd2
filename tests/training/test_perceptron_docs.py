"""The page about the perceptron: nothing is pasted, and a command that is wrong is an error."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path += [str(DOCS / "_make"), str(DOCS / "_hooks")]

import examples  # noqa: E402

pytestmark = pytest.mark.full

PAGE = (DOCS / "perceptron.md").read_text(encoding="utf-8")


def test_nothing_is_pasted() -> None:
    assert "```text" not in PAGE


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("$ crosscheck perceptron --gate none\n", "ended with 2"),
        ("ls it\n", "expected one line"),
        ("$ crosscheck list\nmore\n", "expected one line"),
    ],
)
def test_a_command_that_is_wrong_is_an_error(code: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        examples.command(code)
