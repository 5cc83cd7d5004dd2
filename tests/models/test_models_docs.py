"""The pages about models: a library's port runs as it is printed, and the text is short."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

pytestmark = pytest.mark.full

PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("models", "models-report", "models-reference")}
MOST_WORDS = 90
TAB = re.compile(r'^=== "(?P<library>[^"]+)"\n\n    ```python\n(?P<code>.*?)^    ```', re.MULTILINE | re.DOTALL)
TABS = {tab["library"]: textwrap.dedent(tab["code"]) for tab in TAB.finditer(PAGES["models"])}


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
