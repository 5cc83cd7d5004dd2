"""Compare two atlases row by row: what changed between their environments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from crosscheck._atlas.records import KINDS, LAYOUTS, AtlasRow, Change, Coverage, Outcome
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.implementations import FRAMEWORKS, on_screen
from crosscheck._records.names import ORDER_NAMES
from crosscheck._verdict.examination import Extent
from crosscheck._verdict.judged import ALONE, EXACT


def compare(
    old: Sequence[AtlasRow],
    new: Sequence[AtlasRow],
    before: Coverage,
    after: Coverage,
    lacking: tuple[Lacking, Lacking],
) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """The changes, and what was not compared and why; ``lacking`` is what each of the two could not run."""
    functions = set(before.functions) & set(after.functions)
    dtypes, modes = set(before.dtypes) & set(after.dtypes), set(before.modes) & set(after.modes)
    same_inputs = (before.seed, before.quick) == (after.seed, after.quick)
    notes = [
        f"only in the {which} atlas, so not compared: {', '.join(more)}"
        for which, mine, theirs, lost in (("old", before, after, lacking[::-1]), ("new", after, before, lacking))
        if (more := _beyond(mine, theirs) + _lost(*lost, mine.dtypes))
    ]
    if not same_inputs:
        notes.append(
            f"the old atlas has {_sampling(before)}, the new one {_sampling(after)}: how many inputs show a disagreement, "
            "and its largest error, are not compared"
        )
    olds, news = ({row.id: row for row in rows if row.function in functions} for rows in (old, new))
    changes: list[Change] = []
    for id_ in dict.fromkeys([*olds, *news]):
        row = news.get(id_) or olds[id_]
        shared = Shared(dtypes, modes, lacking)
        if before.has(row) and after.has(row) and all(shared.has(one) for one in (olds.get(id_), news.get(id_)) if one):
            changes += _changes(olds.get(id_), news.get(id_), shared, same_inputs)
    return tuple(sorted(changes, key=lambda change: KINDS.index(change.kind))), tuple(notes)


@dataclass(frozen=True)
class Shared:
    """The dtypes and modes that both atlases cover, and what each could not run."""

    dtypes: set[str]
    modes: set[str]
    lacking: tuple[Lacking, Lacking]

    def runs(self, implementation: str, dtype: str) -> bool:
        """Whether both ran an implementation."""
        return dtype in self.dtypes and all(one.runs(implementation, dtype) for one in self.lacking)

    def has(self, row: AtlasRow) -> bool:
        """Whether both could observe it: in one implementation, or for a convention in two."""
        enough = all if row.cause == "convention" else any
        return any(enough(self.runs(name, dtype) for name in row.implementations) for dtype in row.dtypes)


def _lost(theirs: Lacking, mine: Lacking, dtypes: Collection[str]) -> list[str]:
    """What this atlas could run and the other could not."""
    return sorted(theirs.among(FRAMEWORKS, dtypes).keys() - mine.among(FRAMEWORKS, dtypes))


def _beyond(mine: Coverage, theirs: Coverage) -> list[str]:
    """What one atlas covers and the other does not."""
    more = [
        one
        for name in ("functions", "dtypes", "modes")
        for one in sorted(set(getattr(mine, name)) - set(getattr(theirs, name)))
    ]
    return more + ["layout"] * (mine.layout and not theirs.layout)


def _sampling(coverage: Coverage) -> str:
    return f"the seed {coverage.seed}" + (" and is quick" if coverage.quick else "")


def _changes(old: AtlasRow | None, new: AtlasRow | None, shared: Shared, same_inputs: bool) -> list[Change]:
    """The changes of one disagreement; a missing row counts as not observed."""
    row = new or old
    assert row is not None

    def change(kind: str, details: Iterable[str] = ()) -> Change:
        return Change(kind, row.id, row.function, row.cause, row.declared, tuple(details))

    was, is_ = (_shows(one, shared) for one in (old, new))
    changes = []
    if was != is_:
        shows = new if is_ else old
        lines = [f"{_setting(key)}: {_seen(extent)}" for key, extent in _extents(shows, shared).items() if extent.points]
        missing = [f"it is not listed in the {which} atlas" for which, one in (("old", old), ("new", new)) if one is None]
        changes.append(change("appeared" if is_ else "vanished", [*(missing if row.declared else []), *lines]))
    elif was and same_inputs:
        before, after = _extents(old, shared), _extents(new, shared)
        grown: list[str] = []
        shrunk: list[str] = []
        for key in before.keys() & after.keys():
            (more, less), one, other = (grown, shrunk), before[key], after[key]
            if one == other:
                continue
            grew = other.points > one.points or other.max_ulp > one.max_ulp
            (more if grew else less).append(f"{_setting(key)}: {_seen(other)}, was {_seen(one)}")
        if grown or shrunk:
            changes.append(change("grew" if grown else "shrank", [*sorted(grown), *sorted(shrunk)]))
    results = _results(old, new)
    return [*changes, change("results", results)] if results else changes


def _shows(row: AtlasRow | None, shared: Shared) -> bool:
    """Whether it was observed in one of these dtypes and modes."""
    found = _extents(row, shared).values()
    return row is not None and row.seen and (not found or any(one.points for one in found))


Key = tuple[int, str, tuple[str, ...], str]


def _extents(row: AtlasRow | None, shared: Shared) -> dict[Key, Extent]:
    """How often and how strongly it was observed, by order, dtype, implementations and mode, in all its regions together."""
    found: dict[Key, list[Extent]] = {}
    for area in row.region if row else ():
        for one in area.measured:
            implementations = (one.implementation,) if one.against in (EXACT, ALONE) else (one.implementation, one.against)
            if one.mode in shared.modes and all(shared.runs(name, one.dtype) for name in implementations):
                found.setdefault((area.order, one.dtype, implementations, one.mode), []).append(one)
    return {
        (order, dtype, implementations, mode): Extent(
            implementation=implementations[0],
            against=implementations[-1] if len(implementations) > 1 else EXACT,
            dtype=dtype,
            mode=mode,
            points=sum(one.points for one in some),
            of=sum(one.of for one in some),
            max_ulp=max(one.max_ulp for one in some),
        )
        for (order, dtype, implementations, mode), some in found.items()
    }


def _setting(key: Key) -> str:
    order, dtype, implementations, mode = key
    return f"{dtype} {ORDER_NAMES[order]}, {on_screen(implementations)} {mode}"


def _seen(one: Extent) -> str:
    return f"{one.points:,} input{'s' * (one.points != 1)}" + (f" up to {one.max_ulp:.4g} ULP" if one.max_ulp else "")


def _results(old: AtlasRow | None, new: AtlasRow | None) -> list[str]:
    """The results that changed, at inputs that both have."""
    before, after = ({} if row is None else _by_input(row) for row in (old, new))
    found = []
    for key in before.keys() & after.keys():
        (where, was), (_, is_) = before[key], after[key]
        found += [
            f"{where}, {' '.join(who)}: {_result(is_[who])}, was {_result(was[who])}"
            for who in was.keys() & is_.keys()
            if (was[who].got, was[who].message) != (is_[who].got, is_[who].message)
        ]
    return sorted(found)


def _by_input(row: AtlasRow) -> dict[str, tuple[str, dict[tuple[str, ...], Outcome]]]:
    """For each input, the results by implementation, mode and layout."""
    found = {}
    for at, results in zip(row.inputs, row.results, strict=True):
        parameters = "".join(f", {name} = {value:g}" for name, value in sorted(at.parameters.items()))
        where = f"{at.dtype} {ORDER_NAMES[at.order]} at {at.x.decimal}{parameters}"
        found[f"{where} {at.x.bits} {at.place}"] = (
            where,
            {(on_screen(one.implementation), one.mode, *_layout(one)): one for one in results},
        )
    return found


def _layout(one: Outcome) -> tuple[str, ...]:
    return () if one.layout == "array" else (LAYOUTS[one.layout],)


def _result(one: Outcome) -> str:
    return str(one.message) if one.got is None else one.got.decimal
