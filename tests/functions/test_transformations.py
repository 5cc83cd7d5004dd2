"""No transformation makes another function of crosscheck's own; one that does is caught."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from catalogue import NAMES
from in_both import each_framework
from transformations.records import Way
from transformations.trying import WAYS, tried

import crosscheck

pytestmark = pytest.mark.full

TESTS = Path(__file__).parents[1]
KEPT = TESTS.parent / "results" / "robustness" / "transformations.json"
ALONE = [way for way in WAYS if "4 devices" not in way.name and "shard_map" not in way.name]
"""The ways that need no more than one device."""


def test_no_way_changes_silu_and_softmax() -> None:
    assert [outcome for outcome in tried(["silu", "softmax"], ALONE) if not outcome.passed] == []


@pytest.fixture(scope="module")
def kept() -> list[dict[str, Any]]:
    outcomes: list[dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8"))["outcomes"]
    return outcomes


def test_what_is_kept_has_every_function_under_every_way_and_all_passed(kept: list[dict[str, Any]]) -> None:
    there = [(outcome["function"], outcome["framework"], outcome["way"]) for outcome in kept]
    assert there == [(name, way.framework, way.name) for name in NAMES for way in WAYS]
    assert [outcome for outcome in kept if not outcome["passed"]] == []


def test_the_command_tries_four_devices(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    command = [sys.executable, "-m", "transformations", "logsumexp", "--json", str(path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shard_map over 4 devices" in done.stdout
    assert len(json.loads(path.read_text())["outcomes"]) == len(WAYS)


def way(framework: str, name: str) -> Way:
    (chosen,) = (candidate for candidate in WAYS if (candidate.framework, candidate.name) == (framework, name))
    return chosen


def failing(framework: str, name: str, function: Callable[[Any], Any]) -> bool:
    (outcome,) = tried(["tanh"], [way(framework, name)], {framework: function})
    return not outcome.passed


def under_vmap(x: Any) -> Any:
    return jnp.tanh(x) * (1.01 if "Batch" in type(x).__name__ else 1.0)


def traced(x: Any) -> Any:
    return jnp.tanh(x) * (1.01 if isinstance(x, jax.core.Tracer) else 1.0)


def under_inference(x: Any) -> Any:
    return x.tanh() * (1.01 if torch.is_inference_mode_enabled() else 1.0)


def under_autocast(x: Any) -> Any:
    return (x @ torch.eye(x.shape[-1], dtype=x.dtype)).tanh()


def in_another_thread() -> Callable[[Any], Any]:
    """A function that is right in the thread that made it alone."""
    home = threading.get_ident()
    return lambda x: x.tanh() * (1.01 if threading.get_ident() != home else 1.0)


@pytest.mark.parametrize(
    ("framework", "name", "function"),
    [
        ("jax", "vmap", under_vmap),
        ("jax", "jit", traced),
        ("jax", "lax.scan", traced),
        ("jax", "pickle", lambda x: jnp.tanh(x)),  # noqa: PLW0108 (what cannot be pickled)
        ("torch", "inference_mode", under_inference),
        ("torch", "autocast to bfloat16", under_autocast),
        ("torch", "four threads with copies of a module", in_another_thread()),
        ("torch", "func.grad", lambda x: x.detach().tanh()),
    ],
)
def test_a_function_that_another_way_makes_of_it_is_caught(
    framework: str, name: str, function: Callable[[Any], Any]
) -> None:
    assert failing(framework, name, function)


@each_framework
def test_a_right_function_of_the_frameworks_passes(framework: str) -> None:
    native = getattr(crosscheck.activations["relu"], framework).native
    names = {"torch": ("func.vmap", "torch.export"), "jax": ("jit", "lax.scan")}[framework]
    ways = [way(framework, name) for name in names]
    assert all(outcome.passed for outcome in tried(["relu"], ways, {framework: native}))
