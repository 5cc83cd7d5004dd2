"""The pages about models: their examples, which are run for the site, show what the text says of them."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path += [str(DOCS / "_make"), str(DOCS / "_hooks")]

import examples  # noqa: E402

pytestmark = pytest.mark.full

PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("models", "models-report", "models-reference")}
MOST_WORDS = 90
TAB = re.compile(r'^=== "(?P<library>[^"]+)"\n\n    ```python\n(?P<code>.*?)^    ```', re.MULTILINE | re.DOTALL)
TABS = {tab["library"]: textwrap.dedent(tab["code"]) for tab in TAB.finditer(PAGES["models"])}
SAID = {
    "variance + 1e-6": (
        "DISAGREE (definition): 1: LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch.\n  Sequential / port\n",
        "  1 (LayerNorm, native_layer_norm): LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch",
        "\n  2 (GELU, gelu): gelu: the tanh form in JAX, exact in PyTorch",
    ),
    "approximate=False": ("AGREE: the same function at all 6 landmarks", "Sequential / port", "gradients: 6 of 6 agree"),
    "report._repr_html_()": ("<svg", "Every layer", "<details open"),
    "save_segments(": ("torch.ops.aten.gelu.default(", "lax.tanh(", "apart from PyTorch; the report says "),
    "ByName(": ("AGREE: the same function at all 3 landmarks",),
    "read_weights(": ("AGREE: the same function at all ",),
    "copy_weights(": ("0.weight is ['up']['w'], transposed", "2.bias is ['down']['b'], the same"),
    "running_var": (
        "JAX updates running_var with the variance divided by n, PyTorch by n - 1; 0.9375 times as much",
        "running_mean: ",
    ),
}
"""By what is in an example's code, what it prints; an example of which nothing is said here fails."""


def test_every_example_prints_what_the_page_says() -> None:
    seen = set()
    for name, page in PAGES.items():
        for block, printed in examples.run(page, name):
            words = [words for words in SAID if words in block.code]
            assert words, block.code
            seen.update(words)
            said = " ".join(printed.split())  # in a line, however it is folded
            assert all(" ".join(part.split()) in said for part in SAID[words[-1]]), printed
            assert "  3 (Linear" not in printed  # the layer behind a wrong one is not blamed
    assert seen == SAID.keys()


def test_a_library_s_port_is_printed_for_each() -> None:
    assert list(TABS) == ["flax nnx", "flax linen", "equinox", "haiku"]


@pytest.mark.parametrize("library", TABS)
def test_a_library_s_port_runs_as_it_is_printed(library: str) -> None:
    """In a Python of its own, after the model that is printed above the tabs, without a warning of what is deprecated."""
    above = PAGES["models"][: PAGES["models"].index(f'=== "{next(iter(TABS))}"')]
    model = re.findall(r"^```python\n(.*?)^```", above, re.MULTILINE | re.DOTALL)[-1]
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", model + TABS[library]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("AGREE: the same function at all ")


def paragraphs(page: str) -> list[str]:
    """Those of a page's text; an item of a list is one, a table is none."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    blocks = [block for block in re.split(r"\n\s*\n", text) if not block.startswith("|")]
    return [paragraph for block in blocks for paragraph in re.split(r"^- ", block, flags=re.MULTILINE)]


@pytest.mark.parametrize("name", PAGES)
def test_no_paragraph_is_long(name: str) -> None:
    assert [paragraph for paragraph in paragraphs(PAGES[name]) if len(paragraph.split()) > MOST_WORDS] == []
