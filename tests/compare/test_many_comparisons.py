"""Memory and time of many comparisons in one process: the curves that are kept, and what would show in them."""

import gc
import itertools
import json
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from many_comparisons import ONE_IN, Curve, Function, distinct, measured

import crosscheck

pytestmark = pytest.mark.full

RESULTS = Path(__file__).parents[2] / "results" / "robustness" / "load.json"
GROWTH = {"distinct": 64.0, "same": 4.0}
"""KiB per comparison. The kept run of distinct functions has 43 and flattens: JAX keeps what it compiled of each operation
for each length, of which a diagnosis tries few. A compiled program takes about 1,300, so that one kept for each comparison
would show, or for each that is diagnosed; that none is kept of functions that agree is counted exactly, below."""
SLOWER = 1.5


def test_the_kept_curves_are_whole_and_flat() -> None:
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert data["schema"] == "crosscheck.load/1"
    assert data["changed"] == []
    for name, made in (("distinct", 300), ("same", 2000)):
        curve = Curve(*(tuple(data[name][part]) for part in ("comparisons", "memory", "seconds")))
        assert curve.comparisons[-1] == made
        assert len(curve.comparisons) == len(curve.memory) == len(curve.seconds) >= 15
        assert curve.growth <= GROWTH[name]
        assert curve.slower <= SLOWER


def test_the_pairs_are_distinct_and_one_in_so_many_is_wrong() -> None:
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    seen, off = set(), []
    for number, (torch_fn, jax_fn) in enumerate(distinct(300)):
        values = torch_fn(x)
        seen.add(tuple(values.tolist()))
        if abs(values.numpy() - jax_fn(jnp.asarray(x.numpy()))).max() > 1e-3:
            off.append(number)
    assert len(seen) == 300
    assert off == list(range(ONE_IN - 1, 300, ONE_IN))


def test_what_is_kept_shows_as_growth() -> None:
    kept, page = [], b"x" * 2**18

    def leaks() -> Iterator[object]:
        while True:
            kept.append(mmap.mmap(-1, len(page)))  # new memory, whatever was freed before, and written to
            kept[-1].write(page)
            yield None

    assert measured(itertools.islice(leaks(), 100), 10).growth == pytest.approx(256, rel=0.2)
    kept.clear()


def test_what_takes_longer_and_longer_shows() -> None:
    def slows() -> Iterator[object]:
        for number in itertools.count():
            yield sum(range(5000 * number))

    assert measured(itertools.islice(slows(), 100), 10).slower > 1.5


def test_nothing_kept_is_flat() -> None:
    curve = measured((b"x" * 2**18 for _ in range(100)), 10)
    assert abs(curve.growth) < 16


FEW = [crosscheck.normal((64,))]
KEPT: list[object] = []


def live(pairs: Iterable[tuple[Function, Function]]) -> int:
    """How many compiled programs JAX holds after these comparisons."""
    for pair in pairs:
        crosscheck.compare(*pair, FEW)
    gc.collect()  # compiled programs stand in cycles
    return len(jax.devices()[0].client.live_executables())


def agreeing() -> Iterator[tuple[Function, Function]]:
    return (pair for number, pair in enumerate(distinct(300)) if number % ONE_IN != ONE_IN - 1)


def keeps_memory(x: torch.Tensor) -> torch.Tensor:
    """A function that keeps 256 KiB at every call, of which a comparison makes several."""
    KEPT.append(torch.ones(2**16))
    return x.sin()


def keeps_programs(x: Any) -> Any:
    """A function that keeps a program at every call."""
    number = len(KEPT)
    KEPT.append(jax.jit(lambda x: x + number).lower(jax.ShapeDtypeStruct((2,), np.float32)).compile())
    return jnp.sin(x)


@pytest.mark.slow
def test_no_compiled_program_is_kept_of_functions_that_agree_and_one_that_is_shows() -> None:
    pairs = agreeing()
    warm = live(itertools.islice(pairs, 30))
    assert live(itertools.islice(pairs, 40)) == warm
    assert live([(torch.sin, keeps_programs)]) > warm
    KEPT.clear()


@pytest.mark.slow
def test_memory_that_a_function_keeps_shows() -> None:
    leak = measured((crosscheck.compare(keeps_memory, jnp.sin, FEW) for _ in range(40)), 2)
    assert leak.growth > GROWTH["distinct"]
    KEPT.clear()
