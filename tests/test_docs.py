"""The pages' Python examples: they run, one after the other, and print what the page says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """The kind and text of each example, signatures left out."""
    found = [(kind, text) for kind, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))]
    return [(kind, text) for kind, text in found if not text.startswith("def compare(")]


def run(text: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "example", "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize("page", ["docs/compare.md"])
def test_the_examples_print_what_the_page_says(page: str) -> None:
    names: dict[str, object] = {}
    printed, compared = "", 0
    for kind, text in blocks(page):
        if kind == "python":
            printed = run(text, names)
        else:
            assert printed == text
            compared += 1
    assert compared


def test_the_steps_of_adding_an_activation_work() -> None:
    """The page's plain record shows the two faults that it tells of, and its mended one passes everything."""
    steps = re.findall(
        r"^```python exec.*?\n(.*?)^```", (ROOT / "docs/contributing/activation.md").read_text("utf-8"), re.M | re.S
    )
    names: dict[str, object] = {}
    printed = [run(step, names) for step in steps]
    plain, mended = filter(None, printed)
    assert plain.startswith("FAILED: bent_identity:")
    assert "special, " in plain
    assert "inaccurate, " in plain
    assert mended.startswith("PASSED: bent_identity:")


def test_the_readme_s_comparison_runs() -> None:
    (example,) = [text for kind, text in blocks("README.md") if kind == "python" and "crosscheck.compare(" in text]
    first, last = run(example, {}).splitlines()[0], run(example, {}).splitlines()[-1]
    assert first.startswith("DISAGREE (definition): gelu / gelu:")
    assert "rounding, not a bug" in last


def test_a_page_that_says_something_else_is_seen() -> None:
    assert run("print(1 + 1)", {}) != "3\n"
