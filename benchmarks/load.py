"""Measure many comparisons in one process: memory, time, and whether anything global is left changed.

``python benchmarks/load.py --json results/robustness/load.json`` compares 300 pairs of functions, each another one, then one
pair 2,000 times, and writes the curves of both; ``--distinct`` and ``--same`` say how many. Prints the figures as one line
of JSON.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from global_state import changed, state
from many_comparisons import ONE_IN, Curve, distinct, measured

import crosscheck
from crosscheck._records.plain import plain

SCHEMA = "crosscheck.load/1"
INPUTS = [crosscheck.normal((64,))]


def different(count: int) -> Iterator[object]:
    return (crosscheck.compare(*pair, INPUTS) for pair in distinct(count))


def same(count: int) -> Iterator[object]:
    return (crosscheck.compare(torch.tanh, jnp.tanh, INPUTS, seed=seed) for seed in range(count))


def rounded(curve: Curve) -> dict[str, Any]:
    """For a file: MiB and milliseconds with a digit or two beyond what is reproducible."""
    return {
        "comparisons": list(curve.comparisons),
        "memory": [round(size, 2) for size in curve.memory],
        "seconds": [round(duration, 5) for duration in curve.seconds],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the curves as JSON")
    parser.add_argument("--distinct", type=int, default=300, metavar="N", help="pairs that are compared once each")
    parser.add_argument("--same", type=int, default=2000, metavar="N", help="comparisons of one pair")
    options = parser.parse_args()
    first = crosscheck.compare(torch.tanh, jnp.tanh, INPUTS)  # loads what is loaded at the first
    before = state()
    curves = {
        "distinct": measured(different(options.distinct), ONE_IN),
        "same": measured(same(options.same), max(1, options.same // 50)),
    }
    changes = changed(before, state())
    figures = {f"{name} {what}": getattr(curve, what) for name, curve in curves.items() for what in ("growth", "slower")}
    if options.json:
        data = {
            "schema": SCHEMA,
            "environment": plain(first.environment),
            "changed": changes,
            **{name: rounded(curve) for name, curve in curves.items()},
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({**figures, "changed": len(changes)}))
    if changes:
        sys.exit(f"changed: {', '.join(changes)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
