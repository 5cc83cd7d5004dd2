"""The fault of a model whose devices exchange something else than PyTorch's values need."""

from __future__ import annotations

from typing import Any

from jax.extend.core import ClosedJaxpr

from crosscheck._models.backward.exchanges import Exchanged, evaluated, exchanged, is_close, unlike
from crosscheck._models.cut.landmarks import axes_of
from crosscheck._models.engine import ModelResults
from crosscheck._models.report.report import Fault
from crosscheck._records.worded import Worded


def other_exchange(results: ModelResults) -> Fault | None:
    """One fault in place of all, if one change in what devices exchange makes the results right."""
    shared, located = results.flat.shared, results.located.faults
    for name, (device, apart) in results.model.unlike.items():
        words = (
            f"device {device} holds other numbers than another in {name}, which both should hold alike: {apart:.2g} apart"
        )
        return _of_devices(results, Exchanged(Worded(words, "unlike", device), "", apart))
    if shared is None:
        return None
    given = [*results.model.weights, *results.forcing.inputs]
    if not located:
        other = unlike(shared, results.flat.dtype, given)
        return None if other is None else _of_devices(results, other)

    def wrong(closed: ClosedJaxpr) -> frozenset[Any]:
        outputs = evaluated(closed, results.flat.dtype, given)
        pairs = enumerate(zip(results.torch.results, outputs, strict=False))
        return frozenset(k for k, (torch_output, jax_output) in pairs if not _same(torch_output.wide, jax_output))

    mistake = exchanged(shared, wrong)
    if mistake is None:
        return None
    first = located[0]
    landmark = results.landmarks[first.landmark]
    operation = results.torch.operations[first.operation] if first.operation >= 0 else None
    path = first.path or (operation.path if operation else "") or landmark.path
    step = results.flat.steps[landmark.step]
    return Fault(
        torch=path,
        kind=type(results.torch.modules[path]).__name__ if path in results.torch.modules else "",
        operation=operation.name if operation else landmark.name.removeprefix(f"{landmark.path}."),
        jax=step.operation.path,
        source=mistake.source or step.operation.source,
        cause="definition",
        side=None,
        error=results.located.errors[first.landmark],
        explanation=mistake.words,
        layers=tuple(dict.fromkeys(number for fault in located for number in fault.shown)),
    )


def _of_devices(results: ModelResults, other: Exchanged) -> Fault:
    """The fault of devices that hold other numbers than the first, whose numbers are PyTorch's."""
    kind = type(results.torch.modules[""]).__name__
    return Fault("", kind, "sharding", "", other.source, "definition", "jax", other.error, other.words, ())


def _same(torch_output: Any, jax_output: Any) -> bool:
    order = axes_of(jax_output.shape, torch_output.shape)
    seen = torch_output if order is None else torch_output.transpose(order)
    return seen.size == jax_output.size and is_close(jax_output.reshape(-1), seen.reshape(-1))
