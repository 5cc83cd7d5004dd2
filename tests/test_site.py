"""The documentation's build: what it must refuse, each fault planted in a small site that the same hooks build."""

import copy
import dataclasses
import functools
import json
import operator
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
import yaml
from mkdocs.exceptions import PluginError

import crosscheck

ROOT = Path(__file__).parent.parent
HOOKS = ROOT / "docs" / "_hooks"
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
PIXEL = "from PIL import Image\nfrom IPython.display import display\ndisplay(Image.new('1', (1, 1)))"

sys.path.append(str(HOOKS))

import docstrings  # noqa: E402
import formulas  # noqa: E402
import links  # noqa: E402
import maths  # noqa: E402
import metadata  # noqa: E402
import notebooks  # noqa: E402
import reference  # noqa: E402

Build = Callable[..., subprocess.CompletedProcess[str]]


def notebook(*cells: str) -> str:
    """A notebook: cells that start with a # and a space are Markdown."""
    made = nbformat.v4.new_notebook()
    for cell in cells:
        new = nbformat.v4.new_markdown_cell if cell.startswith("# ") else nbformat.v4.new_code_cell
        made.cells.append(new(cell))
    return nbformat.writes(made)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds a site strictly, from pages by name, as ``nox -s docs`` builds the real one; again in the same folder."""
    config = {
        "site_name": "small",
        "site_description": "A small site.",
        "docs_dir": "docs",
        "theme": {"name": None, "custom_dir": "theme"},
        "plugins": [],
        "hooks": [str(HOOKS / name) for name in ("notebooks.py", "maths.py", "metadata.py", "links.py")],
        "markdown_extensions": ["attr_list", {"pymdownx.arithmatex": {"generic": True}}, "pymdownx.superfences"],
        "nav": [{"Home": "index.md"}, {"Tutorials": ["tutorials/index.md"]}],
        "validation": dict.fromkeys(("omitted_files", "absolute_links", "unrecognized_links", "anchors"), "warn"),
    }
    (tmp_path / "mkdocs.yml").write_text(json.dumps(config))
    (tmp_path / "theme").mkdir()
    (tmp_path / "theme" / "main.html").write_text("<!doctype html><title>small</title>{{ page.content }}")
    (tmp_path / "docs" / "tutorials").mkdir(parents=True)

    def run(**pages: str) -> subprocess.CompletedProcess[str]:
        content = {"index.md": "# Home", "tutorials/index.md": "# Tutorials"}
        content |= {name.replace("__", "/").replace("_", "."): text for name, text in pages.items()}
        for name, text in content.items():
            (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_a_notebook_is_executed_and_can_be_downloaded_so(build: Build, tmp_path: Path) -> None:
    made = build(tutorials__one_ipynb=notebook("# One\n\n$x^2$", "print(6 * 7)"))
    assert made.returncode == 0, made.stderr
    page = (tmp_path / "site" / "tutorials" / "one" / "index.html").read_text("utf-8")
    assert ">42\n" in page
    assert "<msup>" in page
    executed = nbformat.read(tmp_path / "site" / "tutorials" / "one.executed.ipynb", 4)
    assert executed.cells[1].outputs[0].text == "42\n"
    assert not list((tmp_path / "site").rglob("one.ipynb"))


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("# Title\n\nOf `silu` and [**gelu**](gelu.md):\none line.\n\nMore.", "Of silu and gelu: one line."),
        ("# Title\n\n| a | b |\n\n```python\nx\n```\n\n<div>\n</div>\n\nAfter them.", "After them."),
        ("# Title\n\n" + "A sentence of words. " * 20, " ".join(["A sentence of words."] * 9)),
        ("# Title", ""),
    ],
)
def test_a_page_is_described_by_its_first_paragraph(markdown: str, said: str) -> None:
    assert metadata.described(markdown) == said
    assert len(said) <= metadata.MOST


def test_programs_find_every_page_with_what_it_is_about(build: Build, tmp_path: Path) -> None:
    made = build(
        index_md='# Home\n\nThe "first" page.',
        tutorials__index_md="---\ndescription: What to learn.\n---\n\n# Tutorials\n\nNot this.",
    )
    assert made.returncode == 0, made.stderr
    text = (tmp_path / "site" / "llms.txt").read_text("utf-8")
    assert text.startswith("# small\n")
    assert '- [Home](index.html): The "first" page.\n' in text
    assert "- [Tutorials](tutorials/): What to learn.\n" in text


def test_an_edited_package_changes_the_number_that_a_notebook_shows(build: Build, tmp_path: Path) -> None:
    """The notebook is the same, the site is built into the same folder, and nothing remembers the old number."""
    page = notebook("# One", "import measured\nprint('the number is', measured.NUMBER)")
    for number in (31, 57):
        (tmp_path / "measured.py").write_text(f"NUMBER = {number}\n")
        assert build(tutorials__one_ipynb=page).returncode == 0
        assert f"the number is {number}" in (tmp_path / "site" / "tutorials" / "one" / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ({"tutorials__one_ipynb": notebook("# One", "1 / 0")}, "ZeroDivisionError"),
        ({"tutorials__one_ipynb": notebook("print(1)")}, "has no title"),
        ({"tutorials__one_ipynb": notebook("# One", PIXEL)}, "a picture without a description"),
        ({"tutorials__one_ipynb": notebook("# One\n\n[there](../missing.md)")}, "missing.md"),
        ({"tutorials__one_ipynb": notebook("# One\n\n[there](../index.md#missing)")}, "#missing"),
        ({"tutorials__one_ipynb": notebook("# One\n\n![it](missing.png)")}, "missing.png"),
        ({"index_md": "# Home\n\n[there](missing.md)"}, "missing.md"),
        ({"index_md": "# Home\n\n[there](#missing)"}, "#missing"),
        ({"index_md": "# Home\n\n![it](missing.png)"}, "missing.png"),
        ({"index_md": '# Home\n\n<a href="missing/">there</a>'}, "missing/"),
        ({"index_md": '# Home\n\n<img src="https://example.org/it.png">'}, "from another host"),
        ({"index_md": "# Home\n\n$\\nosuchcommand{x}$"}, "does not know a command"),
    ],
    ids=lambda value: value if isinstance(value, str) else "in",
)
def test_a_planted_fault_fails_the_build(build: Build, pages: dict[str, str], said: str) -> None:
    made = build(**pages)
    assert made.returncode != 0
    assert said in made.stdout + made.stderr


@pytest.mark.parametrize("loaded", ["<script src='//cdn.example.org/x.js'>", "<link href='http://example.org/x.css'>"])
def test_a_page_that_asks_another_host_is_seen(tmp_path: Path, loaded: str) -> None:
    (tmp_path / "index.html").write_text(loaded)
    assert len(list(links.faults(tmp_path))) == 1


def test_a_site_without_faults_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text("<h1 id='top'>a</h1><a href='..'>up</a><a href='https://example.org'>out</a>")
    (tmp_path / "index.html").write_text("<a href='a/#top'>a</a><img src='data:,'>")
    assert list(links.faults(tmp_path)) == []


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
        r"^\d\. \[.*?\]\((.*?)\.md\)", (ROOT / "docs/tutorials/index.md").read_text("utf-8"), re.MULTILINE
    )
    assert [path.stem for path in NOTEBOOKS] == introduced
    assert [path.stem.partition("-")[0] for path in NOTEBOOKS] == [str(i + 1) for i in range(len(NOTEBOOKS))]


def test_a_solution_is_folded_away_with_its_output() -> None:
    made = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("stream", text="\x1b[31m42\x1b[0m\n")
    made.cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("print(6 * 7)", outputs=[output])]
    made.cells[1].metadata["tags"] = ["solution"]
    page = str(notebooks.pages("tutorials/one.ipynb", made)["tutorials/one.md"])
    assert '??? success "Solution"' in page
    assert "    ```text\n    42\n    ```" in page


@pytest.mark.parametrize("name", crosscheck.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert reference.documented(name)


def test_an_undocumented_public_name_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(crosscheck._HOME, "DEVICE", "_compare.curves")
    with pytest.raises(PluginError, match="without a docstring: DEVICE"):
        list(reference.api([*crosscheck.__all__, "DEVICE"]))


def test_every_public_name_is_on_the_page() -> None:
    page = "\n".join(reference.api(crosscheck.__all__))
    for name in crosscheck.__all__:
        assert len(re.findall(rf"^::: crosscheck\.\S+\.{name}$", page, re.MULTILINE)) == 1


def test_a_docstring_becomes_markdown() -> None:
    text = "Judge.\n\nwhat, how\n    A name, see :func:`crosscheck.verify`.\nseed\n    A number."
    assert docstrings.markdown(text).split("\n") == [
        *("Judge.", "", "", "`what`, `how`", ":   A name, see `crosscheck.verify`.", "", "`seed`", ":   A number.")
    ]


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("report", ("comparisons", 0, "max_ulp")),
        ("arrays", ("comparisons", 0, "figures", "ulp_max")),
        ("pytest", ("tests", 0, "report", "comparisons", 0, "max_ulp")),
        ("atlas", ("deviations", 0, "results", 0, 0, "ulp")),
        ("atlas-diff", ("changes", 0, "details")),
        ("sweep", ("results", 0, "max_ulp")),
    ],
)
def test_a_real_file_obeys_its_schema_and_another_does_not(layout: str, path: tuple[str | int, ...]) -> None:
    made = reference.example(layout)
    wrong: Any = copy.deepcopy(made)
    *where, last = path
    functools.reduce(operator.getitem, where, wrong)[last] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, reference.schema(layout))
    del made["new" if layout == "atlas-diff" else "summary"]["passed"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, reference.schema(layout))


def test_the_kept_sweeps_obey_their_schema() -> None:
    paths = list((ROOT / "results").glob("*-*.json"))
    assert paths
    for path in paths:
        jsonschema.validate(json.loads(path.read_text()), reference.schema("sweep"))


def test_the_schemas_know_what_is_written_and_nothing_else() -> None:
    comparison = reference.schema("report")["$defs"]["Comparison"]["properties"]
    assert set(comparison) == set(reference.example("report")["comparisons"][0])
    arrays = reference.schema("arrays")["$defs"]["ArrayComparison"]["properties"]
    assert set(arrays) == set(reference.example("arrays")["comparisons"][0])


def test_a_derivative_is_shown_as_differentiated() -> None:
    assert formulas.derivative(crosscheck.activations["sigmoid"]) == r"\frac{e^{- x}}{\left(1 + e^{- x}\right)^{2}}"
    assert formulas.derivative(crosscheck.activations["softmax"]) is None


def test_a_derivative_that_is_not_the_definition_s_fails_the_build() -> None:
    sigmoid = crosscheck.activations["sigmoid"]
    wrong = dataclasses.replace(sigmoid, derivative=lambda m, x: 1.001 * sigmoid.derivative(m, x))
    with pytest.raises(PluginError, match="sigmoid: sympy's derivative"):
        formulas.derivative(wrong)


def test_a_formula_becomes_mathml() -> None:
    assert "<mfrac>" in maths.mathml(r"\frac{1}{2}", True, "here")
    assert "<mi>max</mi>" in maths.mathml(r"\max(0, x)", False, "here")


def test_the_site_has_a_page_for_each_activation() -> None:
    """Nothing lists them but the records."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("", lambda *_: None)  # type: ignore[attr-defined]
    config = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), loader)
    (listed,) = [section["Activations"] for section in config["nav"] if "Activations" in section]
    assert listed == ["activations/index.md"]
