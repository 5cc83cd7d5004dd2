"""What goes wrong in crosscheck itself is one message that says so; what a user's function raises stays what it is."""

import functools
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
from crosscheck._compare.judge import run as comparing
from crosscheck._models import engine
from crosscheck._models.copy import copying
from crosscheck._models.run import recording
from crosscheck._training import training
from crosscheck._training.optimizers import optimizers

MODEL = torch.nn.Linear(4, 2)
PARAMS = {name: jnp.asarray(value.detach().numpy()) for name, value in MODEL.named_parameters()}
INPUTS = [np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)]


def port(p: Any, x: Any) -> Any:
    return x @ p["weight"].T + p["bias"]


def trained() -> Any:
    def torch_step(x: torch.Tensor) -> torch.Tensor:
        return MODEL(x).sum()

    def jax_step(state: Any, x: Any) -> Any:
        return state, port(state, x).sum()

    optimizer = torch.optim.SGD(MODEL.parameters(), lr=0.1)
    return crosscheck.compare_training(
        torch_step, jax_step, [INPUTS], torch_state=(MODEL, optimizer), jax_state=PARAMS, controls=0
    )


def stepped() -> Any:
    return crosscheck.compare_optimizers(
        lambda given: torch.optim.SGD(given, lr=0.1), optax.sgd(0.1), [np.ones(3, np.float32)], steps=2
    )


CALLS: dict[str, tuple[Any, str, Callable[[], Any]]] = {
    "compare": (comparing, "_run", lambda: crosscheck.compare(torch.tanh, jnp.tanh, INPUTS)),
    "compare_models": (engine, "pair", lambda: crosscheck.compare_models(MODEL, port, INPUTS, params=PARAMS)),
    "a part in a thread": (engine, "account", lambda: crosscheck.compare_models(MODEL, port, INPUTS, params=PARAMS)),
    "copy_weights": (copying, "drawn", lambda: crosscheck.copy_weights(MODEL, port, INPUTS, params=PARAMS)),
    "compare_training": (training, "judge", trained),
    "compare_optimizers": (optimizers, "_compared", stepped),
}


def failing(place: Any, name: str) -> Callable[..., Any]:
    """A function of crosscheck with a mistake in it."""
    code = f"def {name}(*given, **options):\n    return ()[len(given)]\n"
    names: dict[str, Any] = {"__name__": place.__name__}
    exec(compile(code, place.__file__, "exec"), names)
    return names[name]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("place", "name", "call"), CALLS.values(), ids=CALLS)
def test_a_fault_of_crosscheck_says_in_which_part_it_is(
    place: Any, name: str, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, name, failing(place, name))
    with pytest.raises(crosscheck.InternalError) as raised:
        call()
    file = Path(place.__file__)
    part = f"{file.relative_to(Path(crosscheck.__file__).parent).as_posix()}, line 2, {name}"
    assert str(raised.value).startswith(f"crosscheck itself failed, in {part}: IndexError: tuple index out of range. ")
    assert isinstance(raised.value.__cause__, IndexError)


def test_a_fault_in_a_library_that_crosscheck_calls_is_one_of_crosscheck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "record", np.linalg.solve)
    with pytest.raises(crosscheck.InternalError, match=r"in _models/run/recording\.py, line \d+, recorded: LinAlgError"):
        crosscheck.copy_weights(MODEL, port, INPUTS, params=PARAMS)


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
    monkeypatch.setattr(comparing, "_run", failing(comparing, "_run"))
    line = ["compare", "torch:tanh", "jax.numpy:tanh", "--shape", "3", *(["--traceback"] if shown else [])]
    done = CliRunner().invoke(main, line)
    assert (done.exit_code, done.stdout) == (2, "")
    *before, last = done.stderr.splitlines()
    assert last.startswith("Error: crosscheck itself failed, in _compare/judge/run.py, line 2, _run: IndexError")
    assert last.endswith("with the traceback" if shown else "with the traceback, which --traceback prints")
    assert ("IndexError: tuple index out of range" in before) is shown
    assert shown or not before
