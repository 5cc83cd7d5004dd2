"""What `make` made: examples and notebooks print what the text of their page says of them. The session `make` runs this."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS, MADE = ROOT / "docs", ROOT / "build" / "docs"
sys.path.append(str(DOCS / "_hooks"))

from blocks import blocks  # noqa: E402

MODELS = {
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
PERCEPTRON = {
    "$ crosscheck perceptron": (
        "AGREE: or, float32, 1,000 epochs: they differ by rounding.",
        "accuracy     100%          100%",
    ),
    "--plant learning-rate": ("DISAGREE: or,", "jax's schedule, from epoch 1 on: JAX's learning rate is 0.2, PyTorch's 0.1"),
    "report.agree": ("True 1.0 1.0",),
    "crosscheck.Perceptron(2, 1)": ("True\n(1, 2)",),
}
PAGES = [
    (("models.md", "models-report.md", "models-reference.md"), MODELS),
    (("perceptron.md",), PERCEPTRON),
]
"""By what is in an example's code, what it prints; an example of which nothing is said here fails."""
DEVICES = (
    "first in 2: what each of 4 devices adds before psum over `model` counts 4 times",
    "AGREE: the same function at all 5 landmarks",
    "AGREE: the same function at all 5 landmarks",
    "gradients, step 1: psum over `data` adds up what PyTorch averages ...",
    "AGREE: Sequential trained by SGD / jax_step: 5 steps, each the same from the same state",
    "device 3 holds other numbers than another in ['0.weight'], which both should hold alike: 0.1 apart",
    "first in 2: psum over `model` is missing: each of 4 devices goes on with its own part of the sum",
    "2: psum is over `data`; over `model` it gives what PyTorch gives, at cell:5",
)


def in_a_line(text: str) -> str:
    """However it is folded."""
    return " ".join(text.split())


def says(printed: str, part: str) -> bool:
    """Whether a text says something; DISAGREE does not say AGREE."""
    return re.search(rf"(?<!\w){re.escape(in_a_line(part))}", in_a_line(printed)) is not None


@pytest.mark.parametrize(("pages", "said"), PAGES, ids=["models", "perceptron"])
def test_every_example_prints_what_the_page_says(pages: tuple[str, ...], said: dict[str, tuple[str, ...]]) -> None:
    seen = set()
    for page in pages:
        outputs = json.loads((MADE / f"examples-{page}" / "outputs.json").read_text("utf-8"))
        for block in blocks((DOCS / page).read_text("utf-8")):
            printed = outputs[block.key]
            words = [words for words in said if words in block.code]
            assert words, block.code
            seen.update(words)
            assert all(says(printed, part) for part in said[words[-1]]), printed
            assert "  3 (Linear" not in printed  # the layer behind a wrong one is not blamed
    assert seen == said.keys()


def test_the_tutorial_on_devices_names_each_mistake_and_certifies_what_is_right() -> None:
    notebook = json.loads((MADE / "notebook-10-devices" / "site" / "tutorials" / "10-devices.ipynb").read_text("utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    starts = re.compile(r"\n(?=AGREE|DISAGREE)")
    verdicts = [in_a_line(text) for text in starts.split("\n" + printed)[1:]]
    assert len(verdicts) == len(DEVICES)
    assert all(words in line for words, line in zip(DEVICES, verdicts, strict=True)), printed


SAME = (
    re.compile(r" is (\S+) at x = [^,|<]*, not (\S+?)[,.]?(?=[\s<|]|$)"),
    re.compile(r"\*\*Expected\*\*: ([^,&]+),.*?\*\*Actual\*\*: ([^&\s]+)"),
)
"""What is said to be wrong, and what to be right."""


def same(text: str) -> list[str]:
    """Where a text says of one thing that it is wrong and right."""
    return [found[0] for pattern in SAME for found in pattern.finditer(text) if found[1] == found[2]]


def test_nothing_is_said_to_be_wrong_that_is_right() -> None:
    texts = {path: path.read_text("utf-8") for path in MADE.rglob("*.md") if path.is_file()}
    assert len(texts) > 30
    assert {str(path.relative_to(MADE)): found for path, text in texts.items() if (found := same(text))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "PyTorch: the value is 2e+38 at x = 2e+38, not 2e+38",
        "**Expected**: 2e+38, the exact result&#10;&#10;**Actual**: 2e+38&#10;",
    ],
)
def test_what_contradicts_itself_is_seen(text: str) -> None:
    assert same(text)
    assert not same(text.replace("2e+38", "inf", 1))
