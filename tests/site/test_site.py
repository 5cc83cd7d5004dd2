"""The documentation as it is rendered: what it must refuse, planted in a small site with the same plugins and hooks."""

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
import yaml
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parent.parent.parent
HOOKS = ROOT / "docs" / "_hooks"
CONFIGURATION = ROOT / "mkdocs.yml"
VALUE = "%matplotlib inline\nfrom matplotlib.figure import Figure\none = Figure()\n_ = one.subplots()\none"
PIXEL = "from PIL import Image\nfrom IPython.display import display\ndisplay(Image.new('1', (1, 1)))"

sys.path.append(str(HOOKS))

import glossary  # noqa: E402
import links  # noqa: E402
import made  # noqa: E402
import maths  # noqa: E402
import metadata  # noqa: E402
import outputs  # noqa: E402
import repository  # noqa: E402
import tables  # noqa: E402

Build = Callable[..., str]


class FailedError(Exception):
    """A site that was not built, with what was said of it."""


def configuration() -> dict[str, Any]:
    """The real site's, but for what is an object of Python."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("", lambda *_: None)  # type: ignore[attr-defined]
    return dict(yaml.load(CONFIGURATION.read_text("utf-8"), loader))


def plugin() -> dict[str, Any]:
    """The options of mkdocs-jupyter in the real site."""
    (options,) = [entry["mkdocs-jupyter"] for entry in configuration()["plugins"] if "mkdocs-jupyter" in entry]
    return dict(options)


def notebook(*cells: str, **metadata: Any) -> str:
    """A notebook: cells that start with a # and a space are Markdown; ``metadata`` is that of the last cell."""
    made = nbformat.v4.new_notebook()
    for cell in cells:
        new = nbformat.v4.new_markdown_cell if cell.startswith("# ") else nbformat.v4.new_code_cell
        made.cells.append(new(cell))
    made.cells[-1].metadata.update(metadata)
    return nbformat.writes(made)


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Makes and renders a site strictly, from pages by name, as ``nox -s docs`` does it; gives the page of the first one."""
    config = {
        "site_name": "small",
        "site_description": "A small site.",
        "theme": {"name": None, "custom_dir": "theme"},
        "plugins": [{"mkdocs-jupyter": plugin() | {"custom_template": str(ROOT / plugin()["custom_template"])}}],
        "repo_url": "!REPO_URL",
        "hooks": [str(ROOT / hook) for hook in configuration()["hooks"]],
        "markdown_extensions": [
            *("abbr", "attr_list", "md_in_html", "pymdownx.details", "pymdownx.superfences"),
            {"pymdownx.arithmatex": {"generic": True}},
        ],
        "nav": [{"Home": "index.md"}, {"Learn": ["tutorials/index.md"]}, "glossary.md"],
        "validation": configuration()["validation"],
    }
    # JSON is YAML, but for the environment variable.
    text = json.dumps(config).replace(
        '"!REPO_URL"', str(re.findall("!ENV .*REPO_URL.*?]", CONFIGURATION.read_text("utf-8"))[0])
    )
    (tmp_path / "mkdocs.yml").write_text(text)
    (tmp_path / "theme").mkdir()
    (tmp_path / "theme" / "main.html").write_text(
        "<!doctype html><title>small</title>{{ page.edit_url or '' }}{{ page.content }}"
    )
    (tmp_path / "docs" / "tutorials").mkdir(parents=True)

    def run(make: bool = True, **pages: str) -> str:
        content = {"index.md": "# Home", "tutorials/index.md": "# Tutorials", "tutorials/zero.ipynb": notebook("# Zero")}
        content["glossary.md"] = "# Glossary"
        named = {name.replace("__", "/").replace("_", "."): text for name, text in pages.items()}
        for name, text in (content | named).items():
            (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
        folders = ["--docs", str(tmp_path / "docs"), "--made", str(tmp_path / "build" / "docs")]
        commands = [[sys.executable, "-m", "mkdocs", "build", "--strict"]]
        if make:
            commands.insert(0, [sys.executable, str(ROOT / "docs" / "_make"), "notebooks", "examples", *folders])
        for command in commands:
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
            if done.returncode:
                raise FailedError(done.stdout + done.stderr)
        first = next(iter(named), "index.md").removesuffix(".md").removesuffix(".ipynb")
        return (tmp_path / "site" / first.replace("index", "") / "index.html").read_text("utf-8")

    return run


def test_no_framework_is_there_to_be_imported() -> None:
    assert not any(map(importlib.util.find_spec, ("torch", "jax", "jaxlib")))


def test_the_notebooks_are_rendered_by_mkdocs_jupyter_which_runs_nothing_and_remembers_nothing() -> None:
    assert plugin()["include"] == ["*.ipynb"]
    assert not any(plugin()[name] for name in ("execute", "allow_errors", "cache"))


def test_a_notebook_is_executed_and_can_be_downloaded_so(build: Build, tmp_path: Path) -> None:
    page = build(tutorials__one_ipynb=notebook("# One\n\n$x^2 < 1$", "print('<b> & &lt;', 6 * 7)"))
    assert "&lt;b&gt; &amp; &amp;lt; 42\n" in page
    assert "<msup>" in page
    assert "<mo>&lt;</mo>" in page or "<mo>&#x0003C;</mo>" in page
    assert 'href="one.ipynb"' in page
    executed = nbformat.read(tmp_path / "site" / "tutorials" / "one" / "one.ipynb", 4)
    assert executed.cells[1].outputs[0].text == "<b> & &lt; 42\n"


def test_a_page_is_the_notebook_alone(build: Build) -> None:
    """No style sheet of JupyterLab, and no script."""
    page = build(tutorials__one_ipynb=notebook("# One", "print(1)"))
    assert not re.search("<style|<script|jp-|https?:", page)


def test_a_solution_is_folded_away_with_its_output(build: Build) -> None:
    page = build(tutorials__one_ipynb=notebook("# One", "print('\\x1b[31m42\\x1b[0m')", tags=["solution"]))
    (folded,) = re.findall(r'<details class="success">.*?</details>', page, re.DOTALL)
    assert "\n42\n" in re.sub("<[^>]+>", "\n", folded)


def test_a_picture_says_what_it_shows(build: Build) -> None:
    page = build(tutorials__one_ipynb=notebook("# One", PIXEL, alt="one & only"))
    assert re.search(r'<img alt="one &amp; only"[^>]* src="data:image/png;base64,', page)


def test_a_figure_that_is_the_value_of_a_cell_is_shown_as_one_that_is_displayed(build: Build) -> None:
    page = build(tutorials__one_ipynb=notebook("# One", VALUE, alt="one & only"))
    assert re.search(r'<img alt="one &amp; only"[^>]* src="data:image/png;base64,', page)


def test_an_output_that_is_too_wide_is_refused_and_code_is_not(build: Build) -> None:
    (wide,) = outputs.OUTPUT.findall(f'<div class="language-text highlight"><pre><b>{"x" * 90}</b></pre></div>')
    for html, refused in ((wide, True), (wide.replace("x" * 90, "x" * 85), False), (wide.replace("text", "python"), False)):
        with pytest.raises(PluginError, match="has 90 characters") if refused else contextlib.nullcontext():
            outputs.on_page_content(html, SimpleNamespace(file=SimpleNamespace(src_uri="one.md")))


def test_a_long_output_is_refused_unless_it_is_folded_away() -> None:
    lines = "line\n" * 200
    html = f'<div class="language-text highlight"><pre>{lines}</pre></div>'
    page = SimpleNamespace(file=SimpleNamespace(src_uri="one.md"))
    with pytest.raises(PluginError, match="an output has 200 lines"):
        outputs.on_page_content(f"<details><p>x</p></details>{html}", page)
    outputs.on_page_content(f"<details>{html}</details>", page)


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ({"tutorials__one_ipynb": notebook("# One", "1 / 0")}, "ZeroDivisionError"),
        ({"tutorials__one_ipynb": notebook("print(1)")}, "has no title"),
        ({"tutorials__one_ipynb": notebook("# One", PIXEL)}, "a picture without a description"),
        ({"tutorials__one_ipynb": notebook("# One\n\n[there](../missing.md)")}, "missing.md"),
        ({"tutorials__one_ipynb": notebook("# One\n\n[there](../index.md#missing)")}, "#missing"),
        ({"tutorials__one_ipynb": notebook("# One\n\n![it](missing.png)")}, "missing.png"),
        ({"tutorials__one_ipynb": notebook("# One\n\n$\\nosuchcommand{x}$")}, "does not know a command"),
        ({"index_md": '# Home\n\n```python exec="true"\n1 / 0\n```'}, "an example raised ZeroDivisionError"),
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
    with pytest.raises(FailedError, match=re.escape(said)):
        build(**pages)


def test_what_was_not_made_is_said_with_how_to_make_it(build: Build) -> None:
    build()
    for pages, said in (
        ({"tutorials__zero_ipynb": notebook("# Zero", "2")}, "tutorials/zero.ipynb was changed after"),
        ({"index_md": '# Home\n\n```python exec="true"\nprint(1)\n```'}, "this example is new or was changed"),
        ({"tutorials__one_ipynb": notebook("# One")}, "tutorials/one.ipynb was not executed"),
    ):
        with pytest.raises(FailedError, match=re.escape(said)) as caught:
            build(make=False, **pages)
        assert "nox -s make" in str(caught.value)


def test_prose_is_edited_without_making_anything(build: Build) -> None:
    example = '```python exec="true" source="above" result="text"\nprint(6 * 7)\n```'
    build(index_md=f"# Home\n\n{example}")
    page = build(make=False, index_md=f"# Home\n\nOther words.\n\n{example}")
    assert "Other words." in page
    assert ">42\n" in page


def test_a_page_with_results_says_with_what_they_were_computed_and_another_does_not(build: Build, tmp_path: Path) -> None:
    assert "made-with" not in build()
    page = build(index_md='# Home\n\n```python exec="true"\nprint(6 * 7)\n```')
    assert re.search(r'<p class="made-with small">Computed with cpu, .*Python 3\.\d+\.\d+, on \d+ \w+ 20\d\d\.</p>', page)
    assert "made-with" in (tmp_path / "site" / "tutorials" / "zero" / "index.html").read_text("utf-8")


def test_programs_find_every_page_with_what_it_is_about(build: Build, tmp_path: Path) -> None:
    build(
        index_md='# Home\n\nThe "first" page, on `assert_agree`.',
        tutorials__index_md="---\ndescription: What to learn.\n---\n\n# Tutorials\n\nNot this.",
        tutorials__one_ipynb=notebook("# One\n\nHow it is."),
    )
    text = (tmp_path / "site" / "llms.txt").read_text("utf-8")
    assert text.startswith("# small\n")
    assert '- [Home](index.html): The "first" page, on assert_agree.\n' in text
    assert "- [Tutorials](tutorials/): What to learn.\n" in text
    assert "- [One](tutorials/one/): How it is.\n" in text


def test_a_page_leads_to_its_source_where_the_repository_is_known(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install = "# Home\n\nInstall git+URL-OF-THE-REPOSITORY."
    monkeypatch.delenv("REPO_URL", raising=False)
    page = build(index_md=install)
    assert "github.com" not in page
    assert "git+URL-OF-THE-REPOSITORY." in page
    monkeypatch.setenv("REPO_URL", "https://github.com/owner/name")
    page = build(make=False, index_md=install)
    assert "https://github.com/owner/name/edit/main/docs/index.md" in page
    assert "git+https://github.com/owner/name." in page
    notebook = (tmp_path / "site" / "tutorials" / "zero" / "index.html").read_text("utf-8")
    assert "https://github.com/owner/name/edit/main/docs/tutorials/zero.ipynb" in notebook
    assert 'href="https://colab.research.google.com/github/owner/name/blob/main/docs/tutorials/zero.ipynb"' in notebook


@pytest.fixture
def themed(tmp_path: Path) -> Callable[..., str]:
    """Renders a small site with the real configuration and theme; gives the page of a notebook."""
    (tmp_path / "docs" / "tutorials").mkdir(parents=True)
    for name in ("_hooks", "_overrides", "assets"):
        (tmp_path / "docs" / name).symlink_to(ROOT / "docs" / name)
    for name, text in (("index.md", "# Home"), ("glossary.md", "# Glossary"), ("tutorials/one.ipynb", notebook("# One"))):
        (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
    nav = "[{Home: index.md}, glossary.md, {Learn: [tutorials/one.ipynb]}]"
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {CONFIGURATION}\nnav: {nav}\n", encoding="utf-8")
    (tmp_path / "README.md").touch()
    folders = ["--docs", str(tmp_path / "docs"), "--made", str(tmp_path / "build" / "docs")]

    def run(**environment: str) -> str:
        for command in (
            [sys.executable, str(ROOT / "docs" / "_make"), "notebooks", *folders],
            [sys.executable, "-m", "mkdocs", "build", "--strict"],
        ):
            done = subprocess.run(
                command, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        return (tmp_path / "site" / "tutorials" / "one" / "index.html").read_text("utf-8")

    return run


def test_the_real_theme_shows_the_repository_edit_links_colab_and_the_choice_of_versions(themed: Callable[..., str]) -> None:
    page = themed(REPO_URL="https://github.com/owner/name", DOCS_VERSIONS="mike")
    links = re.findall(r'<a\b[^>]*href="([^"]+)"[^>]*>', page)
    assert "https://github.com/owner/name" in links  # in the header
    (edit,) = re.findall(r'<a href="([^"]+)" title="Edit this page"', page)
    assert edit == "https://github.com/owner/name/edit/main/docs/tutorials/one.ipynb"
    assert "https://colab.research.google.com/github/owner/name/blob/main/docs/tutorials/one.ipynb" in links
    assert "%pip install" in page
    (settings,) = re.findall(r'<script id="__config" type="application/json">(.*?)</script>', page)
    assert json.loads(settings)["version"] == {"provider": "mike"}
    assert not re.search('<(?:script|img|link)[^>]* (?:src|href)="https?:', page)


def test_without_an_address_no_page_leads_to_a_repository(themed: Callable[..., str]) -> None:
    page = themed(REPO_URL="", DOCS_VERSIONS="")
    assert not re.search("github|colab|Edit this page", page)


@pytest.mark.parametrize(
    "place",
    [
        *("tutorials/1-gradients.ipynb", "activations/index.md", "activations/gelu.md", "disagreements.md"),
        *("dictionary/index.md", "reference/api.md"),
    ],
)
def test_the_source_of_a_made_page_is_there(place: str) -> None:
    assert (ROOT / repository.source_of(place)).exists()
    assert repository.source_of(place)


def test_a_page_that_is_its_own_source_has_no_other() -> None:
    assert {repository.source_of(place) for place in ("index.md", "tutorials/index.md", "reference/cli.md")} == {""}


def test_each_cell_of_a_wide_table_knows_its_head_and_of_a_narrow_one_not() -> None:
    wide = "<table>\n<thead><tr><th>a</th><th style='text-align: right'><code>b</code></th><th>c</th></tr></thead>"
    wide += '<tbody><tr><td>1</td><td style="text-align: right">2</td><td>3</td></tr></tbody></table>'
    made = tables.on_page_content(f"<p>x</p>{wide}", page=None)
    assert re.findall(r'<td data-label="(\w)"[^>]*>(\d)', made) == [("a", "1"), ("b", "2"), ("c", "3")]
    assert "<table data-cards>" in made
    narrow = wide.replace("<th>c</th>", "")
    assert tables.on_page_content(narrow, page=None) == narrow


GLOSSARY = """# Glossary

**ULP**
:   The `unit` in the [last](index.md) place. More of it.

**kink, kinks**
:   A corner
    of it.
"""


def test_a_word_is_explained_where_it_stands_first(build: Build) -> None:
    page = build(index_md="# ULP\n\nAn ULP, two ULP, `ULP`, kinks.", glossary_md=GLOSSARY)
    assert page.count("<abbr") == 2
    assert 'An <abbr title="The unit in the last place.">ULP</abbr>, two ULP' in page
    assert '<abbr title="A corner of it.">kinks</abbr>' in page


def test_a_word_inside_another_term_is_not_explained(build: Build) -> None:
    """A standard deviation is no deviation of a framework."""
    entries = re.sub(r"\]\(.*?\)", "]", (ROOT / "docs" / "glossary.md").read_text("utf-8"))
    page = build(index_md="# Home\n\nThe standard deviation, and a deviation.", glossary_md=entries)
    assert re.findall(r'<abbr title="(\w+ \w+)[^"]*">([\w ]+)</abbr>', page) == [
        ("The square", "standard deviation"),
        ("A known", "deviation"),
    ]


def test_every_entry_of_the_glossary_is_read() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    known = glossary.words(text)
    assert {"ULP", "kink", "binade", "enclosure", "VJP"} <= set(known)
    assert text.count("\n:   ") == len(glossary.ENTRY.findall(text))
    assert all(meaning.endswith(".") and len(meaning) < 200 for meaning in known.values())


@pytest.mark.parametrize(
    ("markdown", "said"),
    [
        ("# Title\n\nOf `silu` and [**gelu**](gelu.md):\none line.\n\nMore.", "Of silu and gelu: one line."),
        (
            "# Title\n\n`assert_agree`, `_repr_`, assert_agree and *it* or _it_.",
            "assert_agree, _repr_, assert_agree and it or it.",
        ),
        ("# Title\n\n| a | b |\n\n```python\nx\n```\n\n<div>\n</div>\n\nAfter them.", "After them."),
        ("# Title\n\n" + "A sentence of words. " * 20, " ".join(["A sentence of words."] * 9)),
        ("# Title", ""),
    ],
)
def test_a_page_is_described_by_its_first_paragraph(markdown: str, said: str) -> None:
    assert metadata.described(markdown) == said
    assert len(said) <= metadata.MOST


@pytest.mark.parametrize("loaded", ["<script src='//cdn.example.org/x.js'>", "<link href='http://example.org/x.css'>"])
def test_a_page_that_asks_another_host_is_seen(tmp_path: Path, loaded: str) -> None:
    (tmp_path / "index.html").write_text(loaded)
    assert len(list(links.faults(tmp_path))) == 1


def test_a_site_without_faults_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text("<h1 id='top'>a</h1><a href='..'>up</a><a href='https://example.org'>out</a>")
    (tmp_path / "index.html").write_text("<a href='a/#top'>a</a><img src='data:,'>")
    assert list(links.faults(tmp_path)) == []


def test_a_formula_becomes_mathml() -> None:
    assert "<mfrac>" in maths.mathml(r"\frac{1}{2}", True, "here")
    assert "<mi>max</mi>" in maths.mathml(r"\max(0, x)", False, "here")


def test_the_site_has_a_page_for_each_notebook_and_activation() -> None:
    """Nothing lists them but what was made."""
    nav = {title: pages for section in configuration()["nav"] for title, pages in section.items()}
    for title, pattern in made.SECTIONS.items():
        first, *others = nav[title]
        assert not Path(first).match(pattern) or first.endswith("/index.md")
        assert not [page for page in others if Path(page).match(pattern)]


def test_the_first_row_says_what_a_reader_comes_for() -> None:
    first = [title for section in configuration()["nav"] for title in section]
    assert {"Learn", "Port a model", "Dictionary", "Activations", "Disagreements", "Compare", "Reference"} <= set(first)
    assert len(first) <= 10  # more do not fit beside each other
