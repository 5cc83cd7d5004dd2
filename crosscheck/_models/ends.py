"""What both models return: outputs, and the running statistics that a call in training mode changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from crosscheck._frameworks.programs import Array, Outputs
from crosscheck._models.jax_models import JaxModel
from crosscheck._models.jax_recording import JaxProgramFlat
from crosscheck._models.landmarks import Landmark, axes_of, whole
from crosscheck._models.names import likeness
from crosscheck._models.torch_recording import TorchRecord
from crosscheck._models.uses import Values
from crosscheck._records.errors import UsageError


def ends(torch: TorchRecord, outputs: Outputs, model: JaxModel, flat: JaxProgramFlat) -> list[Landmark]:
    """A landmark for each output, and for each buffer of torch that changes.

    Raises:
        UsageError: If the two models return different structures, or arrays of different sizes.
    """
    assert model.outputs is not None
    theirs = model.outputs
    state = 0
    if not outputs.tree.same(theirs.tree):
        pair = theirs.tree.kind == "sequence" and len(theirs.tree.children) == 2
        inside = [name.partition("]")[2] for name in theirs.names[len(outputs.names) :]]
        known = any(leaf.endswith(name) for name in inside if name for leaf in model.names)
        if not pair or not outputs.tree.same(theirs.tree.children[0]) or not known:
            raise UsageError(
                f"jax_model: returned {theirs.tree}, expected what torch_model returns, {outputs.tree}, or a pair of that "
                f"and a new state; wrap one of the two so that they return the same"
            )
        state = len(theirs.names) - len(outputs.names)
    found = []
    count = len(outputs.names)
    for k, (name, values) in enumerate(zip(outputs.names, torch.results, strict=True)):
        shape = theirs.shapes[k]
        if shape != values.wide.shape and axes_of(shape, values.wide.shape) is None:
            raise UsageError(
                f"jax_model: its output {name} has the shape {shape}, torch's has {values.wide.shape}; "
                f"wrap one of the two so that they return the same"
            )
        step = flat.steps[flat.maker[flat.results[k]]]
        found.append(whole(f"output {name}", "", (flat, step), torch.outputs[k], values, end=True))
    changed = {name: flat.results[count + k] for k, name in enumerate(theirs.names[count : count + state])}
    changed |= dict(zip(model.changed, flat.results[count + state :], strict=True))
    found += _buffers(torch, model, flat, changed)
    return found


def _buffers(torch: TorchRecord, model: JaxModel, flat: JaxProgramFlat, changed: Mapping[str, int]) -> Iterator[Landmark]:
    """The running statistics: each of JAX's belongs to that of torch with the same old values; of several, by its name."""
    before = dict(zip(model.names, model.weights, strict=True))
    left = list(torch.buffers)
    for name, number in changed.items():
        inside = name.partition("]")[2]  # JAX may return a part of what it was given, without the keys around it
        leaves = [array for leaf, array in before.items() if name.endswith(leaf) or (inside and leaf.endswith(inside))]
        alike = [one for one in left if any(_same(torch.weights[one], leaf) for leaf in leaves)]
        if not alike:
            continue
        buffer = max(alike, key=lambda one: likeness(one, name))
        left.remove(buffer)
        values = Values(torch.buffers[buffer], torch.buffers[buffer])
        step = flat.steps[flat.maker[number]]
        yield whole(buffer, buffer.rpartition(".")[0], (flat, step), None, values, end=True)


def _same(one: Array, other: Array) -> bool:
    """Whether two arrays hold the same numbers, in any order."""
    mine, theirs = (np.sort(array.astype(np.float64), axis=None) for array in (one, other))
    return np.array_equal(mine, theirs)
