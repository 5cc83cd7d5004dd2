"""The tutorial on many devices says what its code prints."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorials" / "10-devices.ipynb"
SAID = (
    "first in 2: what each of 4 devices adds before psum over `model` counts 4 times",
    "AGREE: the same function at all 5 landmarks",
    "AGREE: the same function at all 5 landmarks",
    "gradients, step 1: psum over `data` adds up what PyTorch averages ...",
    "AGREE: Sequential trained by SGD / jax_step: 5 steps, each the same from the same state",
    "device 3 holds other numbers than another in ['0.weight'], which both should hold alike: 0.1 apart",
    "first in 2: psum over `model` is missing: each of 4 devices goes on with its own part of the sum",
    "2: psum is over `data` ... over `model` it gives what PyTorch gives",
)


@pytest.mark.full
def test_the_tutorial_names_each_mistake_and_certifies_what_is_right(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    script = tmp_path / "tutorial.py"
    script.write_text(
        "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"), encoding="utf-8"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    starts = re.compile(r"\n(?=AGREE|DISAGREE)")
    verdicts = [" ".join(text.split()) for text in starts.split("\n" + done.stdout)[1:]]
    assert len(verdicts) == len(SAID)
    assert all(words in line for words, line in zip(SAID, verdicts, strict=True)), done.stdout
