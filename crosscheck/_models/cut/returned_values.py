"""What both models return: outputs, and the running statistics that a call in training mode changes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from crosscheck._frameworks.programs import Outputs
from crosscheck._models.cut.landmarks import Landmark, axes_of, whole
from crosscheck._models.cut.running_statistics import Owners, origins
from crosscheck._models.pair.pairing import WeightPair
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.values.uses import Use, Values
from crosscheck._records.errors import UsageError


def ends(
    torch: TorchRecord,
    outputs: Outputs,
    model: JaxModel,
    flat: JaxProgramFlat,
    uses: Sequence[tuple[Step, Use, int]],
    pairs: Sequence[WeightPair],
) -> list[Landmark]:
    """A landmark for each output, and for each buffer of torch that changes.

    Raises:
        UsageError: If the two models return different structures, or arrays of different sizes.
    """
    assert model.outputs is not None
    jax_outputs = model.outputs
    state: list[str] = []
    if not outputs.tree.same(jax_outputs.tree):
        pair = jax_outputs.tree.kind == "sequence" and len(jax_outputs.tree.children) == 2
        state = [name.partition("]")[2] for name in jax_outputs.names[len(outputs.names) :]]
        if not pair or not outputs.tree.same(jax_outputs.tree.children[0]) or not origins(model.names, state):
            raise UsageError(
                f"jax_model: returned {jax_outputs.tree}, expected what torch_model returns, {outputs.tree}, or a pair of "
                f"that and a new state; wrap one of the two so that they return the same"
            )
    landmarks = []
    count = len(outputs.names)
    for k, (name, values) in enumerate(zip(outputs.names, torch.results, strict=True)):
        shape = jax_outputs.shapes[k]
        if shape != values.wide.shape and axes_of(shape, values.wide.shape) is None:
            raise UsageError(
                f"jax_model: its output {name} has the shape {shape}, torch's has {values.wide.shape}; "
                f"wrap one of the two so that they return the same"
            )
        step = flat.steps[flat.maker[flat.results[k]]]
        landmarks.append(whole(f"output {name}", "", (flat, step), torch.outputs[k], values, end=True))
    changed = dict(zip([*state, *model.changed], flat.results[count:], strict=True))
    before = origins(model.names, state) | {name: name for name in model.changed}
    for name, buffer in Owners(torch, model, flat, uses, pairs).buffers(before, changed).items():
        values = Values(torch.buffers[buffer], torch.buffers[buffer])
        shape = tuple(flat.avals[changed[name]].shape)
        if prod(shape) != values.wide.size:
            raise UsageError(
                f"jax_model: its new value of {name} has the shape {shape}, torch's {buffer} has {values.wide.shape}; "
                f"a new value must have the shape of the old one"
            )
        step = flat.steps[flat.maker[changed[name]]]
        landmarks.append(whole(buffer, buffer.rpartition(".")[0], (flat, step), None, values, end=True))
    return landmarks
