"""What surrounds a call, such as torch.inference_mode, changes no verdict: inside it is the one that it is outside."""

import contextlib
import functools
import gc
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
import pytest
import torch

import crosscheck

pytestmark = pytest.mark.full


@contextlib.contextmanager
def switched(switch: Callable[[Any], object], to: Any, back: Any) -> Iterator[None]:
    """A setting of the process for a while."""
    switch(to)
    try:
        yield
    finally:
        switch(back)


Ambient = Callable[[], AbstractContextManager[Any]]

IN_THE_WAY: dict[str, tuple[Ambient, str]] = {
    "inference_mode": (torch.inference_mode, "compare"),
    "no_grad": (torch.no_grad, "perceptron"),
    "anomalies": (torch.autograd.detect_anomaly, "sweep far out"),
    "autocast": (lambda: torch.autocast("cpu", dtype=torch.bfloat16), "products"),
    "default device": (lambda: switched(torch.set_default_device, "meta", None), "perceptron"),
    "device": (lambda: torch.device("meta"), "perceptron"),
    "flushing": (lambda: switched(torch.set_flush_denormal, True, False), "sweep"),
    "disable_jit": (jax.disable_jit, "compare"),
    "debug_nans": (lambda: jax.debug_nans(True), "sweep far out"),
    "debug_infs": (lambda: jax.debug_infs(True), "sweep far out"),
    "rank promotion": (lambda: jax.numpy_rank_promotion("raise"), "perceptron"),
    "transfers": (lambda: jax.transfer_guard("disallow"), "compare"),
    "numpy's errors": (lambda: np.errstate(all="raise"), "sweep"),
}
"""What would change a verdict, and one that it would."""

HARMLESS: dict[str, Ambient] = {
    "float64 by default": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16 by default": lambda: switched(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default_device": lambda: jax.default_device(jax.devices("cpu")[0]),
    "dtype promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "matmul precision": lambda: jax.default_matmul_precision("bfloat16"),
    "float64 in JAX": lambda: jax.enable_x64(True),
    "leaks": jax.checking_leaks,
}
EVERYWHERE: dict[str, Ambient] = {**{name: ambient for name, (ambient, _) in IN_THE_WAY.items()}, **HARMLESS}

SMALL = [crosscheck.normal((3, 4))]

RUNS: dict[str, Callable[..., Any]] = {
    "verify": lambda run: run("silu", dtypes=["float32"], orders=[0, 1], quick=True),
    "compare": lambda run: run(torch.nn.functional.silu, jax.nn.silu, SMALL, order=2),
    "products": lambda run: run(lambda x: x @ x.mT, lambda x: x @ x.mT, SMALL, order=1),
    "sweep": lambda run: run("silu", dtype="bfloat16", implementations=["torch", "jax"], range=(-(2.0**-125), 2.0**-125)),
    "sweep far out": lambda run: run("silu", dtype="bfloat16", implementations=["torch", "jax"], range=("0x7f70", "0x7fa0")),
    "perceptron": lambda run: run("or", epochs=2),
    "identify": lambda run: run(torch.nn.functional.silu, "torch"),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(crosscheck, {"products": "compare"}.get(name, name.partition(" ")[0])) for name in RUNS
}


def verdict(report: Any) -> str:
    """All that is said, but for the settings of the environment, which are reported as they are."""
    if not hasattr(report, "comparisons"):
        return str(report)
    return "\n".join(str(comparison) for comparison in report.comparisons)


@functools.cache
def outside(name: str) -> str:
    return verdict(RUNS[name](FUNCTIONS[name]))


TOGETHER = {"all in the way": [enter for enter, _ in IN_THE_WAY.values()], "all harmless": [*HARMLESS.values()]}
"""Contexts within each other, beside each of them alone."""


@pytest.mark.parametrize(
    ("name", "ambient"),
    [
        *((name, ambient) for ambient, (_, name) in IN_THE_WAY.items()),
        *itertools.product(("compare",), HARMLESS),
        *itertools.product(RUNS, TOGETHER),
    ],
)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_a_verdict_inside_is_the_one_outside(name: str, ambient: str) -> None:
    expected = outside(name)
    with contextlib.ExitStack() as stack:
        for enter in TOGETHER.get(ambient) or [EVERYWHERE[ambient]]:
            stack.enter_context(enter())
        assert verdict(RUNS[name](FUNCTIONS[name])) == expected


@pytest.mark.parametrize("ambient", IN_THE_WAY)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_each_of_them_would_change_one(ambient: str) -> None:
    """The functions as they would be without the context."""
    enter, name = IN_THE_WAY[ambient]
    expected = outside(name)
    with enter():
        try:
            got = verdict(RUNS[name](FUNCTIONS[name].__wrapped__))  # type: ignore[attr-defined]
        except Exception as error:
            got = str(error)
    assert got != expected


@pytest.mark.parametrize("ambient", EVERYWHERE.values(), ids=EVERYWHERE)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_afterwards_it_is_as_it_was(ambient: Ambient) -> None:
    def seen() -> list[object]:
        return [
            torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(),
            torch.is_anomaly_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_default_device(),
            torch.get_default_dtype(),
            bool((torch.full((1,), 2.0**-126, dtype=torch.float32, device="cpu") * 0.5 == 0).item()),
            {name: jax.config._read(name) for name in jax.config.values},
            np.geterr(),
        ]

    with ambient():
        before = seen()
        assert crosscheck.compare(torch.tanh, jax.numpy.tanh, [np.ones(3, np.float32)], order=1, modes="jit").passed
        assert seen() == before
        with pytest.raises(KeyError):
            crosscheck.verify("linear", quick=True, progress=stopping)
        assert seen() == before


def stopping(*told: object) -> None:
    raise KeyError


def test_what_is_set_for_a_function_s_sake_stays() -> None:
    def of_torch(x: Any) -> Any:
        seen["torch"] = (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled())
        return x * 2

    def of_jax(x: Any) -> Any:
        seen["jax"] = (jax.config.jax_default_matmul_precision, jax.config.jax_enable_x64)
        return x * 2

    seen: dict[str, object] = {}
    with crosscheck.precision("medium", x64=True, deterministic=True):
        assert crosscheck.compare(of_torch, of_jax, [np.ones(3)], order=0).passed
    assert seen == {"torch": ("medium", True), "jax": ("bfloat16", True)}


def test_a_module_that_was_made_in_inference_mode_has_gradients() -> None:
    with torch.inference_mode():
        module = torch.nn.Linear(4, 2)
        x = torch.linspace(-2, 2, 12).reshape(3, 4)
    weight, bias = (parameter.detach().numpy() for parameter in (module.weight, module.bias))
    report = crosscheck.compare(module, lambda x: x @ weight.T + bias, [x])
    assert report.passed, str(report)
    assert {comparison.order for comparison in report.comparisons} == {0, 1}


def test_objects_that_the_process_has_frozen_stay_so() -> None:
    linear = torch.nn.Linear(4, 3)
    weights = [parameter.detach().numpy() for parameter in linear.parameters()]
    gc.freeze()
    try:
        assert crosscheck.compare_models(linear, lambda p, x: x @ p[0].T + p[1], [np.ones((5, 4))], params=weights).passed
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
