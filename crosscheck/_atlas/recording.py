"""Measure what is on record of this environment: write it to a file, or compare it with the file on record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.version import Version

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._arithmetic.sampling import COLUMNS, ROWS
from crosscheck._atlas.reasons import Unexplained, borne_out, fit
from crosscheck._atlas.record_report import AtlasRecording, RecordDiff, differences
from crosscheck._atlas.seen import MeasuredActivation
from crosscheck._catalogue import activations
from crosscheck._frameworks.environment import environment, version
from crosscheck._frameworks.lacking import lacking
from crosscheck._frameworks.settings import undisturbed
from crosscheck._recorded.files import Record, by_name, line, name_of, regions_of, text
from crosscheck._records.deviations import Deviation, Region, Seen
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import FRAMEWORKS, MODES, NATIVES
from crosscheck._records.names import DTYPES, ORDERS
from crosscheck._records.plain import plain, restored
from crosscheck._records.records import LONGEST, VOCABULARY, Activation
from crosscheck._report.files import write_whole
from crosscheck._report.journal import Journal, digest
from crosscheck._verdict.coverage import regions_within
from crosscheck._verdict.environments import Environment
from crosscheck._verify.run.run import run
from crosscheck._verify.run.task import LONG_IN_NATIVES, Plan
from crosscheck._verify.verify import lacks, pool, releasing

SEEDS = (0, 1, 2)
"""The seeds around whose samples regions are drawn first."""
AGAIN = ((3, 4, 5, 6), (7, 8))
"""The seeds that check these regions, in two rounds. The samples that refute them are added, and they are drawn again."""
IN_LAYOUTS = (SEEDS[0], *(seeds[0] for seeds in AGAIN))
"""The seeds whose inputs are also tried in several layouts."""
USED = {**dict.fromkeys((*ROWS, *COLUMNS), DTYPES), **dict.fromkeys((VOCABULARY, LONGEST), LONG_IN_NATIVES)}
"""The lengths of rows at the first seed. With the other seeds, no rows are as long as a vocabulary."""

ROOMS = ("_arithmetic", "_atlas", "_catalogue", "_frameworks", "_recorded", "_records", "_truth", "_verdict", "_verify")
"""The rooms of the package on which a record depends."""


@dataclass(frozen=True)
class Scope:
    """The dtypes, modes and layouts that are measured: all of them by default."""

    dtypes: tuple[str, ...] = DTYPES
    modes: tuple[str, ...] = MODES
    layout: bool = True

    def of(self, deviation: Deviation, regions: Iterable[Region]) -> tuple[Region, ...]:
        """The regions of a deviation in which something is measured."""
        return regions_within(deviation, regions, self.dtypes, self.modes, layout=self.layout)


WHOLE = Scope()


@dataclass(frozen=True)
class RecordedActivation:
    """What was found about one activation: the regions of its deviations here, and what matches no reason."""

    deviations: Mapping[str, tuple[Region, ...]]
    unexplained: tuple[Unexplained, ...]


def here() -> tuple[Seen, str]:
    """This environment as a file names it, and a description of what records it."""
    if lost := lacking().frameworks:
        raise UsageError(f"a record needs both frameworks: {'; '.join(lost.values())}")
    described = environment("cpu")
    current = Environment.of(described)
    torch, jax = ("~=" + ".".join(map(str, Version(str(release)).release[:3])) for release in (current.torch, current.jax))
    seen = Seen(torch, jax, "cpu", (str(current.capability),))
    by = f"crosscheck {version('torch-jax-crosscheck')}, {current}, Python {described['python']}"
    return seen, by


def not_run(scope: Scope) -> dict[str, str]:
    """Which dtypes and modes cannot be run here, and why."""
    modes = {mode: why for mode in scope.modes if (why := lacks(mode))}
    return {**lacking().among(FRAMEWORKS, scope.dtypes), **modes}


def path_in(out: Path) -> Path:
    """The file of this environment in a folder."""
    return out / f"{name_of(here()[0])}.json"


def record(out: Path, *, progress: Callable[[str, str, float], None] | None = None, processes: int = 1) -> AtlasRecording:
    """Measure the whole catalogue, and write the file of this environment into a folder.

    Finished activations are kept in a journal beside the file, so that an interrupted recording can continue. Raises
    ``UsageError`` where a mode cannot be run, since the file would lack it, or where the folder cannot be written.
    """
    seen, by = here()
    if missing := not_run(WHOLE):
        raise UsageError(f"a record needs every dtype and every mode: {'; '.join(missing.values())}")
    path = path_in(out)
    on_record = by_name().get(name_of(seen), Record(seen, {})).deviations
    seeds = [*SEEDS, *chain(*AGAIN)]
    header = {"by": by, "functions": list(activations), "seeds": seeds, "crosscheck's source": digest(*ROOMS)}
    again = "the same command"
    with closing(Journal(path.with_suffix(".journal"), header, resume=True, work="recording", again=again)) as journal:
        done = {str(piece["first"]): _restored(piece) for piece in journal.pieces}
        left = [name for name in activations if name not in done]
        for name, part in _parts(left, WHOLE, seen, on_record, progress, processes):
            journal.append({"first": name, **_plain(part)})
            done[name] = part
        regions = {id_: some for part in done.values() for id_, some in part.deviations.items()}
        ids = (deviation.id for activation in activations.values() for deviation in activation.deviations)
        deviations = {id_: regions[id_] for id_ in ids if id_ in regions}
        content = text(Record(seen, deviations, by)).encode()
        write_whole(path, content)
    journal.delete()
    return AtlasRecording(
        path=path,
        size=len(content),
        deviations=deviations,
        unexplained=tuple(disagreement for part in done.values() for disagreement in part.unexplained),
        environment=environment("cpu"),
    )


def check(
    chosen: Sequence[Activation],
    scope: Scope = WHOLE,
    *,
    progress: Callable[[str, str, float], None] | None = None,
    processes: int = 1,
) -> RecordDiff:
    """The differences between the file on record of this environment and a run of today, for some activations.

    Raises ``UsageError`` where nothing is on record of this environment.
    """
    seen, _ = here()
    name = name_of(seen)
    on_record = by_name().get(name)
    if on_record is None:
        raise UsageError(f"nothing is on record of this environment, {name}; crosscheck atlas --record measures it")
    skipped, lost = not_run(scope), {dtype for of_side in lacking().dtypes.values() for dtype in of_side}
    dtypes, modes = (dtype for dtype in scope.dtypes if dtype not in lost), (mode for mode in scope.modes if not lacks(mode))
    scope = replace(scope, dtypes=tuple(dtypes), modes=tuple(modes))
    old: dict[str, tuple[Region, ...]] = {}
    new: dict[str, tuple[Region, ...]] = {}
    unexplained: list[Unexplained] = []
    for function, part in _parts(
        [activation.name for activation in chosen], scope, seen, on_record.deviations, progress, processes
    ):
        for deviation in activations[function].deviations:
            regions = on_record.deviations.get(deviation.id, ())
            old[deviation.id] = scope.of(deviation, regions)
            new[deviation.id] = part.deviations.get(deviation.id, ())
        unexplained += part.unexplained
    return differences((f"{name}, on record", old), ("today", new), tuple(skipped.values()), unexplained, strict=True)


@undisturbed(alone=True)
@releasing()
def measured(name: str, scope: Scope, seen: Seen, on_record: Mapping[str, tuple[Region, ...]]) -> RecordedActivation:
    """What the natives of an activation do here, as regions. Its inputs include those on record."""
    deviations, known = [], {}
    for deviation in activations[name].deviations:
        known[deviation.id] = scope.of(deviation, on_record.get(deviation.id, ()))
        if regions := scope.of(deviation, (*known[deviation.id], *deviation.regions)):
            deviations.append(replace(deviation, regions=regions))
    activation = replace(activations[name], deviations=tuple(deviations))
    measure = MeasuredActivation(
        activation, [[*run(activation, _plan(activation, scope, seed))] for seed in SEEDS], seen, known
    )
    fitted, unexplained = fit(measure)
    for seeds in AGAIN:
        # also at the ends and anchors that were found, as later runs do
        deviations = [
            replace(deviation, regions=fitted.get(deviation.id, deviation.regions)) for deviation in activation.deviations
        ]
        refined = replace(activation, deviations=tuple(deviations))
        again = ([*run(refined, _plan(activation, scope, seed))] for seed in seeds)
        refuting = [judged for judged in again if unexplained or not borne_out(replace(measure, runs=[judged]), fitted)]
        if not refuting:
            break
        measure = replace(measure, runs=[*measure.runs, *refuting])
        fitted, unexplained = fit(measure)
    return RecordedActivation(fitted, tuple(unexplained))


def _plan(activation: Activation, scope: Scope, seed: int) -> Plan:
    """What is run with a seed: everything with the first seed, with the others only what depends on the seed."""
    first = seed == SEEDS[0]
    return Plan(
        dtypes=tuple(dtype for dtype in scope.dtypes if first or activation.rows or FORMATS[dtype].bits > 16),
        orders=ORDERS,
        implementations=NATIVES,
        modes=scope.modes,
        device="cpu",
        seed=seed,
        lengths=USED if first else dict.fromkeys((*ROWS, *COLUMNS), DTYPES),
        search=None,
        eager_in_jax=(None, 8, 1000),
        layout=scope.layout and seed in IN_LAYOUTS,
    )


def _parts(
    names: Sequence[str],
    scope: Scope,
    seen: Seen,
    on_record: Mapping[str, tuple[Region, ...]],
    progress: Callable[[str, str, float], None] | None,
    processes: int,
) -> Iterator[tuple[str, RecordedActivation]]:
    measure = partial(measured, scope=scope, seen=seen, on_record=on_record)
    with pool(min(processes, len(names))) as workers:
        begun = {workers.submit(measure, name): name for name in names} if workers else {}
        for future in as_completed(begun):
            if progress is not None:
                progress(begun[future], "", 0.0)
            yield begun[future], future.result()
        for name in () if workers else names:
            if progress is not None:
                progress(name, "", 0.0)
            yield name, measure(name)


def _plain(part: RecordedActivation) -> dict[str, Any]:
    deviations = {id_: [json.loads(line(region)) for region in regions] for id_, regions in part.deviations.items()}
    return {"deviations": deviations, "unexplained": plain(part.unexplained)}


def _restored(piece: Mapping[str, Any]) -> RecordedActivation:
    deviations = {id_: regions_of(id_, lines) for id_, lines in piece["deviations"].items()}
    return RecordedActivation(deviations, restored(tuple[Unexplained, ...], piece["unexplained"]))
