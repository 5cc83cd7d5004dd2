"""Functions of the catalogue under each way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import torch

import crosscheck
from transformations import jax_ways, torch_ways
from transformations.records import Function, Outcome, Way, inputs, judge, weights

WAYS = (*torch_ways.WAYS, *jax_ways.WAYS)
MAKERS: Mapping[str, Any] = {"torch": torch.from_numpy, "jax": jnp.asarray}
PLAIN = {"torch": torch_ways.plain, "jax": jax_ways.plain}


def tried(names: Sequence[str], ways: Sequence[Way] = WAYS, replace: Mapping[str, Function] | None = None) -> list[Outcome]:
    """What becomes of each function of these names under each way; ``replace`` has other functions for a framework."""
    return [outcome_of(name, way, (replace or {}).get(way.framework)) for name in names for way in ways]


def outcome_of(name: str, way: Way, function: Function | None = None) -> Outcome:
    activation = crosscheck.activations[name]
    right = getattr(activation, way.framework)
    make = MAKERS[way.framework]
    x = make(inputs(activation))
    w = make(weights(tuple(right(x).shape)))
    try:
        results = way.results(function or right, x, w)
    except Exception as error:
        return Outcome(
            name, way.framework, way.name, float("inf"), message=f"{type(error).__name__}: {' '.join(str(error).split())}"
        )
    return judge(activation, way, PLAIN[way.framework](right, x, w), results)


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A line for each way: of how many functions it gives the same bits, of how many the same but for rounding."""
    yield f"{'framework':10} {'transformation':38} {'functions':>9} {'the same bits':>13} {'by rounding':>11} {'other':>5}"
    for framework, way in dict.fromkeys((outcome.framework, outcome.way) for outcome in outcomes):
        here = [outcome for outcome in outcomes if (outcome.framework, outcome.way) == (framework, way)]
        same = sum(outcome.passed and outcome.ulp == 0 for outcome in here)
        rounded = sum(outcome.passed for outcome in here) - same
        yield f"{framework:10} {way:38} {len(here):9} {same:13} {rounded:11} {len(here) - same - rounded:5}"
