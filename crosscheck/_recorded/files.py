"""The data files: their content, how they are read and written, and the deviations that are made with them."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

from crosscheck._records.deviations import Deviation, Region, Seen
from crosscheck._records.errors import SpecError
from crosscheck._records.implementations import MODES
from crosscheck._records.plain import plain, restored

SCHEMA = "crosscheck.recorded/1"
FOLDER = Path(__file__).parent
NOT_WRITTEN = {
    "max_ulp": inf,
    "lengths": (),
    "parameters": {},
    "capability": None,
    "modes": (),
    "seen": (),
    "max_ulp_in": {},
}
"""Fields of a region that a file omits if they have these values, their defaults."""


@dataclass(frozen=True)
class Record:
    """One environment, and the regions of each deviation there, by its id.

    ``by`` names the versions that recorded it. Such a record is whole: in its environment no other record applies. A record
    without ``by`` was written by hand and has not been run again; several environments share it, and other files may add to
    it.
    """

    seen: Seen
    deviations: Mapping[str, tuple[Region, ...]]
    by: str | None = None


@dataclass(frozen=True)
class RecordFile:
    """The content of a file; fields of a region at their defaults are omitted."""

    schema: str = field(default=SCHEMA, kw_only=True)
    seen: Seen
    deviations: Mapping[str, tuple[Region, ...]]
    by: str | None = None


def recorded(
    *,
    id: str,
    cause: str,
    implementations: tuple[str, ...],
    reason: str,
    link: str,
    modes: tuple[str, ...] = MODES,
    bug: bool = False,
) -> Deviation:
    """A deviation of the catalogue: the part that a person writes, and the regions that the files have under its id.

    Each region was observed in the environment of its file.
    """
    of_id = [record for record in records() if id in record.deviations]
    if not of_id:
        raise SpecError(f"Deviation {id!r}: got no file in crosscheck/_recorded with regions under this id, expected one")
    regions = tuple(replace(region, seen=(record.seen,)) for record in of_id for region in record.deviations[id])
    return Deviation(id, cause, implementations, regions, reason, link, tuple(record.seen for record in of_id), modes, bug)


@cache
def records() -> tuple[Record, ...]:
    """The content of the files of this package."""
    return tuple(map(read, files()))


def by_name() -> dict[str, Record]:
    """The record of each environment, by its name: the file that a command wrote, or the parts written by hand."""
    by_environment: dict[str, Record] = {}
    for record in sorted(records(), key=lambda record: record.by is None):
        for capability in record.seen.capabilities:
            seen = dataclasses.replace(record.seen, capabilities=(capability,))
            kept = by_environment.setdefault(name_of(seen), Record(seen, {}, record.by))
            if kept.by == record.by:
                here = {
                    id_: tuple(region for region in regions if region.capability in (None, capability))
                    for id_, regions in record.deviations.items()
                }
                joined = {id_: (*kept.deviations.get(id_, ()), *regions) for id_, regions in here.items() if regions}
                by_environment[name_of(seen)] = dataclasses.replace(kept, deviations={**kept.deviations, **joined})
    return by_environment


def name_of(seen: Seen) -> str:
    """The name of an environment of one CPU capability, such as ``torch-2.13-jax-0.10-avx2``."""
    parts = ((side, ".".join(re.findall(r"\d+", getattr(seen, side))[:2])) for side in ("torch", "jax"))
    return "-".join([*(f"{side}-{version}" for side, version in parts), *map(str.lower, seen.capabilities)])


def files(folder: Path = FOLDER) -> list[Path]:
    """The data files, in the order of reading."""
    return sorted(folder.glob("*.json"), key=lambda path: path.stem)


def read(path: Path) -> Record:
    """The content of a file; raises ``SpecError`` with the file and, if there is one, the id."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_object)
    except ValueError as error:
        raise SpecError(f"{path.name}: cannot be read as JSON: {error}") from None
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise SpecError(f"{path.name}: got no object with the schema {SCHEMA!r}")
    if not isinstance(data.get("deviations"), Mapping):
        raise SpecError(f"{path.name}: deviations: expected an object, ids to lists of regions")
    try:
        seen = restored(Seen, data.get("seen"))
    except ValueError as error:
        raise SpecError(f"{path.name}: seen: {error}") from None
    by = data.get("by")
    if not isinstance(by, str | None):
        raise SpecError(f"{path.name}: by: got {by!r}, expected what recorded it, or nothing")
    return Record(seen, {id_: regions_of(f"{path.name}: {id_}", lines) for id_, lines in data["deviations"].items()}, by)


def text(record: Record) -> str:
    """The content of a file as text, with one region on each line, so that two versions can be compared by line."""
    entries = ",\n".join(
        f"    {json.dumps(id_)}: [\n" + ",\n".join(f"      {line(region)}" for region in regions) + "\n    ]"
        for id_, regions in record.deviations.items()
    )
    seen = _json(record.seen)
    by = f',\n  "by": {json.dumps(record.by)}' if record.by else ""
    return f'{{\n  "schema": {json.dumps(SCHEMA)},\n  "seen": {seen}{by},\n  "deviations": {{\n{entries}\n  }}\n}}\n'


def line(region: Region) -> str:
    """A region as a line of a file, without the fields at their defaults."""
    parameters = {name: float(value) for name, value in region.parameters.items()}  # as they are read again
    given = vars(region) | {"parameters": parameters}
    return _json({name: value for name, value in given.items() if name not in NOT_WRITTEN or value != NOT_WRITTEN[name]})


def _json(data: object) -> str:
    return json.dumps(plain(data), allow_nan=False)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object in which no name occurs twice: of two lists under one id, the first would be lost."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} occurs twice")
    return dict(pairs)


def regions_of(where: str, lines: object) -> tuple[Region, ...]:
    """Regions from the lists of a file; raises ``SpecError`` that names the place of an error."""
    if not isinstance(lines, list) or not lines:
        raise SpecError(f"{where}: expected a list of regions")
    return tuple(_region(f"{where}: region {number}", data) for number, data in enumerate(lines, 1))


def _region(where: str, data: object) -> Region:
    if not isinstance(data, Mapping):
        raise SpecError(f"{where}: got {type(data).__name__}, expected an object")
    if unknown := data.keys() - {field.name for field in dataclasses.fields(Region)}:
        raise SpecError(f"{where}: a region has no field {min(unknown)!r}")
    try:
        region: Region = restored(Region, data)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from None
    return region
