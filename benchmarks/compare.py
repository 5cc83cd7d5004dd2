"""Measure `crosscheck.compare`, each figure in a process of its own; prints them as JSON.

``python benchmarks/compare.py large`` compares 10^7 elements, ``rows`` 25,000 rows of 1,000; ``small`` goes through right
pairs of the corpus; ``many`` calls it 1,000 times.
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
from crosscheck._compare.inputs import gather
from crosscheck._compare.judge.comparisons import Request
from crosscheck._compare.judge.furthest import furthest
from crosscheck._compare.judge.results import SUBSET, directions
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.torch_program import TorchProgram

ELEMENTS = 10**7
CALLS = 1000
PAIRS = 60
"""How many pairs of the corpus are measured."""


def peak() -> int:
    """The most memory that this process has taken, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def cpu(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def alone(x: Any, torch_fn: Any = torch.tanh, jax_fn: Any = jnp.tanh) -> list[Any]:
    """Value and gradient in both frameworks, as one would compute them without crosscheck."""
    leaf = torch.from_numpy(x).requires_grad_()
    value = torch_fn(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, torch.ones_like(value))

    def both(x: Any, cotangent: Any) -> Any:
        value, pull_back = jax.vjp(jax_fn, x)
        return value, pull_back(cotangent)[0]

    outputs = jax.jit(both)(x, np.ones_like(x))
    return [value.detach().numpy(), gradient.numpy(), *(np.asarray(output) for output in outputs)]


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


def called(pair: Any, modes: tuple[str, ...]) -> None:
    """Both functions and their gradients, once as they are, and the JAX function's compiled too where ``modes`` say so."""
    inputs = gather(pair.make(), pair.dtype, pair.options.get("wrt"), pair.order, seed=0)
    request = Request(pair.torch, pair.jax, inputs, "", pair.order)
    programs = TorchProgram(pair.torch, inputs, "cpu"), JaxProgram(pair.jax, inputs, "cpu", modes)
    along = directions(programs[0].outputs()[0], inputs, None, request)
    programs[0].results(pair.order, along, "eager")
    for mode in modes:
        programs[1].results(pair.order, along, mode)


def small() -> dict[str, float]:
    """How much longer a small right pair takes than calling both functions and their gradients.

    In CPU time, compiling included: the median over a part of the corpus; beside it where the JAX function is
    called compiled too, as ``compare`` does.
    """
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    right = [pair for pair in __import__("pairs").PAIRS if pair.passes]
    chosen = right[:: max(1, len(right) // PAIRS)]
    chosen[0].report()
    ratios = []
    for pair in chosen:
        jax.clear_caches()
        whole = cpu(pair.report)
        jax.clear_caches()
        once = cpu(lambda pair=pair: called(pair, ("eager",)))
        jax.clear_caches()
        ratios.append((whole / once, whole / cpu(lambda pair=pair: called(pair, ("eager", "jit")))))
    eager, both = zip(*ratios, strict=True)
    return {"median": statistics.median(eager), "of both modes": statistics.median(both)}


def rows() -> dict[str, float]:
    """A layer norm of very many rows: CPU time as a ratio to both functions alone, and the most memory in GiB."""

    def normalised(x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)

    x = np.random.default_rng(0).standard_normal((25_000, 1_000), np.float32)
    module = torch.nn.LayerNorm(x.shape[-1:], elementwise_affine=False)
    whole = cpu(lambda: crosscheck.compare(module, normalised, [x]))
    memory = peak() / 2**30
    return {"whole": whole / cpu(lambda: alone(x, module, normalised)), "memory": memory}


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
    print(json.dumps({"large": large, "rows": rows, "small": small, "many": many}[sys.argv[1]]()))
