"""Compare two atlases row by row: what changed between their environments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosscheck._atlas.records import KINDS, LAYOUTS, AtlasRow, Change, Coverage, Outcome
from crosscheck._atlas.report import Atlas
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.implementations import FRAMEWORKS, on_screen
from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.worded import Worded
from crosscheck._verdict.judged import ALONE, EXACT

Setting = tuple[int, str, tuple[str, ...], str]
"""An order, a dtype, implementations and a mode."""
Extents = Mapping[Setting, tuple[int, float]]
"""At how many inputs a disagreement was observed in each setting, and with which largest error."""


def compare(old: Atlas, new: Atlas) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The changes, and what was not compared and why."""
    before, after = old.coverage, new.coverage
    lacking = Lacking.of(old.environment), Lacking.of(new.environment)
    shared = Shared({*before.dtypes} & {*after.dtypes}, {*before.modes} & {*after.modes}, lacking)
    same_inputs = (before.seed, before.quick) == (after.seed, after.quick)
    notes = [
        Worded(f"only in the {which} atlas, so not compared: {', '.join(more)}", "only in one atlas", which, *more)
        for which, coverage, other, (here, there) in (("old", before, after, lacking), ("new", after, before, lacking[::-1]))
        if (more := _beyond(coverage, other, here, there))
    ]
    if not same_inputs:
        words = (
            f"the old atlas has {_sampling(before)}, the new one {_sampling(after)}: how many inputs show a disagreement, "
            "and its largest error, are not compared"
        )
        notes.append(Worded(words, "other inputs"))
    functions = {*before.functions} & {*after.functions}
    olds, news = ({row.id: row for row in atlas.rows if row.function in functions} for atlas in (old, new))
    changes: list[Change] = []
    for id_ in dict.fromkeys([*olds, *news]):
        rows, row = (olds.get(id_), news.get(id_)), news.get(id_) or olds[id_]
        if before.has(row) and after.has(row) and all(shared.has(listed) for listed in rows if listed):
            changes += _changes(*rows, shared, same_inputs)
    return tuple(sorted(changes, key=lambda change: KINDS.index(change.kind))), tuple(notes)


@dataclass(frozen=True)
class Shared:
    """The dtypes and modes that both atlases cover, and what each could not run."""

    dtypes: set[str]
    modes: set[str]
    lacking: tuple[Lacking, Lacking]

    def runs(self, implementation: str, dtype: str) -> bool:
        """Whether both ran an implementation."""
        return dtype in self.dtypes and all(lacking.runs(implementation, dtype) for lacking in self.lacking)

    def has(self, row: AtlasRow) -> bool:
        """Whether both could observe it: in one implementation, or for a convention in two."""
        enough = all if row.cause == "convention" else any
        return any(enough(self.runs(name, dtype) for name in row.implementations) for dtype in row.dtypes)

    def extents(self, row: AtlasRow | None) -> Extents:
        """How often and how strongly a row was observed in what both ran, in all its regions together."""
        extents: dict[Setting, tuple[int, float]] = {}
        for area in row.region if row else ():
            for extent in area.measured:
                names = (
                    (extent.implementation,) if extent.against in (EXACT, ALONE) else (extent.implementation, extent.against)
                )
                if extent.mode in self.modes and all(self.runs(name, extent.dtype) for name in names):
                    setting = area.order, extent.dtype, names, extent.mode
                    points, largest = extents.get(setting, (0, 0.0))
                    extents[setting] = points + extent.points, max(largest, extent.max_ulp)
        return extents


def _beyond(coverage: Coverage, other: Coverage, here: Lacking, there: Lacking) -> list[str]:
    """What one atlas covers and the other does not; and what it could run ``here`` and the other could not."""
    names = ("functions", "dtypes", "modes")
    more = [covered for name in names for covered in sorted({*getattr(coverage, name)} - {*getattr(other, name)})]
    lost = sorted(there.among(FRAMEWORKS, coverage.dtypes).keys() - here.among(FRAMEWORKS, coverage.dtypes))
    return [*more, *["layout"] * (coverage.layout and not other.layout), *lost]


def _sampling(coverage: Coverage) -> str:
    return f"the seed {coverage.seed}" + (" and is quick" if coverage.quick else "")


def _changes(old: AtlasRow | None, new: AtlasRow | None, shared: Shared, same_inputs: bool) -> list[Change]:
    """The changes of one disagreement; a missing row counts as not observed."""
    row = new or old
    assert row is not None

    def change(kind: str, details: Iterable[str] = ()) -> Change:
        return Change(kind, row.id, row.function, row.cause, row.declared, tuple(details))

    before, after = shared.extents(old), shared.extents(new)
    was, is_ = _shows(old, before), _shows(new, after)
    changes = []
    if was != is_:
        lines = [f"{_setting(key)}: {_seen(seen)}" for key, seen in (after if is_ else before).items() if seen[0]]
        missing = [
            f"it is not listed in the {which} atlas" for which, listed in (("old", old), ("new", new)) if listed is None
        ]
        changes.append(change("appeared" if is_ else "vanished", [*(missing if row.declared else []), *lines]))
    elif was and same_inputs:
        grown: list[str] = []
        shrunk: list[str] = []
        for key in before.keys() & after.keys():
            (points, largest), (more_points, larger) = before[key], after[key]
            if before[key] != after[key]:
                grew = more_points > points or larger > largest
                (grown if grew else shrunk).append(f"{_setting(key)}: {_seen(after[key])}, was {_seen(before[key])}")
        if grown or shrunk:
            changes.append(change("grew" if grown else "shrank", [*sorted(grown), *sorted(shrunk)]))
    results = _results(old, new)
    return [*changes, change("results", results)] if results else changes


def _shows(row: AtlasRow | None, extents: Extents) -> bool:
    return row is not None and row.seen and (not extents or any(points for points, _ in extents.values()))


def _setting(key: Setting) -> str:
    order, dtype, implementations, mode = key
    return f"{dtype} {ORDER_NAMES[order]}, {on_screen(implementations)} {mode}"


def _seen(extent: tuple[int, float]) -> str:
    points, largest = extent
    return f"{points:,} input{'s' * (points != 1)}" + (f" up to {largest:.4g} ULP" if largest else "")


def _results(old: AtlasRow | None, new: AtlasRow | None) -> list[str]:
    """The results that changed, at inputs that both have."""
    before, after = ({} if row is None else _by_input(row) for row in (old, new))
    changed = []
    for key in before.keys() & after.keys():
        (where, was), (_, is_) = before[key], after[key]
        changed += [
            f"{where}, {' '.join(who).rstrip()}: {_result(is_[who])}, was {_result(was[who])}"
            for who in was.keys() & is_.keys()
            if (was[who].got, was[who].message) != (is_[who].got, is_[who].message)
        ]
    return sorted(changed)


def _by_input(row: AtlasRow) -> dict[str, tuple[str, dict[tuple[str, str, str], Outcome]]]:
    """For each input, the results by implementation, mode and layout."""
    by_input = {}
    for at, results in zip(row.inputs, row.results, strict=True):
        parameters = "".join(f", {name} = {value:g}" for name, value in sorted(at.parameters.items()))
        where = f"{at.dtype} {ORDER_NAMES[at.order]} at {at.x.decimal}{parameters}"
        of_settings = {
            (on_screen(outcome.implementation), outcome.mode, LAYOUTS[outcome.layout]): outcome for outcome in results
        }
        by_input[f"{where} {at.x.bits} {at.place}"] = where, of_settings
    return by_input


def _result(outcome: Outcome) -> str:
    return str(outcome.message) if outcome.got is None else outcome.got.decimal
