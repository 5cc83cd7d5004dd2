"""Calls of public functions of Python: for each what its arguments may be, right or wrong, and what must come of it."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from hypothesis import given
from hypothesis import strategies as st

import crosscheck
from fuzz.generated import the_same_each_time
from fuzz.running import Hang, time_limit

X = np.linspace(-1, 1, 4, dtype=np.float32)
ODD = st.sampled_from(
    [
        *(None, True, False, -1, 0, 1, 3, 1.5, -0.0, float("nan"), float("inf"), 1j, 2**70, -(2**70)),
        *("", " ", "x", "0", "float32", "relu", "torch", "jax", "all", "a\nFORGED", "\x1b]0;x", b"x", "é" * 300),
        *([], {}, (), set(), [None], [[]], [1, "1"], {"a": 1}, {"torch": None}, {1: 2}, range(2)),
        *(object(), object, int, len, lambda: None, lambda *a, **k: None, NotImplemented, ...),
        *(np.float32("nan"), np.int64(1), np.zeros(2), np.zeros((0, 2)), np.array([object()]), np.dtype("f4"), np.float16),
        *(torch.float32, torch.int8, torch.zeros(2), jnp.float32, jnp.zeros(2), jnp.bfloat16),
    ]
)
"""What a caller may give by mistake."""
ARRAYS = (np.ndarray, torch.Tensor, jax.Array)
FAST = {"epochs": 2, "learning_rate": 0.1}


@dataclass(frozen=True)
class Function:
    """A public function, and arguments with which it is quickly done; ``kept`` of them are never wrong."""

    call: Callable[..., Any]
    arguments: Mapping[str, Any]
    kept: tuple[str, ...] = ()


SMALL = {"dtypes": "float32", "orders": 0, "implementations": "torch", "modes": "eager", "quick": True}
OPTIONS = {"device": "cpu", "seed": 0, "without": (), "progress": None}
PAIR = {"torch_fn": torch.tanh, "jax_fn": jnp.tanh, "inputs": [X]}
HOW = {
    "order": 0,
    "wrt": None,
    "exact": None,
    "device": "cpu",
    "modes": ("eager",),
    "seed": 0,
    "accept": (),
    "dtype": "float32",
}
MODELS = {"torch_to_jax": None, "order": 0, "dtype": "float32", "seed": 0, "weights": "given"}
NET = torch.nn.Linear(4, 1, bias=False)
PORT = {"torch_model": NET, "jax_model": lambda p, x: x @ p.T, "inputs": [X], "params": NET.weight.detach().numpy()}
SGD = torch.optim.SGD(NET.parameters(), lr=0.1)


def torch_step(x: torch.Tensor) -> torch.Tensor:
    """A step of the smallest training."""
    SGD.zero_grad()
    loss = NET(x).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    SGD.step()
    return loss


def jax_step(w: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same step."""
    loss, gradient = jax.value_and_grad(lambda w: jnp.mean((x @ w.T) ** 2))(w)
    return w - 0.1 * gradient, loss


SWEPT = {"dtype": "bfloat16", "orders": 0, "implementations": "torch", "range": (1.0, 1.1), "device": "cpu", "out": None}
FUNCTIONS: Mapping[str, Function] = {
    "verify": Function(
        crosscheck.verify,
        {"what": "linear", **SMALL, **OPTIONS, "layout": False, "replace": None, "strict": False, "processes": 1},
        ("quick",),
    ),
    "atlas": Function(
        crosscheck.atlas, {"what": "linear", "dtypes": "float32", "modes": "eager", "quick": True}, ("quick",)
    ),
    "atlas_diff": Function(crosscheck.atlas_diff, {"old": "nothing.json", "new": "nothing.json"}),
    "sweep": Function(
        crosscheck.sweep,
        {"what": "linear", **SWEPT, "resume": False, "processes": 1, "executor": None, "replace": None, "progress": None},
        ("range",),
    ),
    "sweep, range": Function(crosscheck.sweep, {"what": "linear", **SWEPT}, ("dtype", "what")),
    "plot": Function(crosscheck.plot, {"what": "linear", "dtype": "float32", "range": (-1, 1)}),
    "compare": Function(crosscheck.compare, {**PAIR, **HOW}),
    "compare_models": Function(
        crosscheck.compare_models,
        {"torch_model": torch.nn.Tanh(), "jax_model": lambda p, x: jnp.tanh(x), "inputs": [X], "params": {}, **MODELS},
    ),
    "copy_weights": Function(crosscheck.copy_weights, {**PORT, "torch_to_jax": None, "seed": 0}),
    "compare_training": Function(
        crosscheck.compare_training,
        {
            **{"torch_step": torch_step, "jax_step": jax_step, "batches": [[X]], "torch_state": (NET, SGD)},
            **{
                "jax_state": jnp.asarray(PORT["params"]),
                "jax_batches": None,
                "torch_to_jax": None,
                "controls": 0,
                "seed": 0,
                "progress": None,
            },
        },
    ),
    "compare_optimizers": Function(
        crosscheck.compare_optimizers,
        {
            **{"torch_optimizer": lambda p: torch.optim.SGD(p, lr=0.1), "optax_transform": optax.sgd(0.1), "params": None},
            **{"steps": 2, "dtype": "float32", "seed": 0, "clip": None, "every": 1},
        },
    ),
    "translate": Function(crosscheck.translate, {"name": "l1_loss", "run": False, "progress": None}, ("run",)),
    "translate_file": Function(crosscheck.translate_file, {"path": __file__}),
    "assert_agree": Function(crosscheck.assert_agree, {**PAIR, "order": 0, "modes": "eager"}),
    "identify": Function(crosscheck.identify, {"function": torch.tanh, "framework": "torch", "dtype": "float32", "seed": 0}),
    "perceptron": Function(
        crosscheck.perceptron,
        {"gate": "or", **FAST, "seed": 0, "dtype": "float32", "plant": None, "replace": None, "data": None, "weights": None},
        ("epochs",),
    ),
    "dump": Function(crosscheck.dump, {"": "out.npz", "x": X}),
    "compare_arrays": Function(
        crosscheck.compare_arrays, {"a": {"x": X}, "b": {"x": X}, "ulp": 4, "rtol": None, "atol": None}
    ),
    "normal": Function(crosscheck.normal, {"shape": 4, "mean": 0, "std": 1}),
    "uniform": Function(crosscheck.uniform, {"low": 0, "high": 1, "shape": 4}),
    "activations": Function(crosscheck.activations.__getitem__, {"": "relu"}),
    "elu.torch": Function(crosscheck.activations.elu.torch, {"x": torch.zeros(2), "alpha": 1.0}),
    "elu.jax": Function(crosscheck.activations.elu.jax, {"x": jnp.zeros(2), "alpha": 1.0}),
    "softmax.torch": Function(crosscheck.activations.softmax.torch, {"x": torch.zeros(2), "axis": -1}),
}
REFUSALS = (
    crosscheck.UsageError,
    crosscheck.SpecError,
    crosscheck.UnknownActivationError,
    crosscheck.NoDeviceError,
    crosscheck.MissingFrameworkError,
)
OF_ACTIVATIONS = ("elu.torch", "elu.jax", "softmax.torch")
"""Functions to compute with: as a framework's, they raise TypeError and ValueError, with a message of crosscheck's. What
arrays are given for numbers is the framework's to judge."""


@dataclass
class CallTally:
    """What came of the calls of one function. ``failures`` are calls with the rule that they broke, one of each kind."""

    examples: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)


@st.composite
def calls(draw: st.DrawFn, function: Function) -> dict[str, Any]:
    """Arguments, one or two of them odd."""
    given = dict(function.arguments)
    wrong = draw(st.sets(st.sampled_from([name for name in given if name not in function.kept]), min_size=1, max_size=2))
    odd = {name: draw(ODD) for name in sorted(wrong)}
    if "what" in odd and odd["what"] is None:
        del odd["what"]  # which is right, and runs the whole catalogue
    return given | odd


def broken(name: str, function: Function, arguments: Mapping[str, Any]) -> tuple[str, str | None]:
    """How a call ended, and the rule that it broke; none, as it should be."""
    by_place = [arguments[""]] if "" in arguments else []
    try:
        with _alone(), time_limit():
            function.call(*by_place, **{key: value for key, value in arguments.items() if key})
    except REFUSALS as error:
        said = str(error)
        return type(error).__name__, None if said.strip() else "a message that says nothing"
    except (OSError, AssertionError) as error:  # a file that cannot be written; two functions that do not agree
        return type(error).__name__, None
    except Hang as error:
        return "Hang", str(error)
    except Exception as error:
        if isinstance(error, TypeError) and callable(arguments.get("progress")):
            return "TypeError", None  # of the function that was given
        if name in OF_ACTIVATIONS and any(isinstance(value, ARRAYS) for key, value in arguments.items() if key != "x"):
            return type(error).__name__, None
        own = name in OF_ACTIVATIONS and str(error).startswith(f"{name.partition('.')[0]}: ")
        return type(error).__name__, None if own else f"it raised {type(error).__name__}: {error}"
    return "returned", None


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """In an empty folder, without warnings, and with what is printed caught."""
    here = os.getcwd()
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)


def call_campaign(name: str, examples: int, function: Function | None = None) -> CallTally:
    """Call one function with generated arguments, the same each time; go on where one breaks a rule."""
    tally, function = CallTally(), function or FUNCTIONS[name]

    @the_same_each_time(examples)
    @given(calls(function))
    def one(arguments: dict[str, Any]) -> None:
        end, rule = broken(name, function, arguments)
        tally.examples += 1
        tally.ends[end] += 1
        if rule:
            changed = {key: value for key, value in arguments.items() if value is not function.arguments[key]}
            tally.failures.setdefault(rule[:60], f"{name}({changed}): {rule}")

    one()
    return tally
