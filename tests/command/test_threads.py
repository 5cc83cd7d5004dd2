"""Several threads at once: each gets what it gets alone, and what is the process's is afterwards as it was."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import flint
import numpy as np
import pytest
import torch
from truths import precision, row_truth, truth

import crosscheck
from crosscheck import activations
from crosscheck._frameworks import settings, torch_backend

pytestmark = pytest.mark.full

FOUR = 4

AT_ONCE = """
import json
from concurrent.futures import ThreadPoolExecutor

import jax, jax.numpy as jnp, torch
import scipy.sparse, scipy.special, torch._dynamo  # what these change when they are imported is theirs
from global_state import changed, state

import crosscheck

few = [crosscheck.normal((8,))]
TASKS = {
    "verify": lambda: crosscheck.verify(["silu", "relu"], dtypes=["float32"], orders=[0, 1, 2], quick=True),
    "rows": lambda: crosscheck.verify(
        "softmax", dtypes=["bfloat16"], orders=[0, 1], quick=True, implementations=["torch", "jax"]
    ),
    "compare": lambda: crosscheck.compare(torch.sin, jnp.sin, few, order=2),
    "exact": lambda: crosscheck.compare(torch.sinh, jnp.sinh, few, exact=lambda m, x: m.sinh(x)),
    "sweep": lambda: crosscheck.sweep("silu", dtype="float32", range=(-2.0, -1.9)),
    "training": lambda: crosscheck.perceptron("or", epochs=3),
}


def said(name):
    report = TASKS[name]()
    if not hasattr(report, "comparisons"):
        return str(report)
    return [str(comparison) for comparison in report.comparisons]


alone = {name: said(name) for name in TASKS}
with ThreadPoolExecutor(4) as pool:  # as many threads as will be started
    pool.map(lambda n: torch.ones(1).sum(), range(4))
before = state()
with ThreadPoolExecutor(4) as pool:
    together = list(pool.map(said, [*TASKS, *TASKS]))
after = state()
other = [name for name, got in zip([*TASKS, *TASKS], together) if got != alone[name]]
print(json.dumps({"other": other, "changed": changed(before, after)}))
"""


def test_threads_get_what_one_gets_and_leave_nothing_changed() -> None:
    """In a process of its own, since the first call of each is the one that loads what it needs."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    done = subprocess.run([sys.executable, "-c", AT_ONCE], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"other": [], "changed": []}


def test_truths_in_threads_are_those_of_one() -> None:
    names = ["gelu", "log_sigmoid", "mish", "celu"]
    x = np.random.default_rng(0).normal(size=300).astype(np.float32) * 20
    rows, v = np.random.default_rng(1).normal(size=(2, 6, 8)).astype(np.float32)

    def of(name: str) -> list[bytes]:
        truths = [truth(activations[name], x, (0, 1, 2)), row_truth(activations["softmax"], rows, v, (0, 1))]
        return [
            array.tobytes()
            for by_order in truths
            for t in by_order.values()
            for array in (t.rounded, t.residual, t.exponent)
        ]

    alone = [of(name) for name in names]
    before = flint.ctx.prec, flint.ctx.cap
    with ThreadPoolExecutor(FOUR) as pool:
        assert list(pool.map(of, names)) == alone
    assert (flint.ctx.prec, flint.ctx.cap) == before


Context = Callable[[], AbstractContextManager[Any]]


def crossed(contexts: tuple[Context, Context], look: Callable[[], object]) -> list[object]:
    """What two threads see, each in a context of its own: the second enters before the first has left, unless it may not."""
    entered, both = threading.Event(), threading.Event()
    seen: list[object] = []

    def first() -> None:
        with contexts[0]():
            entered.set()
            both.wait(0.3)
            seen.append(look())

    def second() -> None:
        entered.wait()
        with contexts[1]():
            both.set()
            earlier.join()
            seen.append(look())

    earlier, later = threading.Thread(target=first), threading.Thread(target=second)
    for thread in (earlier, later):
        thread.start()
    for thread in (earlier, later):
        thread.join()
    return seen


def precisions() -> list[object]:
    """What two threads find that ask flint for another precision each, and what is left."""
    contexts = (lambda: precision(100), lambda: precision(200, 5))
    seen = crossed(contexts, lambda: (flint.ctx.prec, flint.ctx.cap))
    return [*seen, (flint.ctx.prec, flint.ctx.cap)]


def test_flint_s_precision_is_one_thread_s_at_a_time() -> None:
    before = flint.ctx.prec, flint.ctx.cap
    assert precisions() == [(100, 3), (200, 5), before]


def test_without_the_lock_it_would_be_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    before = flint.ctx.prec, flint.ctx.cap
    monkeypatch.setattr("crosscheck._truth.balls._ONE_AT_A_TIME", nullcontext())
    assert precisions() == [(200, 5), before, (100, 3)]
    flint.ctx.prec, flint.ctx.cap = before


def test_a_precision_inside_another_is_restored_to_that() -> None:
    with precision(100):
        with precision(200, 5):
            assert (flint.ctx.prec, flint.ctx.cap) == (200, 5)
        assert (flint.ctx.prec, flint.ctx.cap) == (100, 3)


def of_a_new_thread() -> int:
    """How many threads torch takes in a thread of Python's that is new to it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@contextmanager
def forgetful() -> Iterator[None]:
    """One thread, restored to what it was in this thread, which may be one because of another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@contextmanager
def three_threads() -> Iterator[None]:
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
    assert of_a_new_thread() == usual


def test_the_catalogue_is_judged_alike_on_every_number_of_cores() -> None:
    """Along the first axis, torch rounds the last rows of each thread twice."""
    usual, said = torch.get_num_threads(), []
    try:
        for cores in (1, 2, 8):
            torch.set_num_threads(cores)
            options: dict[str, Any] = {"dtypes": ["bfloat16"], "orders": [0], "modes": ["eager"]}
            report = crosscheck.verify("softmax", implementations=["torch.native"], **options)
            assert torch.get_num_threads() == cores
            said.append([str(comparison) for comparison in report.comparisons])
    finally:
        torch.set_num_threads(usual)
    assert said[0]
    assert said[0] == said[1] == said[2]


def test_torch_has_its_threads_again_after_several_have_asked_for_one() -> None:
    with three_threads():
        assert crossed((torch_backend.one_thread,) * 2, torch.get_num_threads) == [1, 1]
        assert (torch.get_num_threads(), of_a_new_thread()) == (3, 3)
        assert crossed((forgetful, forgetful), torch.get_num_threads) == [1, 1]
        assert (torch.get_num_threads(), of_a_new_thread()) == (3, 1)


def begun_meanwhile(context: Context) -> int:
    """What a new thread begins with after one has asked for one that began while another had."""
    with ThreadPoolExecutor(1) as pool:
        with context():
            assert pool.submit(torch.get_num_threads).result() == 1

        def ask() -> None:
            with context():
                pass

        pool.submit(ask).result()
    return of_a_new_thread()


def test_a_thread_that_began_while_another_asked_for_one_leaves_the_usual_number() -> None:
    with three_threads():
        assert begun_meanwhile(torch_backend.one_thread) == 3
        assert begun_meanwhile(forgetful) == 1


def test_a_thread_s_own_number_of_threads_is_left_to_it() -> None:
    with three_threads():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(torch.set_num_threads, 2).result()
        with torch_backend.one_thread():
            assert torch.get_num_threads() == 1
        assert (torch.get_num_threads(), of_a_new_thread()) == (3, 2)


@pytest.mark.parametrize(("alone", "most"), [(True, 1), (False, 2)])
def test_what_changes_the_process_is_run_alone(alone: bool, most: int) -> None:
    inside: list[int] = []
    counts = []

    @contextmanager
    def counted() -> Iterator[None]:
        with settings.undisturbed(alone=alone):
            inside.append(1)
            counts.append(len(inside))
            yield
            inside.pop()

    crossed((counted, counted), lambda: None)
    assert max(counts) == most
