"""A weight that JAX applies and PyTorch does not have: without it, JAX gives what PyTorch gives."""

from __future__ import annotations

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.engine import Found
from crosscheck._models.forcing import Fault
from crosscheck._models.reruns import Stretch
from crosscheck._models.uses import DATA, WEIGHT

NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}
"""For each operation, the second operand with which it changes nothing."""
VERBS = {"add": "adds", "sub": "subtracts", "mul": "multiplies by", "div": "divides by"}


def extra_weight(found: Found, fault: Fault) -> str:
    """Which weight JAX has too many, as a clause; empty if none explains the fault."""
    partnered = {match.jax for match in found.weights.matches if match.torch is not None}
    alone = set(found.model.names) - partnered
    stretch, flat = Stretch(found, fault.landmark), found.flat
    if not alone or not stretch.is_small:
        return ""
    for step in stretch.steps:
        name = step.operation.name
        for place, number in enumerate(step.inputs):
            weight = isinstance(number, int) and flat.kinds[number] == WEIGHT and flat.origins[number]
            if name not in NEUTRAL or step.operation.kind != DATA or not weight or not weight <= alone:
                continue

            def neutral(value: Array, number: float = NEUTRAL[name]) -> Array:
                return np.full(np.shape(value), number, np.asarray(value).dtype)

            if stretch.error({(step.operation.index, place): neutral}) <= stretch.limit:
                return f"JAX {VERBS[name]} {', '.join(sorted(weight))} there, for which PyTorch has no weight"
    return ""
