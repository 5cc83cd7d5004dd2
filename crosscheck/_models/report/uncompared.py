"""What a comparison of two models leaves uncompared, and whether the rest is enough for a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crosscheck._models.report.records import BLANK
from crosscheck._models.values.uses import DATA
from crosscheck._records.worded import Worded, kind_of

if TYPE_CHECKING:
    from crosscheck._models.engine import ModelResults

ELSEWHERE = Worded(
    "JAX has another quantity there, as where it adds or scales in another order; what follows is compared", "elsewhere"
)
NOT_COPIED = Worded("weights were not copied there", "not copied")
BLANK_THERE = Worded(f"{BLANK} there", BLANK.kind)
MOST_NAMES = 3


def named(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def left_out(results: ModelResults) -> dict[int, Worded]:
    """The landmarks that were not compared, each with the reason."""
    return {
        **dict.fromkeys(sorted(results.located.left), ELSEWHERE),
        **dict.fromkeys(sorted(results.blank), BLANK_THERE),
        **dict.fromkeys(sorted(results.open), NOT_COPIED),
    }


def refusal(results: ModelResults) -> str:
    """Why models without a fault get no verdict; empty if they get one."""
    if where := blank_places(results):
        words = f"{BLANK} {where}, so nothing was compared; give inputs at which both are finite"
        return Worded(words, BLANK.kind, where)
    if results.uncopied:
        words = f"not copied: {named(results.uncopied)}; no run shows which of JAX's arrays these are: copy them by hand"
        return Worded(words, NOT_COPIED.kind, *results.uncopied)
    return _unlike(results)


def notes(results: ModelResults, *, faults: bool) -> Iterator[str]:
    """Remarks on weights and statistics that were not compared."""
    if results.uncopied and faults:
        words = f"not copied: {named(results.uncopied)}: mend the first fault, then copy again"
        yield Worded(words, NOT_COPIED.kind, *results.uncopied)
    if faults and (unlike := _unlike(results)):
        yield unlike
    if lost := [name for name, other in statistics(results).items() if not other]:
        words = f"PyTorch changes {named(lost)}; JAX returns no new values for {len(lost)} of its buffers"
        yield Worded(words, "not returned", *lost)


# places without a finite number


def blank_places(results: ModelResults) -> str:
    """Where both sides have no finite number: in an output, or in most places; empty if neither is so."""
    outputs = [name for name, number in results.outputs.items() if number in results.blank]
    if outputs:
        return f"in {named(outputs)}"
    gradients = [
        gradient for gradient in results.gradients if gradient.compared or kind_of(gradient.explanation) == BLANK.kind
    ]
    without = sum(not gradient.compared for gradient in gradients)
    for count, total, what in (
        (len(results.blank), len(results.landmarks), "landmarks"),
        (without, len(gradients), "gradients"),
    ):
        if 2 * count > total:
            return f"in {count} of {total} {what}"
    return ""


# statistics that the run changes


def statistics(results: ModelResults) -> dict[str, bool]:
    """The buffers that PyTorch changes and that were not compared: whether JAX returns others that may be their partners."""
    compared = {results.landmarks[number].step for number in results.outputs.values()}
    flat = results.flat
    returned = [number for number in flat.results[len(results.torch.names) :] if flat.kinds[number] == DATA]
    sizes = {flat.avals[number].size for number in returned if flat.maker[number] not in compared}
    return {name: value.size in sizes for name, value in results.torch.buffers.items() if name not in results.outputs}


def _unlike(results: ModelResults) -> str:
    names = [name for name, other in statistics(results).items() if other and name not in results.uncopied]
    why = "JAX's statistics differ from PyTorch's before the run; weights='copy' copies them"
    return Worded(f"not compared: the new values of {named(names)}; {why}", "other statistics", *names) if names else ""
