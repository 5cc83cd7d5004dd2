"""What the built site shows and offers, as a reader runs it: programs copied from its pages, and notebooks downloaded.

The session `reader` runs these tests in a fresh environment that has what the pages say to install, and not the repository.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent.parent
SITE = Path(os.environ.get("CROSSCHECK_SITE", "site")).resolve()
ELSEWHERE = re.compile("dictionary/|found/|reference/|tutorials/")
"""Entries of the dictionary are judged in the session `models`, docstrings by the tests; issues need what they report on."""
FRAGMENTS = {
    "recorded(": "a part of an activation's file",
    'Client("scheduler:8786")': "needs a cluster",
    "load_file(Path(__file__)": "what a report writes to a folder, with its arrays beside it",
}
"""By what is in it, why a piece of Python on a page is no program."""
RUN = """
import json, linecache, re, sys

names = {"__name__": "__main__"}
for number, (tabbed, code) in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))):
    linecache.cache[f"example-{number}.py"] = (len(code), None, code.splitlines(keepends=True), f"example-{number}.py")
    try:
        exec(compile(code, f"example-{number}.py", "exec"), dict(names) if tabbed else names)
    except Exception as error:
        if type(error).__name__ not in re.findall(r"# raises (\\w+)", code):
            raise
"""
"""What is in a tab goes on from what stands above the tabs, and not from another tab. A program may say that it raises."""


class Program(NamedTuple):
    """A block of Python, and whether it is one of several in tabs."""

    tabbed: bool
    code: str


class Shown(HTMLParser):
    """The Python on a page, as a reader copies it."""

    def __init__(self) -> None:
        super().__init__()
        self.programs: list[Program] = []
        self._inside: list[str] = []
        self._code: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "div":
            self._inside.append(dict(attrs).get("class") or "")
        elif tag == "code" and self._inside and self._inside[-1].startswith("language-python"):
            self._code = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self._inside.pop()
        elif tag == "code" and self._code is not None:
            self.programs.append(Program("tabbed-block" in self._inside, self._code))
            self._code = None

    def handle_data(self, data: str) -> None:
        if self._code is not None:
            self._code += data


def programs(page: Path) -> list[Program]:
    """The programs of a page, in their order."""
    shown = Shown()
    shown.feed(page.read_text(encoding="utf-8"))
    runnable = [program for program in shown.programs if not any(part in program.code for part in FRAGMENTS)]
    if page.parent.parent.name == "activations":  # calls of any x, and sources of parts of a file, stand there too
        runnable = [program for program in runnable if program.code.startswith(("import ", "from "))]
    return runnable


def place(page: Path) -> str:
    return page.parent.relative_to(SITE).as_posix()


PAGES = [page for page in sorted(SITE.rglob("index.html")) if not ELSEWHERE.match(f"{place(page)}/") and programs(page)]
NOTEBOOKS = sorted(SITE.glob("tutorials/*/*.ipynb"))


def run(folder: Path, sources: list[Program]) -> subprocess.CompletedProcess[str]:
    """Run programs one after the other, in a folder and a Python of their own."""
    (folder / "programs.json").write_text(json.dumps(sources), encoding="utf-8")
    command = [sys.executable, "-c", RUN, "programs.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_crosscheck_is_installed_and_is_not_the_repository() -> None:
    spec = importlib.util.find_spec("crosscheck")
    assert spec is not None
    assert ROOT / "crosscheck" not in Path(str(spec.origin)).parents


def test_there_are_programs_tabs_and_notebooks() -> None:
    assert {"", "cookbook", "compare", "models", "training", "everyday", "activations/gelu"} <= {
        place(page).replace(".", "") for page in PAGES
    }
    assert sum(program.tabbed for program in programs(SITE / "models" / "index.html")) == 4
    assert len(NOTEBOOKS) == len(list(ROOT.glob("docs/tutorials/*.ipynb")))


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_the_programs_of_a_page_run_as_they_are_printed(page: Path, tmp_path: Path) -> None:
    done = run(tmp_path, programs(page))
    assert done.returncode == 0, done.stderr


def test_every_fragment_is_on_a_page() -> None:
    shown = Shown()
    for page in sorted(SITE.rglob("index.html")):
        shown.feed(page.read_text(encoding="utf-8"))
    assert [part for part in FRAGMENTS if not any(part in program.code for program in shown.programs)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_downloaded_notebook_runs(path: Path, tmp_path: Path) -> None:
    """Alone in a folder; what it draws and prints comes again."""
    notebook = nbformat.read(Path(shutil.copy(path, tmp_path)), 4)
    offered = kinds(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert kinds(notebook) == offered
    assert any(offered)


def kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Whether each cell of code prints, and whether it draws; not what goes to stderr, which an environment decides."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [[output for output in cell.outputs if output.get("name") != "stderr"] for cell in cells]
    return [sorted({kind for output in of_cell for kind in ("text", *output.get("data", ()))}) for of_cell in outputs]


PAGE = """<div class="language-python highlight"><pre><span></span><code>x <span>=</span> 1
</code></pre></div><div class="tabbed-set"><div class="tabbed-block"><div class="language-python highlight"><pre><code>y = x
</code></pre></div></div><div class="tabbed-block"><div class="language-python highlight"><pre><code>print(y)
</code></pre></div></div></div>"""


def test_a_tab_that_needs_another_one_is_seen(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    planted = programs(tmp_path / "index.html")
    assert planted == [(False, "x = 1\n"), (True, "y = x\n"), (True, "print(y)\n")]
    assert run(tmp_path, planted[:2]).returncode == 0
    assert "NameError: name 'y' is not defined" in run(tmp_path, planted).stderr
    assert run(tmp_path, [Program(False, "print(y)\n# raises NameError: name 'y' is not defined\n")]).returncode == 0
