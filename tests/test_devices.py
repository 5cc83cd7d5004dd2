"""Functions of JAX that ``shard_map`` shares among devices: on one device they are compared as what it computes."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from jax import lax
from jax.sharding import AbstractMesh, Mesh
from jax.sharding import PartitionSpec as P
from ports import compared, normal, seeded
from torch import nn

import crosscheck

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


def test_a_model_in_shard_map_on_several_devices_is_refused() -> None:
    model = seeded(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)))
    with pytest.raises(crosscheck.UsageError, match=r"mesh of several devices \(d: 2\), expected one device"):
        compared(model, port(AbstractMesh((2,), ("d",)), False), normal(6, 4))


def in_a_scan(x: Any) -> Any:
    return lax.scan(lambda total, row: (total + lax.pmean(row, "d"), None), 0 * x[0], x)[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (lambda x: lax.all_gather(x, "d").sum(0) + lax.all_gather(x, "d", tiled=True), lambda x: 2 * x),
        (lambda x: lax.all_to_all(x, "d", 1, 0, tiled=True) * lax.axis_index("d"), lambda x: 0 * x),
        (lambda x: lax.ppermute(x, "d", [(0, 0)]) + lax.ppermute(x, "d", []), lambda x: x),
        (lambda x: lax.psum_scatter(x[:1], "d") + lax.psum_scatter(x, "d", tiled=True), lambda x: x + x[0]),
        (lambda x: lax.pmax(lax.stop_gradient(x), "d") * lax.psum(x, "d"), lambda x: x.detach() * x),
        (in_a_scan, lambda x: x.sum(0)),
    ],
)
def test_on_one_device_nothing_is_exchanged(body: Callable[..., Any], expected: Callable[..., Any]) -> None:
    function = jax.shard_map(body, mesh=ONE, in_specs=P("d"), out_specs=P("d"), check_vma=False)
    report = crosscheck.compare(expected, function, [normal(4, 3)], order=1)
    assert report.passed, report


TWO = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import crosscheck, jax, jax.numpy as jnp, numpy as np, torch
from jax.sharding import PartitionSpec as P
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
function = jax.shard_map(lambda x: jax.lax.pmean(jnp.tanh(x), "d"), mesh=mesh, in_specs=P("d"), out_specs=P())
x = [np.linspace(-1, 1, 8, dtype=np.float32)]
print(crosscheck.compare(lambda x: torch.tanh(x).reshape(2, -1).mean(0), function, x, order=1).passed)
"""


@pytest.mark.full
def test_a_function_that_two_devices_share_is_compared() -> None:
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
