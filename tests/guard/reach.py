"""Which cases a change can reach: by what a module imports, and by the public functions that a case called on record."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
VERBS = (
    "compare",
    "compare_arrays",
    "compare_models",
    "compare_optimizers",
    "compare_training",
    "perceptron",
    "sweep",
    "verify",
)
"""The public functions of whose calls a row keeps a record."""
EVERY = ("pyproject.toml", "noxfile.py")
"""Files on which every case depends."""


def changed_since(revision: str) -> list[Path]:
    """The files that differ from a revision of git, new ones too."""
    asked = (["diff", "--name-only", revision], ["ls-files", "--others", "--exclude-standard"])
    found = [subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout for words in asked]
    return [ROOT / line for text in found for line in text.splitlines()]


def reached(changed: Iterable[Path], module: str, calls: Iterable[str]) -> bool:
    """Whether a change reaches a case of a module of the tests, of which it is known what it calls.

    What it calls are public functions, or commands such as ``crosscheck diff``. Nothing is known if it calls none; then it
    may call whatever the module can.
    """
    homes = [module, *(_public().get(call, "crosscheck.__main__") for call in calls)]
    known = frozenset(VERBS) if len(homes) > 1 else frozenset()
    files = _closure(tuple(sorted({file for home in homes if (file := _file(home))})), known)
    folders = {file.parent for file in files}
    return any(
        path in files or path.name in EVERY or (path.suffix != ".py" and _package(path) in folders) for path in changed
    )


def _package(path: Path) -> Path:
    """The folder of modules that a file of data lies in or under."""
    return next((folder for folder in path.parents if (folder / "__init__.py").exists()), ROOT)


@cache
def _closure(starts: tuple[Path, ...], known: frozenset[str]) -> frozenset[Path]:
    """The files of these modules, and of all that they import, directly or not; but for public functions that are known."""
    found: set[Path] = set()
    left = list(starts)
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += _imports(file, known)
    return frozenset(found)


@cache
def _imports(file: Path, known: frozenset[str]) -> tuple[Path, ...]:
    text = file.read_text(encoding="utf-8")
    files = [found for name in _named(ast.parse(text), known) for found in _with_packages(name)]
    if ("import_module(" in text or "iter_modules(" in text) and file.parent != TESTS:
        files += file.parent.glob("*.py")  # it finds the modules beside it by itself
    return tuple(dict.fromkeys(files))


def _named(program: ast.AST, known: frozenset[str]) -> Iterator[str]:
    """The modules and names that a program imports, those that a public name of crosscheck stands for, and in strings."""
    for node in _running(program):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module == "crosscheck":
                yield from (_public().get(alias.name, "") for alias in node.names if alias.name not in known)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "crosscheck":
            yield "" if node.attr in known else _public().get(node.attr, "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("crosscheck."):
            yield node.value


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a program, but for imports that only the types need."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _running(child)


def _with_packages(name: str) -> Iterator[Path]:
    """The file of a module or of the module that has the name, and those of its packages."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        if file := _file(".".join(parts[:length])):
            yield file


@cache
def _file(name: str) -> Path | None:
    if not name:
        return None
    folder = ROOT if name.partition(".")[0] == "crosscheck" else TESTS
    path = folder.joinpath(*name.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()), None)


@cache
def _public() -> dict[str, str]:
    """The module of each public name."""
    stub = ast.parse((ROOT / "crosscheck" / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: f"crosscheck.{node.module}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
