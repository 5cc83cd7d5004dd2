"""The notebooks and examples of the site: nothing is missing or cut, and they run where they were downloaded to."""

import re
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"^( *)```(?:python|console|text)(?P<options>[^\n]*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)

sys.path += [str(ROOT / "docs" / "_make"), str(ROOT / "docs" / "_hooks")]

import examples  # noqa: E402
import notebooks  # noqa: E402
from columns import WIDTH  # noqa: E402

NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"), key=lambda path: int(path.stem.partition("-")[0]))
FIGURE = "%matplotlib inline\nfrom matplotlib.figure import Figure\nfigure = Figure()\n_ = figure.subplots()\nfigure"


def written(folder: Path, *cells: str, **metadata: Any) -> Path:
    """A notebook with a text, and cells of code; ``metadata`` is that of the last one."""
    text, *codes = cells
    made = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, codes)]
    made[-1].metadata.update(metadata)
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / "one.ipynb")
    return folder / "one.ipynb"


@pytest.mark.parametrize(
    ("cells", "metadata", "said"),
    [
        (["# One", "print(1)"], {"alt": "a line"}, "a cell with a description of its picture shows none"),
        (["# One\n\nSee `mul`.", "print('bmm')"], {}, "the text names mul, which neither"),
    ],
)
def test_a_notebook_that_says_what_is_not_there_is_an_error(
    tmp_path: Path, cells: list[str], metadata: dict[str, str], said: str
) -> None:
    with pytest.raises(notebooks.NotebookError, match=said):
        notebooks.executed(written(tmp_path, *cells, **metadata))


def test_what_a_notebook_prints_is_folded_and_its_figures_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "# One\n\nSee `word`.", f"print('word ' * 40)\n{FIGURE}", alt="a line")
    _, cell = nbformat.reads(notebooks.executed(path), 4).cells
    printed, figure = cell.outputs
    assert max(map(len, printed.text.splitlines())) <= WIDTH
    assert printed.text.split() == ["word"] * 40
    assert "image/png" in figure.data


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_where_it_was_downloaded_to(path: Path, tmp_path: Path) -> None:
    """Alone in a folder, with no part of the repository beside it."""
    made = nbformat.reads(notebooks.executed(Path(shutil.copy(path, tmp_path))), 4)
    assert all(cell.execution_count for cell in made.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_has_exercises_with_solutions(path: Path) -> None:
    kept = nbformat.read(path, 4)
    nbformat.validate(kept)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert any(re.search(r"^## Exercises$", cell.source, re.MULTILINE) for cell in kept.cells)
    assert sum("solution" in cell.metadata.get("tags", ()) for cell in code) >= 2


def test_the_notebooks_are_numbered_and_introduced() -> None:
    introduced = re.findall(
        r"^\d+\. \[.*?\]\((.*?)\.ipynb\)", (ROOT / "docs/tutorials/index.md").read_text("utf-8"), re.MULTILINE
    )
    assert [path.stem for path in NOTEBOOKS] == introduced
    assert [path.stem.partition("-")[0] for path in NOTEBOOKS] == [str(i + 1) for i in range(len(NOTEBOOKS))]


def wide(page: str) -> list[str]:
    """Lines of examples and commands that readers see a part of."""
    shown = [
        match for match in SHOWN.finditer(page) if 'exec="true"' not in match["options"] or "source=" in match["options"]
    ]
    lines = [line for match in shown for line in match["code"].splitlines()]
    return [line for line in lines if len(line) > WIDTH and not line.endswith("# hide")]


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_no_example_of_a_page_is_cut(path: Path) -> None:
    assert wide(path.read_text("utf-8")) == []


def test_an_example_that_is_cut_is_seen() -> None:
    line = "x = " + "1 + " * 30 + "1"
    assert wide(f"```python\n{line}\n```\n") == [line]
    assert wide(f'```python exec="true"\n{line}\n```\n') == []  # is not shown


def test_examples_write_into_a_folder_of_their_page_which_has_the_results() -> None:
    code = 'import os\nprint(os.path.exists("one"), os.path.exists("results"))\nopen("one", "w").close()'
    page = f'```python exec="true"\n{code}\n```\n' * 2
    assert [printed for _, printed in examples.run(page, "page")] == ["False True\n", "True True\n"]


def test_what_a_kept_report_says_is_a_cell_of_a_table() -> None:
    kept = runpy.run_path(str(ROOT / "docs" / "_make" / "kept.py"))  # tests/ has a module of this name too
    assert kept["as_markdown"]("in all of `y[:, 1]`, [0].bias | more") == r"in all of `y[:, 1]`, \[0].bias \| more"
