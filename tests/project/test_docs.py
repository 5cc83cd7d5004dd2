"""The README's example prints what it says, and pages say what their examples show."""

import ast
import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pytest
from contract import budget

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """The kind and text of each example."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def missing(code: str) -> list[str]:
    """What a program imports from crosscheck that is not there."""
    wanted = [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "crosscheck"
        for alias in node.names
    ]
    wanted += [
        (alias.name.rpartition(".")[0], alias.name.rpartition(".")[2])
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.startswith("crosscheck.")
    ]
    return [f"{module}.{name}" for module, name in wanted if not is_there(module, name)]


def is_there(module: str, name: str) -> bool:
    """Whether a module has something of this name, which may be a module of its own that nothing has imported yet."""
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        return importlib.util.find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError:  # no module that has others inside
        return False


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda path: path.stem)
def test_what_the_examples_of_a_page_import_is_there(page: Path) -> None:
    """A renamed name is seen here in seconds, not when all pages are made."""
    examples = re.findall(r'^```python exec="true".*?\n(.*?)^```', page.read_text("utf-8"), re.M | re.S)
    assert missing("\n".join(examples)) == []


def test_an_import_of_what_is_not_there_is_seen() -> None:
    assert missing("from crosscheck import compare, no_such_name") == ["crosscheck.no_such_name"]
    assert missing("from crosscheck import pytest_plugin") == []
    assert missing("from crosscheck.pytest_plugin import no_such_name") == ["crosscheck.pytest_plugin.no_such_name"]
    assert missing("import crosscheck.pytest_plugin, crosscheck.no_such_module") == ["crosscheck.no_such_module"]


TABLES = importlib.import_module("crosscheck._explain.tables")


def test_the_tables_that_a_page_names_are_there() -> None:
    page = (ROOT / "docs/contributing/explanation.md").read_text("utf-8")
    named = re.findall(r"`([A-Z_]+)`", page)
    assert "UNARY" in named
    assert [name for name in named if not hasattr(TABLES, name)] == []


def test_the_words_for_an_argument_are_not_its_name() -> None:
    assert [name for name, words in TABLES.ROLES.items() if words == name] == []


def run(text: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "example", "exec"), names)
    return printed.getvalue()


@pytest.mark.full
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


@pytest.mark.full
def test_the_readme_is_short_and_its_example_prints_what_it_says() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 80
    (_, example), (_, shown) = blocks("README.md")
    assert run(example, {}) == shown
    assert shown.startswith("DISAGREE (inaccurate): the JAX function loses digits")


@pytest.mark.full
def test_the_changelog_of_the_first_release_says_what_it_does() -> None:
    """What was wrong before anybody got it is no news."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    (release,) = re.findall(r"^## 0\.1\.0.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(release.splitlines()) <= 60
    assert "no longer" not in release


PROMISE = (
    "At every input that was tried, the error of crosscheck's own implementations is at most 4 ULP in the value, 5 in the "
    "gradient, 10 in the second derivative, and 1 in 16-bit dtypes. Where the terms of a derivative cancel, the ULP is that "
    "of the sum of the magnitudes of its terms. Where the terms of a row's logsumexp or logmeanexp cancel to less than one "
    "ULP of them, the ULP is that of this ULP. Subnormals may be flushed to zero where the framework's backend does so."
)


@pytest.mark.full
def test_the_promise_is_the_budget_and_home_has_the_readme_s() -> None:
    assert f"\n{PROMISE}\n" in (ROOT / "README.md").read_text("utf-8")
    assert '--8<-- "README.md:promise"' in (ROOT / "docs/index.md").read_text("utf-8")
    numbers = [budget(dtype, order) for dtype, order in (("float32", 0), ("float64", 1), ("float32", 2), ("bfloat16", 1))]
    assert numbers == list(map(int, re.findall(r"\b(\d+) (?:ULP|in)\b", PROMISE)))


@pytest.mark.full
def test_a_page_that_says_something_else_is_seen() -> None:
    assert run("print(1 + 1)", {}) != "3\n"
