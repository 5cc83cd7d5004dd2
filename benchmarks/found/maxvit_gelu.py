"""The tutorial that ports a model from PyTorch to JAX takes the approximation by tanh for PyTorch's GELU.

The functions and classes of its cells are run from the clone; its other lines, which compute examples, are not.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from finding import Finding, OwnTest, Sides, main
from torchvision.models.maxvit import MaxVit

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from public.records import channels_last, drawn, normals

PROJECT, VERSION = "jax-ml/jax-ai-stack", "59de2e1"
TUTORIAL = "docs/source/JAX_porting_PyTorch_model.md"
OWN = OwnTest(1e-5, 1e-1, f"{TUTORIAL}, line 1563: jnp.allclose(..., atol=1e-1)")

GELU = {"Callable = nnx.gelu,": "Callable = lambda x: nnx.gelu(x, approximate=False),"}
NORMS = {
    "nnx.LayerNorm(in_channels, rngs=rngs)": "nnx.LayerNorm(in_channels, epsilon=1e-5, rngs=rngs)",
    "nnx.LayerNorm(block_channels[-1], rngs=rngs)": "nnx.LayerNorm(block_channels[-1], epsilon=1e-5, rngs=rngs)",
    "norm_layer=nnx.LayerNorm,": "norm_layer=partial(nnx.LayerNorm, epsilon=1e-5),",
}
NO_BIAS = {
    "if module.bias.value is not None": "if module.bias is not None",
    "assert nnx_param is not None,": "assert nnx_param is not None or torch_value is None,",
    "assert nnx_param.value is None,": "assert nnx_param is None,",
}
"""What the tutorial needs to run at all: where a layer has no bias, Flax 0.12 has None, not a parameter that holds None."""

SIZES: dict[str, Any] = {
    "input_size": (16, 16),
    "stem_channels": 8,
    "block_channels": [16],
    "block_layers": [1],
    "head_dim": 8,
    "stochastic_depth_prob": 0.2,
    "partition_size": 2,
    "num_classes": 10,
}
USED = ("functools", "typing", "math", "numpy", "jax", "flax", "torch")
"""The modules that the tutorial's functions and classes need."""

entered: dict[str, str] = {}
"""The edits of the tutorial that hold now."""


@contextmanager
def mended(edits: Mapping[str, str]) -> Iterator[None]:
    entered.update(edits)
    try:
        yield
    finally:
        entered.clear()


def defined(edits: Mapping[str, str]) -> dict[str, Any]:
    """The functions and classes of the tutorial, with some of its text replaced."""
    path = next(path for path in (Path(folder, TUTORIAL) for folder in sys.path) if path.exists())
    text = path.read_text(encoding="utf-8")
    for old, new in edits.items():
        if old not in text:
            raise ValueError(f"{TUTORIAL} does not have {old!r}: this is another version")
        text = text.replace(old, new)
    names: dict[str, Any] = {"__name__": "tutorial"}
    for node in nodes(text):
        exec(compile(ast.Module([node], []), path, "exec"), names)
    return names


def nodes(text: str) -> Iterator[ast.stmt]:
    """The statements that import what is used, and those that define functions and classes; lines are those of the file."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line.startswith("```{code-cell}")]
    for start in starts:
        cell = lines[start : lines.index("```", start)]
        if any(line.startswith(("!", "%")) for line in cell):
            continue  # commands of the shell
        for node in ast.parse("\n" * start + "\n".join(cell)).body:
            if isinstance(node, ast.Import):
                wanted = all(alias.name.partition(".")[0] in USED for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                wanted = (node.module or "").partition(".")[0] in USED
            else:
                wanted = isinstance(node, ast.FunctionDef | ast.ClassDef)
            if wanted:
                yield node


def maxvit(rest: Mapping[str, str]) -> Sides:
    """A MaxViT of one layer; ``rest`` mends what the other finding in the tutorial is about."""
    original = drawn(lambda: MaxVit(**SIZES))
    with torch.no_grad():
        for weight in original.parameters():
            if weight.ndim > 1:
                weight.mul_(5)  # MaxViT draws them so small that its logits are near 0
    tutorial = defined({**NO_BIAS, **rest, **entered})
    port = tutorial["MaxVit"](**SIZES)
    without = ["WindowPartition", "WindowDepartition", "SwapAxes", "StochasticDepth"]
    tutorial["Torch2Flax"]().copy_module(original, port, skip_modules=without)
    port.eval()
    return Sides(original, port, [normals(2, 3, 16, 16)], torch_to_jax=channels_last)


FINDING = Finding(
    name="maxvit_gelu",
    project=PROJECT,
    version=VERSION,
    file=TUTORIAL,
    line=1012,
    what="Every GELU of the tutorial's MaxViT is the approximation by tanh, in torchvision's the exact one.",
    sides=partial(maxvit, NORMS),
    mended=partial(mended, GELU),
    distributions=("flax", "torchvision"),
    own_test=OWN,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
