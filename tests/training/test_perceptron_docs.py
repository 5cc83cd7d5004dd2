"""The page about the perceptron: its examples, which are run for the site, show what the text says of them."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path += [str(DOCS / "_make"), str(DOCS / "_hooks")]

import examples  # noqa: E402

pytestmark = pytest.mark.full

PAGE = (DOCS / "perceptron.md").read_text(encoding="utf-8")
SAID = {
    "$ crosscheck perceptron": (
        "AGREE: or, float32, 1,000 epochs: they differ by rounding.",
        "accuracy     100%          100%",
    ),
    "--plant learning-rate": ("DISAGREE: or,", "jax's schedule, from epoch 1 on: JAX's learning rate is 0.2, PyTorch's 0.1"),
    "report.agree": ("True 1.0 1.0",),
    "crosscheck.Perceptron(2, 1)": ("True\n(1, 2)",),
}
"""By what is in an example's code, what it prints; an example of which nothing is said here fails."""


def test_nothing_is_pasted() -> None:
    assert "```text" not in PAGE
    assert PAGE.count("```") == 2 * len(SAID)


def test_every_example_prints_what_the_page_says() -> None:
    for block, printed in examples.run(PAGE, "perceptron.md"):
        said = [parts for words, parts in SAID.items() if words in block.code]
        assert said, block.code
        assert all(part in printed for part in said[-1]), printed


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
