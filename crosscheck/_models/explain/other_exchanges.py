"""The fault of a model whose devices exchange something else than PyTorch's values need."""

from __future__ import annotations

from typing import Any

from jax.extend.core import ClosedJaxpr

from crosscheck._models.backward.exchanges import Exchanged, evaluated, exchanged, is_close, unlike
from crosscheck._models.cut.landmarks import axes_of
from crosscheck._models.engine import ModelResults
from crosscheck._models.report.report import Fault


def other_exchange(found: ModelResults) -> Fault | None:
    """One fault in place of all, if one change in what devices exchange makes the results right."""
    shared, located = found.flat.shared, found.located.faults
    for name, (device, apart) in found.model.unlike.items():
        words = (
            f"device {device} holds other numbers than another in {name}, which both should hold alike: {apart:.2g} apart"
        )
        return _of_devices(found, Exchanged(words, "", apart))
    if shared is None:
        return None
    given = [*found.model.weights, *found.forcing.inputs]
    if not located:
        other = unlike(shared, found.flat.dtype, given)
        return None if other is None else _of_devices(found, other)

    def wrong(closed: ClosedJaxpr) -> frozenset[Any]:
        results = evaluated(closed, found.flat.dtype, given)
        pairs = enumerate(zip(found.torch.results, results, strict=False))
        return frozenset(k for k, (mine, theirs) in pairs if not _same(mine.wide, theirs))

    mistake = exchanged(shared, wrong)
    if mistake is None:
        return None
    first = located[0]
    landmark = found.landmarks[first.landmark]
    operation = found.torch.operations[first.operation] if first.operation >= 0 else None
    path = first.path or (operation.path if operation else "") or landmark.path
    step = found.flat.steps[landmark.step]
    return Fault(
        torch=path,
        kind=type(found.torch.modules[path]).__name__ if path in found.torch.modules else "",
        operation=operation.name if operation else landmark.name.removeprefix(f"{landmark.path}."),
        jax=step.operation.path,
        source=mistake.source or step.operation.source,
        cause="definition",
        side=None,
        error=found.located.errors[first.landmark],
        explanation=mistake.words,
        layers=tuple(dict.fromkeys(number for one in located for number in one.shown)),
    )


def _of_devices(found: ModelResults, other: Exchanged) -> Fault:
    """The fault of devices that hold other numbers than the first, whose numbers are PyTorch's."""
    kind = type(found.torch.modules[""]).__name__
    return Fault("", kind, "sharding", "", other.source, "definition", "jax", other.error, other.words, ())


def _same(mine: Any, theirs: Any) -> bool:
    order = axes_of(theirs.shape, mine.shape)
    seen = mine if order is None else mine.transpose(order)
    return seen.size == theirs.size and is_close(theirs.reshape(-1), seen.reshape(-1))
