"""The differences between two atlases: what changed, and how their environments differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck._atlas.records import KINDS, Change
from crosscheck._atlas.report import AtlasSummary
from crosscheck._report.blocks import Block, Heading, Lines, Paragraph, Table
from crosscheck._report.document import Document
from crosscheck._report.written import Documented

DIFF_SCHEMA = "crosscheck.atlas-diff/1"
TOLD = {
    "appeared": "Appeared",
    "grew": "Grew",
    "vanished": "Vanished",
    "shrank": "Shrank",
    "results": "Other results at the same inputs",
}
NOT_COMPARED = ("platform",)
"""The fields of an environment that are not compared: results depend on nothing in them that other fields lack."""


@dataclass(frozen=True)
class AtlasDiff(Documented, schema=DIFF_SCHEMA, written=("environment", "changes", "notes", "old", "new")):
    """The result of ``atlas_diff``.

    Attributes:
        changes: One record for each disagreement and kind of change: its ``kind`` (``appeared``, ``grew``, ``vanished``,
            ``shrank`` or ``results``), ``id``, ``function`` and ``cause``, whether it is ``declared``, and its ``details``,
            one line each.
        notes: What was not compared, and why.
        old_environment: Versions, devices and settings of the old atlas.
        new_environment: Versions, devices and settings of the new atlas.
        old: The counts and the verdict of the old atlas.
        new: The counts and the verdict of the new atlas.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    old_environment: Mapping[str, Any]
    new_environment: Mapping[str, Any]
    old: AtlasSummary
    new: AtlasSummary

    @property
    def changed(self) -> bool:
        """Whether any disagreement differs. Environments that differ are not a change."""
        return bool(self.changes)

    @property
    def environment(self) -> dict[str, tuple[Any, Any]]:
        """What differs between the environments, by dotted name: the old value and the new one, None for a missing one."""
        old, new = (dict(_flat(environment)) for environment in (self.old_environment, self.new_environment))
        return {
            name: (old.get(name), new.get(name))
            for name in dict.fromkeys([*old, *new])
            if old.get(name) != new.get(name) and name not in NOT_COMPARED
        }

    def document(self) -> Document:
        """The differences as a document: the environments, and every change.

        Returns:
            The document.
        """
        blocks: list[Block] = [Paragraph(note) for note in self.notes]
        if self.environment:
            rows = [
                [name, *("-" if value is None else str(value) for value in pair)] for name, pair in self.environment.items()
            ]
            blocks += [Heading("Environment"), Table([["", "old", "new"], *rows])]
        for kind in KINDS:
            changes = [change for change in self.changes if change.kind == kind]
            blocks += [Heading(f"{TOLD[kind]} ({len(changes)})")] * bool(changes)
            for change in changes:
                declared = "" if change.declared else ", NOT DECLARED"
                blocks.append(Lines(f"{change.id} ({change.cause}{declared})", change.details))
        return Document(headline(self), not self.changed, blocks)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield prefix + name, item


def headline(diff: AtlasDiff) -> str:
    if not diff.changed:
        return f"UNCHANGED: the {diff.new.disagreements} disagreements are the same in both environments."
    counts = Counter(change.kind for change in diff.changes)
    counted = [f"{counts[kind]} {kind if kind != 'results' else 'with other results'}" for kind in KINDS if counts[kind]]
    return f"CHANGED: of the frameworks' disagreements {', '.join(counted)}."
