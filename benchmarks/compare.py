"""Measure `crosscheck.compare`, each figure in a process of its own; prints them as JSON.

``python benchmarks/compare.py large`` compares 10^7 elements; ``small`` goes through the corpus of pairs; ``many`` calls it
1,000 times.
"""

import gc
import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import crosscheck
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._compare.furthest import furthest
from crosscheck._compare.results import SUBSET

ELEMENTS = 10**7
CALLS = 1000


def peak() -> int:
    """The most memory that this process has taken, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def alone(x: Any) -> list[Any]:
    """Value and gradient of tanh in both frameworks, as one would compute them without crosscheck."""
    leaf = torch.from_numpy(x).requires_grad_()
    value = torch.tanh(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, torch.ones_like(value))

    def both(x: Any, cotangent: Any) -> Any:
        value, pull_back = jax.vjp(jnp.tanh, x)
        return value, pull_back(cotangent)[0]

    found = jax.jit(both)(x, np.ones_like(x))
    return [value.detach().numpy(), gradient.numpy(), *(np.asarray(one) for one in found)]


def large() -> dict[str, float]:
    """Ratios to the two functions alone, and memory in inputs."""
    x = np.random.default_rng(0).standard_normal(ELEMENTS).astype(np.float32)
    crosscheck.compare(torch.tanh, jnp.tanh, [x[:1000]])
    before = peak()
    whole = [seconds(lambda: crosscheck.compare(torch.tanh, jnp.tanh, [x])) for _ in range(3)]
    memory = (peak() - before) / x.nbytes
    cost = min(seconds(lambda: alone(x)) for _ in range(3))
    results = alone(x)
    judging = seconds(lambda: furthest(results[:2], results[2:], FORMATS["float32"], SUBSET // 2))
    return {"whole": min(whole) / cost, "judging": judging / cost, "memory": memory}


def small() -> dict[str, float]:
    """The median of the time that a pair of the corpus takes, compiles included, in seconds."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    pairs = __import__("pairs").PAIRS
    chosen = pairs[:: max(1, len(pairs) // 100)]
    return {"median": statistics.median(seconds(pair.report) for pair in chosen)}


def many() -> dict[str, float]:
    """By how many MiB the process grows over the calls after the first tenth of them."""
    grown = []
    for i in range(CALLS):
        crosscheck.compare(torch.tanh, jnp.tanh, [crosscheck.normal((64,))], seed=i)
        if i in (CALLS // 10, CALLS - 1):
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            grown.append(pages * resource.getpagesize() / 2**20)
    return {"growth": grown[1] - grown[0]}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps({"large": large, "small": small, "many": many}[sys.argv[1]]()))
