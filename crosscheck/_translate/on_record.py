"""What the catalogue has on record of the functions of an entry: the deviations that a porter meets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from crosscheck._dictionary.records import Translation
from crosscheck._records.deviations import Deviation
from crosscheck._records.records import Activation

SIDES = {"torch.native": "PyTorch", "jax.native": "JAX"}
FIRST = ("definition", "special", "missing", "convention", "inaccurate")
"""The causes that lead, in this order; what changes with the layout of an array concerns no port."""
MOST = 3
MODES = {"eager", "jit"}


@dataclass(frozen=True)
class OnRecord:
    """An activation of the catalogue, what of its deviations concerns a port, and the number of all of them."""

    activation: str
    reasons: tuple[str, ...]
    all: int


def on_record(entry: Translation) -> OnRecord | None:
    """The deviations on record of a function that an entry is about; None if the catalogue does not have it."""
    from crosscheck._catalogue import activations

    paths = {path: names for path, names in _paths().items() if path in entry.names}
    named = [activations[name] for names in paths.values() for name in names]
    if not named:
        return None
    activation = max(named, key=lambda candidate: _likeness(candidate, entry))
    met = sorted(filter(_met, activation.deviations), key=lambda deviation: FIRST.index(deviation.cause))
    return OnRecord(activation.name, tuple(map(_said, met[:MOST])), len(activation.deviations)) if met else None


@cache
def _paths() -> dict[str, list[str]]:
    """The activations by the function that PyTorch ships for each."""
    from crosscheck._catalogue import activations

    paths: dict[str, list[str]] = {}
    for name, activation in activations.items():
        if "torch" in activation.natives:
            paths.setdefault(activation.natives["torch"].path, []).append(name)
    return paths


def _likeness(activation: Activation, entry: Translation) -> int:
    """Several activations may have one function of PyTorch, with other arguments: those of the entry decide."""
    arguments = activation.natives["torch"].matched.items()
    written = all(f"{name}={value!r}" in entry.torch for name, value in arguments)
    return len(arguments) if written else -1


def _met(deviation: Deviation) -> bool:
    """Whether it concerns values or gradients of the functions as they are called in float32 or float64, uncompiled."""
    regions = [region for region in deviation.regions if region.order < 2 and {"float32", "float64"} & {*region.dtypes}]
    modes = (set(deviation.modes_of(region)) for region in regions)
    return (
        deviation.cause in FIRST
        and bool({*SIDES} & {*deviation.implementations})
        and any(region_modes & MODES for region_modes in modes)
    )


def _said(deviation: Deviation) -> str:
    """The first two sentences of its reason: what is seen, and why."""
    return ". ".join(deviation.reason.split(". ")[:2]).removesuffix(".") + "."
