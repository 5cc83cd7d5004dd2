"""Reports on what was recorded of an environment, and on how two records differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import Any

from crosscheck._atlas.reasons import Unexplained
from crosscheck._records.deviations import Anchor, Region
from crosscheck._records.implementations import on_screen
from crosscheck._records.names import DTYPES, ORDER_NAMES
from crosscheck._report.blocks import Block, Lines, Paragraph
from crosscheck._report.document import Document
from crosscheck._report.json_file import Summary
from crosscheck._report.written import Documented

RECORDING_SCHEMA = "crosscheck.recording/1"
DIFF_SCHEMA = "crosscheck.record-diff/1"
MOST_INTERVALS = 4


@dataclass(frozen=True)
class AtlasRecording(
    Documented,
    schema=RECORDING_SCHEMA,
    written=("path", "size", "_number", "regions", "unexplained", "environment", "summary"),
    renamed={"size": "bytes", "_number": "deviations"},
):
    """What ``crosscheck atlas --record`` did: the file, its size, how much it holds, and what has no reason."""

    path: Path
    size: int
    deviations: Mapping[str, tuple[Region, ...]]
    unexplained: tuple[Unexplained, ...]
    environment: Mapping[str, Any]

    @property
    def _number(self) -> int:
        return len(self.deviations)

    @property
    def regions(self) -> int:
        """The number of regions of all deviations."""
        return sum(map(len, self.deviations.values()))

    @property
    def passed(self) -> bool:
        return not self.unexplained

    @property
    def headline(self) -> str:
        left = f"; {len(self.unexplained)} that match no reason are not in it" if self.unexplained else ""
        return f"RECORDED: {self._number} deviations in {self.regions:,} regions, {self.size:,} bytes: {self.path}{left}."

    def document(self) -> Document:
        return Document(self.headline, self.passed, _without_reason(self.unexplained), self.environment)

    @property
    def summary(self) -> Summary:
        """The end of its JSON."""
        return Summary(self.passed, self.headline)


@dataclass(frozen=True)
class RecordChange:
    """How two records differ about one deviation, one line each; ``kind`` is ``appeared``, ``vanished`` or ``changed``."""

    id: str
    kind: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class RecordDiff(
    Documented, schema=DIFF_SCHEMA, written=("old", "new", "changes", "same", "notes", "unexplained", "summary")
):
    """How two records differ; ``unexplained`` is what today's run showed and no reason matches."""

    old: str
    new: str
    changes: tuple[RecordChange, ...]
    same: int
    notes: tuple[str, ...] = ()
    unexplained: tuple[Unexplained, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.changes and not self.unexplained

    @property
    def headline(self) -> str:
        counts = Counter(change.kind for change in self.changes)
        counted = [f"{count} {kind}" for kind, count in counts.items()]
        counted += [f"{len(self.unexplained)} without a reason"] * bool(self.unexplained)
        about = f"{self.old} against {self.new}"
        if self.passed:
            return f"UNCHANGED: {about}: {self.same} deviations are the same."
        return f"CHANGED: {about}: of the deviations {', '.join(counted)}, {self.same} the same."

    def document(self) -> Document:
        blocks: list[Block] = [Paragraph(note) for note in self.notes]
        blocks += [Lines(f"{change.id} ({change.kind})", change.details) for change in self.changes]
        return Document(self.headline, self.passed, [*blocks, *_without_reason(self.unexplained)])

    @property
    def summary(self) -> Summary:
        """The end of its JSON."""
        return Summary(self.passed, self.headline)


def _without_reason(unexplained: Sequence[Unexplained]) -> list[Block]:
    if not unexplained:
        return []
    title = "These match no reason; find out what they are, and write it beside the activation"
    return [Lines(title, [*map(_what, unexplained)])]


def _what(disagreement: Unexplained) -> str:
    setting = f"{disagreement.function} {ORDER_NAMES[disagreement.order]}, {disagreement.dtype} {disagreement.mode}"
    where = f"{setting}, {on_screen(disagreement.implementations)}: {disagreement.cause}"
    if disagreement.message is not None:
        return f"{where}: {disagreement.message}"
    return f"{where} at {disagreement.inputs:,} inputs, such as {disagreement.worst!r}" + (
        f", {disagreement.max_ulp:.4g} ULP" if disagreement.max_ulp > 0 else ""
    )


Regions = Mapping[str, Sequence[Region]]


def differences(
    old: tuple[str, Regions],
    new: tuple[str, Regions],
    notes: Sequence[str] = (),
    unexplained: Sequence[Unexplained] = (),
    *,
    strict: bool,
) -> RecordDiff:
    """How two named records differ. ``strict``: whether the anchors must be the same too, not only their results."""
    (old_name, before), (new_name, after) = old, new
    changes = []
    same = 0
    for id_ in dict.fromkeys([*before, *after]):
        was, is_ = before.get(id_, ()), after.get(id_, ())
        if not was and not is_:
            continue
        kind = "changed" if was and is_ else "appeared" if is_ else "vanished"
        details = tuple(_details(_by_setting(was), _by_setting(is_), strict=strict))
        changes += [RecordChange(id_, kind, details)] * bool(details)
        same += not details
    return RecordDiff(old_name, new_name, tuple(changes), same, tuple(notes), tuple(unexplained))


Setting = tuple[int, str, tuple[str, ...], tuple[int, ...], tuple[tuple[str, float], ...]]


def _by_setting(regions: Iterable[Region]) -> dict[Setting, list[Region]]:
    """The regions of each order, dtype, modes, lengths and parameters."""
    by_setting: dict[Setting, list[Region]] = {}
    for region in regions:
        for dtype in region.dtypes:
            setting = (region.order, dtype, region.modes, region.lengths, tuple(sorted(region.parameters.items())))
            by_setting.setdefault(setting, []).append(region)
    return by_setting


def _details(old: Mapping[Setting, list[Region]], new: Mapping[Setting, list[Region]], *, strict: bool) -> Iterator[str]:
    for setting in sorted({*old, *new}, key=lambda setting: (setting[0], DTYPES.index(setting[1]))):
        was, is_ = ({_content(region): region for region in some.get(setting, [])} for some in (old, new))
        before, after = (
            [region for text, region in some.items() if text not in others] for some, others in ((was, is_), (is_, was))
        )
        where = _setting(setting)
        if len(before) == len(after):
            for earlier, later in zip(before, after, strict=True):
                yield from (f"{where}: {detail}" for detail in _between(earlier, later, strict=strict))
        else:
            yield from (f"{where}: no longer {_told(region)}" for region in before)
            yield from (f"{where}: {_told(region)}" for region in after)


def _content(region: Region) -> str:
    """Everything in which two regions of one setting can differ, as text: there NaN equals itself, and -0 is not 0."""
    return repr((region.intervals, region.anchors, region.max_ulp, sorted(region.max_ulp_in.items())))


def _between(old: Region, new: Region, *, strict: bool) -> Iterator[str]:
    if repr(old.intervals) != repr(new.intervals):
        yield f"inputs {_intervals(new)}, was {_intervals(old)}"
    if _bounds(old) != _bounds(new):
        yield f"error {_bounds(new)}, was {_bounds(old)}"
    before, after = ({repr(anchor.input): anchor for anchor in region.anchors} for region in (old, new))
    for at in dict.fromkeys([*before, *after]):
        if at in before and at in after:
            yield from _results(before[at], after[at])
        elif strict:
            yield f"at {at}: " + ("an anchor that was none" if at in after else "an anchor that does not show it")


def _results(old: Anchor, new: Anchor) -> Iterator[str]:
    for who in dict.fromkeys([*old.results, *new.results]):
        was, is_ = (repr(anchor.results[who]) if who in anchor.results else "no one result" for anchor in (old, new))
        if was != is_:
            yield f"at {old.input!r}: {on_screen(who)} gives {is_}, was {was}"


def _setting(setting: Setting) -> str:
    order, dtype, modes, lengths, parameters = setting
    more = [" ".join(modes)] if modes else []
    more += [f"rows of {', '.join(map(str, lengths))}"] if lengths else []
    more += [f"{name} = {value:g}" for name, value in parameters]
    return ", ".join((f"{dtype} {ORDER_NAMES[order]}", *more))


def _told(region: Region) -> str:
    return f"inputs {_intervals(region)}, error {_bounds(region)}"


def _intervals(region: Region) -> str:
    shown = [f"{low!r}" if repr(low) == repr(high) else f"{low!r} to {high!r}" for low, high in region.intervals]
    more = len(shown) - MOST_INTERVALS
    return ", ".join(shown[:MOST_INTERVALS]) + (f" and {more} more" if more > 0 else "")


def _bounds(region: Region) -> str:
    return "; ".join([_bound(region.max_ulp), *(f"in {mode} {_bound(bound)}" for mode, bound in region.max_ulp_in.items())])


def _bound(bound: float) -> str:
    return "of any size" if isinf(bound) else f"at most {bound:.4g} ULP"
