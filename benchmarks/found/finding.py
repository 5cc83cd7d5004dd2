"""A bug in public code that crosscheck found: compare, mend it in memory, compare again, and keep what both comparisons say.

Each script of this folder is one finding: ``python benchmarks/found/NAME.py --json results/found/NAME.json``, with
``--clone FOLDER`` where the code is no distribution of the package index, but a clone of a public repository.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

import crosscheck


class Sides(NamedTuple):
    """A tiny original with random weights and its port with the same, and their inputs, as ``compare_models`` takes them."""

    torch: torch.nn.Module
    jax: Any
    inputs: list[Any]
    params: Any = None
    torch_to_jax: Callable[[Sequence[Any]], Any] | None = None


@dataclass(frozen=True)
class OwnTest:
    """The tolerance with which the project tests its port, and the file where it stands."""

    rtol: float
    atol: float
    source: str


@dataclass(frozen=True)
class Finding:
    """A bug, its place, and what proves it."""

    name: str
    project: str
    """``owner/name`` on GitHub, or the distribution."""
    version: str
    """The commit, or the version of the distribution."""
    file: str
    line: int
    what: str
    """What the port computes, and what the original does: one plain sentence."""
    sides: Callable[[], Sides]
    mended: Callable[[], AbstractContextManager[Any]]
    """While it is entered, the bug is mended in memory, and nothing else is changed."""
    distributions: tuple[str, ...] = ()
    """Those whose versions matter, besides torch and jax."""
    own_test: OwnTest | None = None
    order: int = 1
    raises: type[Exception] | None = None
    """What the port raises until it is mended, where it does: there is nothing to compare before."""


def main(finding: Finding) -> int:
    """Judge the port as it is and mended; exits with 1 unless it is wrong, or raises, before and is certified after."""
    parser = argparse.ArgumentParser(description=finding.what)
    parser.add_argument("--clone", type=Path, help=f"a clone of {finding.project} at {finding.version}")
    parser.add_argument("--json", type=Path, help="write what was found there")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.clone and not asked.clone.is_dir():
        parser.error(f"--clone: {asked.clone} is no folder; expected a clone of {finding.project} at {finding.version}")
    if asked.json and not asked.json.parent.is_dir():
        parser.error(f"--json: the folder {asked.json.parent} does not exist; make it first")
    if asked.clone:
        sys.path.insert(0, str(asked.clone))
    before, raised, difference, accepted = None, None, None, None
    try:
        sides = finding.sides()
        before, (difference, accepted) = _compared(sides, finding.order), _own(sides, finding.own_test)
    except ModuleNotFoundError as error:
        also = f", and {' and '.join(finding.distributions)}" if finding.distributions else ""
        parser.error(
            f"there is no module {error.name}; expected {finding.project} {finding.version}, installed or by --clone{also}"
        )
    except Exception as error:
        if finding.raises is None or not isinstance(error, finding.raises):
            raise
        raised = f"{type(error).__name__}: {error}"
    with finding.mended():
        sides = finding.sides()
        after, (left, _) = _compared(sides, finding.order), _own(sides, finding.own_test)
    first = before and before.first
    row = {
        "schema": "crosscheck.found/1",
        "name": finding.name,
        "project": finding.project,
        "version": finding.version,
        "file": finding.file,
        "line": finding.line,
        "what": finding.what,
        "versions": {name: version(name) for name in sorted({*finding.distributions, "torch", "jax"})},
        "before": before and before.headline,
        "raises": raised,
        "first": first and {"torch": first.torch, "source": first.source, "explanation": first.explanation},
        "faults": before and len(before.faults),
        "after": after.headline,
        "certified": after.passed,
        "difference": difference,
        "difference when mended": left,
        "own test": finding.own_test and {**vars(finding.own_test), "accepts it": accepted},
    }
    print(before.story() if before else f"the port raises {raised}")
    print(f"\nmended: {after.headline}\n")
    if before:
        print(f"outputs: {difference:.3g} apart, {left:.3g} when mended")
    if before and finding.own_test:
        verb = "accepts" if accepted else "refuses"
        print(f"the project's own test {verb} it: rtol {finding.own_test.rtol:g}, atol {finding.own_test.atol:g}")
    if asked.json:
        new = asked.json.with_name(f"{asked.json.name}.new")
        new.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
        new.replace(asked.json)
    wrong = not before.passed if before else raised is not None
    return 0 if wrong and after.passed else 1


def _compared(sides: Sides, order: int) -> crosscheck.ModelsReport:
    return crosscheck.compare_models(
        sides.torch, sides.jax, sides.inputs, params=sides.params, torch_to_jax=sides.torch_to_jax, order=order
    )


def _own(sides: Sides, own: OwnTest | None) -> tuple[float, bool]:
    """The largest difference of the outputs, and whether the project's own test accepts it."""
    inputs = [np.asarray(array) for array in sides.inputs]
    given = inputs if sides.torch_to_jax is None else sides.torch_to_jax(inputs)
    arrays = [jnp.asarray(array) for array in given]
    with torch.no_grad():
        torch_outputs = sides.torch(*map(torch.as_tensor, inputs))
    jax_outputs = sides.jax(*arrays) if sides.params is None else sides.jax(sides.params, *arrays)
    pairs = [
        (np.asarray(torch_leaf.detach(), np.float64), np.asarray(jax_leaf, np.float64))
        for torch_leaf, jax_leaf in zip(jax.tree.leaves(torch_outputs), jax.tree.leaves(jax_outputs), strict=True)
    ]
    difference = max(float(np.abs(torch_array - jax_array).max()) for torch_array, jax_array in pairs)
    tolerance = own or OwnTest(0.0, 0.0, "")
    return difference, all(
        np.allclose(jax_array, torch_array, tolerance.rtol, tolerance.atol) for torch_array, jax_array in pairs
    )
