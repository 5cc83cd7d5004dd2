"""crosscheck leaves the process as it found it: settings, random states, signals, handlers, the environment."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flint
import jax
import matplotlib as mpl
import numpy as np
import pytest
import torch
from global_state import changed, state

pytestmark = pytest.mark.full

EVERYTHING = """
import json
import jax, jax.numpy as jnp, torch
import scipy.sparse, scipy.special, torch._dynamo  # what these change when they are imported is theirs
from global_state import changed, state

import crosscheck


def raises(x):
    raise ArithmeticError


linear = torch.nn.Linear(4, 3)
weights = [jnp.asarray(one.detach().numpy()) for one in linear.parameters()]
before = state()
few = [crosscheck.normal((8,))]
crosscheck.compare(torch.sin, jnp.sin, few, order=2, dtype="float64")
crosscheck.compare(lambda x: 1.5 * torch.sin(x), jnp.sin, few, exact=lambda m, x: m.sinh(x), order=0)
crosscheck.compare(raises, raises, few)
try:
    crosscheck.assert_agree(torch.exp, jnp.sin, few, order=0, dtype="bfloat16")
except AssertionError:
    pass
crosscheck.verify("relu", dtypes=["float32"], orders=[0, 1])
crosscheck.perceptron("or", epochs=3)
crosscheck.compare_models(linear, lambda p, x: x @ p[0].T + p[1], [crosscheck.normal((5, 4))], params=weights)
crosscheck.plot("relu")
print(json.dumps(changed(before, state())))
"""
"""Run in a process of its own, since the first call of each is the one that loads what it needs."""

DELIBERATE = ["os.environ XLA_PYTHON_CLIENT_PREALLOCATE"]
"""JAX reads it when it starts; without it there would be no room for torch on the same GPU."""


def test_nothing_global_is_left_changed() -> None:
    env = {name: value for name, value in os.environ.items() if name != "XLA_PYTHON_CLIENT_PREALLOCATE"}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run([sys.executable, "-c", EVERYTHING], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == DELIBERATE


CHANGES: dict[str, Callable[[], object]] = {
    "cwd": lambda: os.chdir(os.sep),
    "os.environ CROSSCHECK_PLANTED": lambda: os.environ.update(CROSSCHECK_PLANTED="1"),
    f"signal {signal.SIGINT}": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "random": random.random,
    "warnings": lambda: warnings.simplefilter("ignore"),
    "recursion limit": lambda: sys.setrecursionlimit(sys.getrecursionlimit() + 1),
    "sys.path": lambda: sys.path.append("planted"),
    "logging root": lambda: logging.root.addHandler(logging.NullHandler()),
    "logging planted": lambda: logging.getLogger("planted").setLevel(logging.ERROR),
    "numpy random": np.random.rand,
    "numpy errors": lambda: np.seterr(all="ignore"),
    "torch random": lambda: torch.rand(1),
    "torch dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch grad mode": lambda: torch._C._set_grad_enabled(False),
    "torch matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch flushes": lambda: torch.set_flush_denormal(True),
    "jax jax_enable_x64": lambda: jax.config.update("jax_enable_x64", True),
    "jax jax_debug_nans": lambda: jax.config.update("jax_debug_nans", True),
    "matplotlib lines.linewidth": lambda: mpl.rcParams.update({"lines.linewidth": 9.0}),
    "flint precision": lambda: setattr(flint.ctx, "prec", flint.ctx.prec + 1),
}


@contextmanager
def _restored() -> Iterator[None]:
    """All that a change may have changed, as it was."""
    cwd, environ, path, interrupt = os.getcwd(), dict(os.environ), list(sys.path), signal.getsignal(signal.SIGINT)
    drawn, of_numpy, errors, limit = random.getstate(), np.random.get_state(), np.geterr(), sys.getrecursionlimit()
    of_torch, dtype, threads = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
    handlers, precision, bits = list(logging.root.handlers), torch.get_float32_matmul_precision(), flint.ctx.prec
    drawing: Any = dict(dict.items(mpl.rcParams))
    with warnings.catch_warnings():
        yield
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:] = path
    signal.signal(signal.SIGINT, interrupt)
    random.setstate(drawn)
    np.random.set_state(of_numpy)
    np.seterr(**errors)
    sys.setrecursionlimit(limit)
    torch.set_rng_state(of_torch)
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch._C._set_grad_enabled(True)
    torch.set_flush_denormal(False)
    logging.root.handlers[:] = handlers
    logging.getLogger("planted").setLevel(logging.NOTSET)
    torch.set_float32_matmul_precision(precision)
    jax.config.update("jax_enable_x64", False)
    jax.config.update("jax_debug_nans", False)
    dict.update(mpl.rcParams, drawing)
    flint.ctx.prec = bits


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_caught_by_its_name(name: str) -> None:
    before = state()
    with _restored():
        CHANGES[name]()
        after = state()
    assert changed(before, after) == [name]
    assert changed(before, state()) == []
