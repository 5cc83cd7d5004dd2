"""What a comparison of two models leaves uncompared, and whether the rest is enough for a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crosscheck._models.report.records import BLANK
from crosscheck._models.values.uses import DATA

if TYPE_CHECKING:
    from crosscheck._models.engine import ModelResults

ELSEWHERE = "JAX has another quantity there, as where it adds or scales in another order; what follows is compared"
NOT_COPIED = "weights were not copied there"
MOST_NAMES = 3


def named(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def left_out(found: ModelResults) -> dict[int, str]:
    """The landmarks that were not compared, each with the reason."""
    return {
        **dict.fromkeys(sorted(found.located.left), ELSEWHERE),
        **dict.fromkeys(sorted(found.blank), f"{BLANK} there"),
        **dict.fromkeys(sorted(found.open), NOT_COPIED),
    }


def refusal(found: ModelResults) -> str:
    """Why models without a fault get no verdict; empty if they get one."""
    if where := blank_places(found):
        return f"{BLANK} {where}, so nothing was compared; give inputs at which both are finite"
    if found.uncopied:
        return f"not copied: {named(found.uncopied)}; no run shows which of JAX's arrays these are: copy them by hand"
    return _unlike(found)


def notes(found: ModelResults, *, faults: bool) -> Iterator[str]:
    """Remarks on weights and statistics that were not compared."""
    if found.uncopied and faults:
        yield f"not copied: {named(found.uncopied)}: mend the first fault, then copy again"
    if faults and (unlike := _unlike(found)):
        yield unlike
    if lost := [name for name, other in statistics(found).items() if not other]:
        yield f"PyTorch changes {named(lost)}; JAX returns no new values for {len(lost)} of its buffers"


# places without a finite number


def blank_places(found: ModelResults) -> str:
    """Where both sides have no finite number: in an output, or in most places; empty if neither is so."""
    outputs = [name for name, number in found.outputs.items() if number in found.blank]
    if outputs:
        return f"in {named(outputs)}"
    gradients = [one for one in found.gradients if one.compared or one.explanation == BLANK]
    without = sum(not one.compared for one in gradients)
    for count, total, what in (
        (len(found.blank), len(found.landmarks), "landmarks"),
        (without, len(gradients), "gradients"),
    ):
        if 2 * count > total:
            return f"in {count} of {total} {what}"
    return ""


# statistics that the run changes


def statistics(found: ModelResults) -> dict[str, bool]:
    """The buffers that PyTorch changes and that were not compared: whether JAX returns others that may be their partners."""
    compared = {found.landmarks[number].step for number in found.outputs.values()}
    flat = found.flat
    returned = [one for one in flat.results[len(found.torch.names) :] if flat.kinds[one] == DATA]
    sizes = {flat.avals[one].size for one in returned if flat.maker[one] not in compared}
    return {name: value.size in sizes for name, value in found.torch.buffers.items() if name not in found.outputs}


def _unlike(found: ModelResults) -> str:
    names = [name for name, other in statistics(found).items() if other and name not in found.uncopied]
    why = "JAX's statistics differ from PyTorch's before the run; weights='copy' copies them"
    return f"not compared: the new values of {named(names)}; {why}" if names else ""
