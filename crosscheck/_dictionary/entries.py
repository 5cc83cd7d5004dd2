"""The data files of the dictionary, read: one for each family, ``[[entry]]`` by ``[[entry]]``.

An entry has ``torch``, the code that is judged and shown, and the code of its counterparts: ``jax``, ``optax``, ``flax``,
``equinox``; or ``write``, code of JAX where no library has one. The first name that a code calls is what it is found by;
``name`` and ``also`` give others, and ``calls`` those of libraries whose code begins with something else. ``inputs`` are
expressions by name; no derivative is taken by those that ``constant`` names. ``dtypes`` are those it is judged in, both
unless given. ``at`` has edges: which inputs, in words, and those that change, or ``dtypes``. ``default`` has calls of both
sides that look alike and differ, and what ``says`` how. They differ by a default where they leave out an argument of what
is offered, or where ``argument`` names the one of PyTorch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosscheck._dictionary.names import arguments, called, full
from crosscheck._dictionary.records import DTYPES, LIBRARIES, TranslatedPair, Translation
from crosscheck._records.errors import SpecError

FOLDER = Path(__file__).parent
USUAL = {"x": "normal(4, 6)"}
"""The inputs of an entry that gives none."""
KEYS = {
    "torch",
    "name",
    "what",
    "also",
    "calls",
    "inputs",
    "constant",
    "dtypes",
    "maps",
    "draws",
    "at",
    "default",
    "write",
    *LIBRARIES,
}


def families() -> dict[str, str]:
    """The title of each family, by its name."""
    return {path.stem: str(_read(path)["title"]) for path in _files(FOLDER)}


def entries(folder: Path = FOLDER) -> tuple[Translation, ...]:
    """Every entry, nothing of it judged."""
    translations = [_entry(path.stem, given) for path in _files(folder) for given in _read(path).get("entry", ())]
    titles = [translation.title for translation in translations]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise SpecError(f'{", ".join(twice)}: two entries of one name; give each what it is: what = "..."')
    return tuple(translations)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path.name}: {error}") from None


def _entry(family: str, given: Mapping[str, Any]) -> Translation:
    code = str(given.get("torch", "")).strip()
    if wrong := given.keys() - KEYS:
        raise SpecError(f"{family}: {code}: got {', '.join(sorted(wrong))}, expected some of {', '.join(sorted(KEYS))}")
    if not code or not {*LIBRARIES, "write"} & given.keys():
        raise SpecError(f"{family}: {code or 'an entry'}: expected torch, and what it is in JAX")
    name = full(given["name"]) if "name" in given else called(code)
    pairs = tuple(_pairs(given, code))
    names = [name, *map(full, given.get("also", ()))]
    names += [pair.calls for pair in pairs if pair.kind == "counterpart"]
    return Translation(
        name=name,
        what=given.get("what", ""),
        family=family,
        names=tuple(filter(None, dict.fromkeys(names))),
        torch=code,
        maps=given.get("maps", ""),
        draws=given.get("draws", False),
        pairs=pairs,
    )


def _pairs(given: Mapping[str, Any], torch: str) -> Iterator[TranslatedPair]:
    """What an entry is judged by. Edges and defaults are judged in one dtype: the first."""
    usual = TranslatedPair(
        "counterpart",
        "jax",
        torch,
        "",
        inputs={} if given.get("draws") else given.get("inputs", USUAL),
        constant=tuple(given.get("constant", ())),
        dtypes=tuple(given.get("dtypes", DTYPES)),
    )
    offered = [
        replace(usual, library=library, code=code, calls=given.get("calls", {}).get(library, called(code)))
        for library, code in ((name, given[name].strip()) for name in LIBRARIES if name in given)
    ]
    if "write" in given:
        offered.append(replace(usual, kind="written", code=given["write"].strip()))
    yield from offered
    for at, changed in given.get("at", {}).items():
        inputs = {**usual.inputs, **changed}
        dtypes = tuple(inputs.pop("dtypes", usual.dtypes[:1]))
        for pair in offered:
            yield replace(pair, kind="edge", at=at, inputs=inputs, dtypes=dtypes)
    for default in given.get("default", ()):
        (library,) = (library for library in LIBRARIES if library in default)
        yield replace(
            usual,
            kind="default" if "argument" in default or _leaves_out(default, torch, given) else "similar",
            library=library,
            torch=default.get("torch", torch).strip(),
            code=default[library].strip(),
            says=default["says"],
            argument=default.get("argument", ""),
            inputs=default.get("inputs", usual.inputs),
            dtypes=tuple(default.get("dtypes", usual.dtypes[:1])),
        )


def _leaves_out(default: Mapping[str, Any], torch: str, given: Mapping[str, Any]) -> bool:
    """Whether calls of both sides are those of an entry with fewer arguments."""
    codes = [(torch, default.get("torch", torch))]
    codes += [(given[library], default[library]) for library in LIBRARIES if library in given and library in default]
    names = {*map(full, given.get("also", ())), *(called(offered) for offered, _ in codes)}
    same = len(codes) > 1 and names.issuperset(called(code) for _, code in codes)
    return same and any(arguments(offered) - arguments(code) for offered, code in codes)
