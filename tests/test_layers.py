"""The import direction of the design: nothing to the left imports anything to its right."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crosscheck

PACKAGE = Path(crosscheck.__file__).parent

MAY_IMPORT = {
    "_spec": set(),
    "_activations": {"_spec"},
    "_numerics": set(),
    "_exact": {"_spec", "_numerics"},
    "_backends": {"_spec", "_numerics"},
    "_lift": {"_spec", "_numerics", "_backends"},
    "_compare": {"_spec", "_numerics", "_exact", "_backends"},
    "_atlas": {"_spec", "_numerics", "_exact", "_backends", "_compare"},
    "_pair": {"_spec", "_numerics", "_exact", "_backends", "_lift", "_compare"},
    "_sweep": {"_spec", "_numerics", "_exact", "_backends", "_compare"},
    "_arrays": {"_spec", "_numerics"},
    "_perceptron": {"_spec", "_activations", "_numerics", "_exact", "_backends"},
    "_report": {"_spec", "_numerics", "_compare", "_atlas", "_sweep", "_arrays", "_perceptron"},
}
"""Which other parts of crosscheck each part may import; those left out may import anything."""

THIRD_PARTY = {"_numerics": {"numpy", "ml_dtypes"}}
"""The only distributions that a part may import, besides the standard library."""


def imported(source: str, module: str, *, package: bool = False) -> Iterator[str]:
    """The dotted names that a module imports, wherever it does so, the relative ones and importlib's made absolute."""
    parents = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = parents[: len(parents) + 1 - node.level] if node.level else []
            home = ".".join([*origin, *([node.module] if node.module else [])])
            yield from (f"{home}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith(("import_module", "__import__")):
            name = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def violations(source: str, module: str, *, package: bool = False) -> list[str]:
    """What a module imports and may not."""
    part = module.split(".")[1] if "." in module else ""
    if part not in MAY_IMPORT:
        return []
    found = []
    for name in imported(source, module, package=package):
        top, _, rest = name.partition(".")
        if top == "crosscheck":
            if rest.split(".")[0] not in MAY_IMPORT[part] | {part}:
                found.append(name)
        elif part in THIRD_PARTY and top not in THIRD_PARTY[part] | sys.stdlib_module_names:
            found.append(name)
    return found


def modules() -> dict[str, Path]:
    paths = {path.relative_to(PACKAGE.parent).with_suffix(""): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


@pytest.mark.parametrize("module", modules())
def test_imports_follow_the_flow(module: str) -> None:
    path = modules()[module]
    assert violations(path.read_text(encoding="utf-8"), module, package=path.name == "__init__.py") == []


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_every_part_has_modules_and_imports_that_are_seen(part: str) -> None:
    names = [name for name in modules() if name.split(".")[1:2] == [part]]
    assert len(names) > 1
    assert any(list(imported(modules()[name].read_text(encoding="utf-8"), name)) for name in names)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("crosscheck._spec.records", "import crosscheck"),
        ("crosscheck._spec.records", "from crosscheck import verify"),
        ("crosscheck._spec.records", "from crosscheck._catalogue import activations"),
        ("crosscheck._spec.records", "from .._numerics import ulp"),
        ("crosscheck._spec.records", "from .. import _numerics"),
        ("crosscheck._activations.relu", "def f():\n    import crosscheck._numerics.ulp"),
        ("crosscheck._activations.relu", "if TYPE_CHECKING:\n    from crosscheck._compare.records import Point"),
        ("crosscheck._numerics.ulp", "from crosscheck._spec.records import Activation"),
        ("crosscheck._numerics.ulp", "import torch"),
        ("crosscheck._numerics.ulp", "from jax import numpy"),
        ("crosscheck._numerics.ulp", "import os.path, scipy.special"),
        ("crosscheck._exact.evaluate", "from crosscheck._backends import backend"),
        ("crosscheck._backends.base", "from crosscheck._exact.truth import Truth"),
        ("crosscheck._compare.causes", "from crosscheck._report.text import layout"),
        ("crosscheck._compare.causes", "importlib.import_module('crosscheck._api')"),
        ("crosscheck._compare.causes", "import_module(f'crosscheck._report.{name}')"),
        ("crosscheck._lift.base", "from crosscheck._pair.inputs import Inputs"),
        ("crosscheck._pair.verdict", "from crosscheck._report.pair import PairReport"),
        ("crosscheck._atlas.rows", "from crosscheck._report.explain import Disagreement"),
        ("crosscheck._compare.verify", "from crosscheck._atlas.records import AtlasRow"),
        ("crosscheck._perceptron.agreement", "from crosscheck._report.perceptron import layout"),
        ("crosscheck._perceptron.agreement", "from crosscheck._compare.records import Point"),
        ("crosscheck._sweep.piece", "from crosscheck._report.sweep import SweepReport"),
        ("crosscheck._report.text", "from crosscheck._exact.truth import Truth"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


def test_a_planted_violation_in_a_package_is_found() -> None:
    assert violations("from .. import _compare", "crosscheck._spec", package=True) == ["crosscheck._compare"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("crosscheck._spec.records", "from . import interface\nfrom .interface import JaxInterface"),
        ("crosscheck._spec.interface", "importlib.import_module(f'crosscheck._spec.{name}_rules')"),
        ("crosscheck._numerics.ulp", "import math, numpy as np\nfrom ml_dtypes import bfloat16"),
        (
            "crosscheck._compare.verify",
            "from crosscheck._exact.evaluate import truth\nfrom crosscheck import _backends",
        ),
        ("crosscheck.cli", "from crosscheck._report.text import layout\nfrom crosscheck import _api"),
    ],
)
def test_what_the_flow_allows_is_allowed(module: str, source: str) -> None:
    assert violations(source, module) == []
