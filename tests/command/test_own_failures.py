"""What goes wrong in crosscheck itself is one message that says so; what a user's function raises stays what it is."""

import copy
import functools
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from cli import main
from click.testing import CliRunner

import crosscheck

BREAKS = operator.itemgetter(9)
"""Raises for whatever it gets, without a frame of its own."""
MODEL = torch.nn.Linear(4, 2)
PARAMS = {name: jnp.asarray(value.detach().numpy()) for name, value in MODEL.named_parameters()}
INPUTS = [np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)]


def port(p: Any, x: Any) -> Any:
    return x @ p["weight"].T + p["bias"]


def trained() -> Any:
    model = copy.deepcopy(MODEL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def torch_step(x: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    def jax_step(state: Any, x: Any) -> Any:
        loss, by = jax.value_and_grad(lambda state: port(state, x).sum())(state)
        return jax.tree.map(lambda weight, gradient: weight - 0.1 * gradient, state, by), loss

    return crosscheck.compare_training(
        torch_step, jax_step, [INPUTS], torch_state=(model, optimizer), jax_state=PARAMS, controls=0
    )


def stepped() -> Any:
    return crosscheck.compare_optimizers(
        lambda given: torch.optim.SGD(given, lr=0.1), optax.sgd(0.1), [np.ones(3, np.float32)], steps=2
    )


CALLS: dict[str, tuple[str, Callable[[], Any]]] = {
    "compare": ("flatnonzero", lambda: crosscheck.compare(torch.tanh, jnp.tanh, INPUTS)),
    "compare_models": ("isfinite", lambda: crosscheck.compare_models(MODEL, port, INPUTS, params=PARAMS)),
    "a part in a thread": ("full", lambda: crosscheck.compare_models(MODEL, port, INPUTS, params=PARAMS)),
    "copy_weights": ("isfinite", lambda: crosscheck.copy_weights(MODEL, port, INPUTS, params=PARAMS)),
    "compare_training": ("isnan", trained),
    "compare_optimizers": ("isnan", stepped),
}
"""A function of numpy that crosscheck calls there."""


@pytest.mark.parametrize(("function", "call"), CALLS.values(), ids=CALLS)
def test_a_fault_of_crosscheck_says_in_which_part_it_is(
    function: str, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it gives a function of numpy what that does not take."""
    monkeypatch.setattr(np, function, BREAKS)
    with pytest.raises(crosscheck.InternalError) as raised:
        call()
    said = re.match(r"crosscheck itself failed, in (\S+), line (\d+), [\w.<>]+: (Index|Type)Error: ", str(raised.value))
    assert said, raised.value
    line = (Path(crosscheck.__file__).parent / said[1]).read_text(encoding="utf-8").splitlines()[int(said[2]) - 1]
    assert f"np.{function}(" in line
    assert isinstance(raised.value.__cause__, IndexError | TypeError)


def test_a_fault_in_a_library_that_crosscheck_calls_is_one_of_crosscheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "flatnonzero", np.linalg.inv)
    with pytest.raises(crosscheck.InternalError, match=r"in _compare/judge/comparisons\.py, line \d+, _count: LinAlgError"):
        crosscheck.compare(torch.tanh, jnp.tanh, INPUTS)


class OfTheUserError(Exception):
    pass


def stopping(*_: object) -> None:
    raise OfTheUserError


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("progress", "raised"), [(stopping, OfTheUserError), (interrupted, KeyboardInterrupt)])
def test_what_a_function_of_the_user_raises_stays_what_it_is(progress: Any, raised: type[BaseException]) -> None:
    with pytest.raises(raised):
        crosscheck.verify("linear", quick=True, progress=progress)
    with pytest.raises(raised):
        crosscheck.verify("linear", quick=True, progress=functools.partial(map_over, progress))


def map_over(function: Callable[..., Any], *given: Any) -> None:
    """The user's function calls a library, which calls the user's function."""
    jax.tree.map(function, given)


def test_wrong_arguments_are_no_fault_of_crosscheck() -> None:
    with pytest.raises(crosscheck.UsageError):
        crosscheck.compare_models(3, port, INPUTS, params=PARAMS)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        crosscheck.compare_models(MODEL, port)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        crosscheck.compare(torch.tanh, jnp.tanh, INPUTS, orders=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("shown", [False, True])
def test_a_command_that_fails_itself_ends_with_one_message(shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "flatnonzero", BREAKS)
    line = ["compare", "torch:tanh", "jax.numpy:tanh", "--shape", "3", *(["--traceback"] if shown else [])]
    done = CliRunner().invoke(main, line)
    assert (done.exit_code, done.stdout) == (2, "")
    *before, last = done.stderr.splitlines()
    assert last.startswith("Error: crosscheck itself failed, in _compare/judge/comparisons.py, line ")
    assert last.endswith("with the traceback" if shown else "with the traceback, which --traceback prints")
    assert any("in _count" in line for line in before) is shown
    assert shown or not before
