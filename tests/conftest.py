"""What several tests share: a run of each activation, made once, the command line, and a file with an activation."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import cli
import jax
import pytest
import torch
from contract import DTYPES, IMPLEMENTATIONS, LENGTHS, ORDERS, USUAL_MODES
from explained import Explanation, explanation
from filelock import FileLock, Timeout
from kept import environment

import crosscheck
from crosscheck import Activation, Deviation, PerceptronReport, Region, Report, activations
from crosscheck._verify.run import run, task

os.environ["CROSSCHECK_CACHE_DIR"] = ""  # or a test might see what an earlier run has kept
os.environ.pop("COLUMNS", None)  # or what is printed would depend on the width of the terminal that nox was started in

MINE = '''
"""An activation of the user's: half of x."""

from math import inf

from crosscheck import Activation, Limits


def definition(m, x):
    return x / 2


def derivative(m, x):
    return m.where(x == x, 0.5, 0.5)


def second_derivative(m, x):
    return m.where(x == x, 0.0, 0.0)


def value(framework, x):
    return x / 2


MINE = Activation(
    name="mine",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=lambda torch, x: torch.full_like(x, 0.5),
    torch_second=lambda torch, x: torch.zeros_like(x),
    jax_value=value,
    jax_gradient=lambda jax, x: jax.numpy.full_like(x, 0.5),
    jax_second=lambda jax, x: jax.numpy.zeros_like(x),
    limits=Limits(minus=(-inf, 0.5, 0), plus=(inf, 0.5, 0)),
)
'''


def pytest_configure() -> None:
    """Where the tests run in the background of a shell, Ctrl-C is ignored, in every process that they start too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


EVERY_CHANGE = ("leaky_relu", "sigmoid")
"""The functions that the session `tests` judges."""
SAMPLED = (*EVERY_CHANGE, "softmax")
"""The functions that `tests_full` judges in every dtype and mode; the session `catalogue` judges the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of most functions of the catalogue to a later session. A parameter of the test names the function.

    Tests that take seconds move to `catalogue`: those that need the run of the function in every dtype and mode, or are
    marked ``full``. The others move to `tests_full`, and so do tests that need such a run, but have no parameter that names
    a function.
    """
    for item in items:
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        given = [parameters.get(key) for key in ("name", "function", "activation")]
        names = {value.name if isinstance(value, Activation) else value for value in given} & set(activations)
        needs_run = "verified" in getattr(item, "fixturenames", ())
        long = needs_run or item.get_closest_marker("full") is not None
        if long and names - set(SAMPLED):
            item.add_marker(pytest.mark.catalogue)
        elif names - set(EVERY_CHANGE) or (needs_run and not names):
            item.add_marker(pytest.mark.full)


collect_ignore = ["browser", "made", "reader", "site"]  # the site, and what makes it: sessions of their own run these


class Verified(NamedTuple):
    """What a run of one activation gives: the report, and the points that it was made of."""

    report: Report
    points: Sequence[Any]


@pytest.fixture(autouse=True)
def same_initial_weights() -> None:
    """A module's initial weights come from PyTorch's global generator: without a seed they depend on the order of tests."""
    torch.manual_seed(0)


@pytest.fixture
def no_simpler_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare without the search for a simpler input, which takes most of the time."""
    monkeypatch.setattr("crosscheck._compare.diagnose.worst.EVALUATIONS", 0)


@pytest.fixture(scope="session")
def learned() -> PerceptronReport:
    """Logical OR, learned in both frameworks."""
    return crosscheck.perceptron("or", learning_rate=1.0, epochs=100)


@pytest.fixture(scope="session")
def verified(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, request: pytest.FixtureRequest
) -> Callable[[str], Verified]:
    """An activation of the catalogue, by name, in every dtype and order; run once, whatever the number of workers.

    In the usual modes and lengths of rows; among the points are those of the natives at the other lengths too, and in
    the other modes and layouts for which deviations are declared.

    A worker that needs what another one is running takes up the next that some test will ask for.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    asked = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    later = [name for name in dict.fromkeys(asked) if name in tuple(activations)]

    def path(name: str) -> Path:
        return folder / f"verified-{name}.pickle"

    def run_one(names: Iterable[str]) -> None:
        for name in names:
            if not path(name).exists():
                with suppress(Timeout), FileLock(path(name).with_suffix(".lock"), timeout=0):
                    if not path(name).exists():
                        made = path(name).with_suffix(".new")
                        made.write_bytes(pickle.dumps(_verify(name)))
                        made.rename(path(name))
                    return
        time.sleep(0.2)

    @cache
    def once(name: str) -> Verified:
        while not path(name).exists():
            run_one([name, *later])
        return cast(Verified, pickle.loads(path(name).read_bytes()))

    return once


def _verify(name: str) -> Verified:
    kept: list[Any] = []

    def keeping(*arguments: Any) -> list[Any]:
        kept[:] = run.run(*arguments)
        return kept

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crosscheck._verify.verify.run", keeping)
        report = crosscheck.verify(name)
    points = [*kept, *_elsewhere(activations[name])]
    jax.clear_caches()  # or the programs of all activations would fill the memory
    return Verified(report, points)


def slow(modes: tuple[str, ...], *, layout: bool) -> bool:
    """Compilers take their time: what deviates in torch.compile and in JAX's layouts a slow test in test_modes.py checks."""
    return modes == ("compile",) or (layout and modes == ("jit",))


def _elsewhere(activation: Activation) -> Iterator[Any]:
    """The natives alone where ``verify`` does not run them unless it is asked to, and deviations are declared."""
    natives = tuple(name for name in IMPLEMENTATIONS if ".native" in name)
    if activation.rows:  # a deviation must show in one of all the lengths; compiling ours for each takes JAX minutes
        others = {length: [dtype for dtype in DTYPES if dtype not in task.LENGTHS[length]] for length in LENGTHS}
        yield from run.run(activation, _plan(natives, DTYPES, USUAL_MODES, lengths=others, eager_in_jax=(None, 8, 1000)))
    asked: dict[tuple[tuple[str, ...], bool], list[tuple[Deviation, Region]]] = {}
    for deviation in activation.deviations:
        layout = deviation.cause == "layout"
        for region in deviation.regions:
            modes = deviation.modes_of(region)
            if layout or not set(modes) & set(USUAL_MODES):
                asked.setdefault((modes, layout), []).append((deviation, region))
    for (modes, layout), regions in asked.items():
        if slow(modes, layout=layout):
            continue
        dtypes = tuple(dtype for dtype in DTYPES if any(dtype in region.dtypes for _, region in regions))
        implementations = tuple(
            dict.fromkeys(implementation for deviation, _ in regions for implementation in deviation.implementations)
        )
        plan = _plan(implementations, dtypes, modes, lengths=dict.fromkeys(LENGTHS, DTYPES), layout=layout)
        points = run.run(dataclasses.replace(activation, cases=()), plan)  # at the defaults of the parameters
        yield from (point for point in points if not layout or point.key.against == "alone")


def _plan(implementations: tuple[str, ...], dtypes: tuple[str, ...], modes: tuple[str, ...], **options: Any) -> task.Plan:
    """In all orders, as verify runs them: a cause may be told by the size of the lower derivatives."""
    return task.Plan(dtypes, ORDERS, implementations, modes, device="cpu", seed=0, search=None, **options)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Explanation]:
    """What ``crosscheck.explain`` says, given the report that it would make; of a run of nothing unless one is given."""

    def tell(what: str | Activation, report: Report | None = None) -> Explanation:
        given = report or Report((), environment())
        monkeypatch.setattr("crosscheck._verify.explain.verify", lambda *_, **__: given)
        return explanation(what)

    return tell


@pytest.fixture
def activation_file(tmp_path: Path) -> Path:
    """A Python file with one record, called ``mine``."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``crosscheck`` with arguments, in an empty folder, as a user does.

    In this process, where the frameworks are loaded already; with an environment, be it an empty one, in another process.
    """

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        if env is None:
            with chdir(tmp_path):
                done = cli.run(*arguments, catch_exceptions=False)
            return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
        return subprocess.run(
            [sys.executable, "-m", "crosscheck", *arguments],
            cwd=tmp_path,
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
