"""Functions of JAX that ``shard_map`` shares among devices are compared as what all of them compute."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import Worded, has_fact, kind_of
from jax import lax
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P
from ports import compared, normal, seeded
from torch import nn

import crosscheck
from crosscheck import Fact, ModelsReport

ONE = Mesh(np.array(jax.devices()[:1]), ("d",))
SPECS = {"0.weight": P("d"), "0.bias": P("d"), "2.weight": P(None, "d"), "2.bias": P()}


def port(mesh: Any, approximate: bool) -> Callable[..., Any]:
    """A layer whose hidden features are shared among the devices."""

    def body(p: dict[str, Any], x: Any) -> Any:
        h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=approximate)
        return lax.psum(h @ p["2.weight"].T, "d") + p["2.bias"]

    return jax.shard_map(body, mesh=mesh, in_specs=(SPECS, P()), out_specs=P())


@pytest.mark.full
@pytest.mark.parametrize("approximate", [False, True])
def test_a_model_in_shard_map_is_compared_on_one_device(approximate: bool) -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)))
    report = compared(model, port(ONE, approximate), normal(6, 4), order=int(not approximate))
    assert report.passed is not approximate, report.story()
    assert [fault.torch for fault in report.faults] == (["1"] if approximate else [])
    assert all(match.torch and match.jax for match in report.weights), report.story()


GELU = Fact("form", "gelu", torch="exact", jax="the tanh form")
KINDS = {"bias": "added once", "missing": "open psum", "gelu": ""}
"""What is said of each mistake: the kind of the place and of the change."""


def kinds(report: ModelsReport) -> list[str]:
    """The kind of what is said of each fault."""
    return [kind_of(fault.explanation) for fault in report.faults]


@pytest.mark.parametrize("wrong", ["", "bias", "missing", "gelu"])
def test_a_model_that_four_devices_share_is_compared_as_one(wrong: str) -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)))

    def body(p: dict[str, Any], x: Any) -> Any:
        h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=wrong == "gelu")
        y = h @ p["2.weight"].T
        if wrong == "bias":
            return lax.psum(y + p["2.bias"], "d")
        return (y if wrong == "missing" else lax.psum(y, "d")) + p["2.bias"]

    mesh = AbstractMesh((4,), ("d",))
    function = jax.shard_map(body, mesh=mesh, in_specs=(SPECS, P()), out_specs=P(), check_vma=wrong != "missing")
    report = compared(model, function, normal(6, 4), order=int(not wrong))
    assert report.passed is (not wrong), report.story()
    assert all(match.layout == "the same" for match in report.weights), report.story()
    assert len(report.faults) == bool(wrong)
    if not wrong:
        said = ["blocks of axis 1 along d", "blocks of axis 1 along d", "a sum over d", "the same along d"]
        assert [layer.jax for layer in report.layers][:4] == said
    else:
        assert report.first.torch == ("1" if wrong == "gelu" else "2")
        assert kinds(report) == [KINDS[wrong]], report.story()
        assert has_fact(report.first.facts, GELU) is (wrong == "gelu")


@pytest.mark.full
def test_a_mean_over_devices_in_the_backward_pass_is_named() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)))

    @jax.custom_vjp
    def added(x: Any) -> Any:
        return lax.psum(x, "d")

    # without the check of what varies, JAX shares the cotangent among the devices, and psum puts it together again
    added.defvjp(lambda x: (lax.psum(x, "d"), None), lambda _, g: (lax.pmean(g, "d"),))

    def body(p: dict[str, Any], x: Any) -> Any:
        h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=False)
        return added(h @ p["2.weight"].T) + p["2.bias"]

    mesh = AbstractMesh((4,), ("d",))
    function = jax.shard_map(body, mesh=mesh, in_specs=(SPECS, P()), out_specs=P(), check_vma=False)
    report = compared(model, function, normal(6, 4), order=1)
    assert not report.passed
    assert kinds(report) == ["psum times"], report.story()
    assert [bool(gradient.cause) for gradient in report.gradients].count(True) == 3


def around(n: int) -> list[tuple[int, int]]:
    return [(k, (k + 1) % n) for k in range(n)]


def numbered(w: Any, x: Any, *, right: bool) -> Any:
    return x @ w.T + jnp.arange(2)[:, None] + (2 * lax.axis_index("d") if right else 0)


def by_first_block(w: Any, x: Any, *, right: bool) -> Any:
    w = lax.all_gather(w, "d", axis=1, tiled=True)  # each device computes its own columns
    x = lax.all_gather(x, "d", tiled=True)
    own = lax.dynamic_slice_in_dim(w, 2 * lax.axis_index("d") if right else 0, 2)
    return lax.all_to_all(x @ own.T, "d", 0, 1, tiled=True) + jnp.arange(8)[:2, None] + 2 * lax.axis_index("d")


def by_a_ring(w: Any, x: Any, *, right: bool) -> Any:
    def step(carry: Any, hop: Any) -> Any:
        y, w = carry
        source = (lax.axis_index("d") - hop) % 4
        part = lax.dynamic_slice_in_dim(x, 2 * source, 2, 1) @ w.T
        return (y + part, lax.ppermute(w, "d", around(4))), None

    y, _ = lax.scan(step, (jnp.zeros((2, 8), x.dtype), w), jnp.arange(4 if right else 3))[0]
    return y + jnp.arange(2)[:, None] + 2 * lax.axis_index("d")


@pytest.mark.parametrize(
    ("body", "spec", "says"),
    [
        (numbered, P(), "counted plus"),
        pytest.param(by_first_block, P(None, "d"), "slice own", marks=pytest.mark.full),
        pytest.param(by_a_ring, P(None, "d"), "loop more", marks=pytest.mark.full),
    ],
)
def test_a_mistake_in_what_each_device_computes_alone_is_named(body: Callable[..., Any], spec: Any, says: str) -> None:
    class Numbered(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + torch.arange(8)[:, None]

    model = seeded(Numbered(8, 8, bias=False))
    for right in (True, False):

        def part(w: Any, x: Any, right: bool = right) -> Any:
            return body(w, x, right=right)

        mesh = AbstractMesh((4,), ("d",))
        function = jax.shard_map(part, mesh=mesh, in_specs=(spec, P("d")), out_specs=P("d"), check_vma=False)
        report = compared(model, lambda p, x, function=function: function(p["weight"], x), normal(8, 8))
        assert report.passed is right, report.story()
        assert kinds(report) == ([] if right else [says]), report.story()


@pytest.mark.full
def test_devices_that_draw_the_same_numbers_are_named() -> None:
    keys = [jax.random.fold_in(jax.random.key(0), k) for k in range(4)]
    kept = torch.as_tensor(np.concatenate([np.asarray(jax.random.bernoulli(key, 0.5, (2, 4))) for key in keys]))

    class Dropout(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(kept, super().forward(x), 0.0)

    def body(p: dict[str, Any], x: Any, alike: bool) -> Any:
        key = jax.random.key(0) if alike else jax.random.fold_in(jax.random.key(0), lax.axis_index("d"))
        return jnp.where(jax.random.bernoulli(key, 0.5, (2, 4)), x @ p["weight"].T + p["bias"], 0)

    model, mesh = seeded(Dropout(4, 4)), AbstractMesh((4,), ("d",))
    for alike in (False, True):
        mapped = partial(body, alike=alike)
        function = jax.shard_map(mapped, mesh=mesh, in_specs=(P(), P("d")), out_specs=P("d"), check_vma=False)
        report = compared(model, function, normal(8, 4))
        assert report.passed is not alike, report.story()
        assert kinds(report) == ["drawn apart"] * alike


def test_devices_that_should_hold_the_same_and_do_not_are_a_fault() -> None:
    model = seeded(nn.Linear(4, 3))

    def body(p: dict[str, Any], x: Any) -> Any:
        return x @ p["weight"].T + p["bias"] + (lax.axis_index("d") == 2)

    function = jax.shard_map(body, mesh=AbstractMesh((4,), ("d",)), in_specs=P(), out_specs=P(), check_vma=False)
    report = compared(model, function, normal(6, 4))
    assert not report.passed
    words = report.first.explanation
    assert isinstance(words, Worded)
    assert (words.kind, words.about) == ("unlike", (2, "d"))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (lambda x: lax.psum(x, "d", axis_index_groups=[[0, 1], [2, 3]]), "psum with axis_index_groups, expected none"),
        (
            lambda x: lax.while_loop(lambda x: x.sum() < 9, lambda x: x + 1, x),
            "ends at other steps on other devices along d",
        ),
    ],
)
def test_what_has_no_program_on_whole_arrays_is_refused(body: Callable[..., Any], says: str) -> None:
    function = jax.shard_map(body, mesh=AbstractMesh((4,), ("d",)), in_specs=P("d"), out_specs=P("d"), check_vma=False)
    with pytest.raises(crosscheck.UsageError, match=says):
        compared(seeded(nn.Linear(4, 4)), lambda p, x: function(x @ p["weight"].T + p["bias"]), normal(8, 4))


def in_a_scan(x: Any) -> Any:
    return lax.scan(lambda total, row: (total + lax.pmean(row, "d"), None), 0 * x[0], x)[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda x: lax.all_gather(x, "d").sum(0) + lax.all_gather(x, "d", tiled=True), lambda x: 2 * x),
        (lambda x: lax.all_to_all(x, "d", 1, 0, tiled=True) * lax.axis_index("d"), lambda x: 0 * x),
        (lambda x: lax.ppermute(x, "d", [(0, 0)]) + lax.ppermute(x, "d", []), lambda x: x),
        pytest.param(
            lambda x: lax.psum_scatter(x[:1], "d") + lax.psum_scatter(x, "d", tiled=True),
            lambda x: x + x[0],
            marks=pytest.mark.full,
        ),
        (lambda x: lax.pmax(lax.stop_gradient(x), "d") * lax.psum(x, "d"), lambda x: x.detach() * x),
        pytest.param(in_a_scan, lambda x: x.sum(0), marks=pytest.mark.full),
    ],
)
def test_on_one_device_nothing_is_exchanged(body: Callable[..., Any], expected: Callable[..., Any]) -> None:
    function = jax.shard_map(body, mesh=ONE, in_specs=P("d"), out_specs=P("d"), check_vma=False)
    report = crosscheck.compare(expected, function, [normal(4, 3)], order=1)
    assert report.passed, report


@pytest.mark.full
def test_what_devices_exchange_is_compared() -> None:
    """The programs of ``sharded.exchanges``, of which each is run by four devices."""
    command = [sys.executable, "-m", "corpora", "sharded", "exchanges, 4 devices"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "psum_scatter" in done.stdout
