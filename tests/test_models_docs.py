"""The page about models: its examples, which are run for the site, show what the text says of them."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
sys.path += [str(DOCS / "_make"), str(DOCS / "_hooks")]

import examples  # noqa: E402

pytestmark = pytest.mark.full

PAGE = (DOCS / "models.md").read_text(encoding="utf-8")
SAID = {
    "variance + 1e-6": (
        "DISAGREE (definition): Sequential / port: first in 1: ",
        "first in 1: with 1e-05 in place of its 1e-06, JAX gives what PyTorch gives",
        "\n  2 (GELU, gelu): the PyTorch function is gelu, ",
    ),
    "approximate=False": ("AGREE: Sequential / port: the same function at all 6 landmarks", "gradients: 6 of 6 agree"),
    "report.plot()": ("<svg", "Every layer", "<details open"),
    "save_segments(": ("torch.ops.aten.gelu.default(", "lax.tanh(", "apart from PyTorch; the report says "),
    "copy_weights(": ("0.weight is ['up']['w'], transposed", "2.bias is ['down']['b'], the same"),
    "running_var": (
        "JAX updates running_var with the variance divided by n, PyTorch by n - 1; 0.9375 times as much",
        "running_mean: ",
    ),
}
"""By what is in an example's code, what it prints; an example of which nothing is said here fails."""


def test_every_example_prints_what_the_page_says() -> None:
    seen = set()
    for block, printed in examples.run(PAGE, "models.md"):
        words = [words for words in SAID if words in block.code]
        assert words, block.code
        seen.update(words)
        assert all(part in printed for part in SAID[words[-1]]), printed
        assert "  3 (Linear" not in printed  # the layer behind a wrong one is not blamed
    assert seen == SAID.keys()
