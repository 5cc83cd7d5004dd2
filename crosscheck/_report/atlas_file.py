"""An atlas read back from its JSON; what is not one is refused in one message."""

from __future__ import annotations

import dataclasses
import gzip
import json
import types
import typing
import zlib
from collections.abc import Mapping
from dataclasses import MISSING
from math import inf, nan
from pathlib import Path
from typing import Any

from crosscheck._report.atlas import SCHEMA, Atlas, AtlasFile
from crosscheck._report.json_file import ZIPPED
from crosscheck._spec.errors import UsageError

LATER = {"layout", "modes"}
"""Fields that the first files of this schema lack; a default stands for what they mean then."""


def read(path: str | Path, what: str) -> Atlas:
    """An atlas from its JSON, compressed if the name ends in .gz.

    Raises :class:`UsageError` that names the argument ``what`` and says what is wrong.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{what}: {path} is a folder; give the JSON file that crosscheck atlas --json wrote")
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ZIPPED else content).decode()
    except FileNotFoundError:
        raise UsageError(f"{what}: {path} does not exist; crosscheck atlas --json {path} writes one") from None
    except OSError as error:
        raise UsageError(f"{what}: {path} cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{what}: {path} is not a whole gzip file, it may have been cut short: {error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{what}: {path} is not text; expected the JSON that crosscheck atlas --json writes") from None
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{what}: {path} is not whole JSON, it may have been cut short: {error}") from None
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if schema != SCHEMA:
        kind, _, version = str(schema).partition("/")
        if kind == SCHEMA.partition("/")[0]:
            raise UsageError(
                f"{what}: {path} has schema version {version!r}, this crosscheck reads {SCHEMA!r}; make it anew with "
                "crosscheck atlas --json"
            )
        said = "no schema" if schema is None else f"the schema {schema!r}"
        raise UsageError(f"{what}: {path} has {said}, expected {SCHEMA!r}, as crosscheck atlas --json writes it")
    try:
        file = _restored(AtlasFile, data, "")
        for row in file.deviations:
            if not len(row.inputs) == len(row.results) == len(row.truth):
                raise ValueError(f"{row.id}: inputs, results and truth are not equally many")
    except ValueError as error:
        raise UsageError(
            f"{what}: {path} is not a whole atlas: {error}; make it anew with crosscheck atlas --json"
        ) from None
    return Atlas(file.deviations, file.environment, file.coverage, file.summary.points)


def _restored(kind: Any, value: Any, where: str) -> Any:
    """Plain data as the records that they were made of; raises ``ValueError`` that says where they are none."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _restored(arguments[0], value, where)
    if kind is float and value in ("nan", "inf", "-inf"):
        return {"nan": nan, "inf": inf, "-inf": -inf}[value]
    if kind in (str, int, float, bool):
        fits = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if not fits:
            raise ValueError(f"{where}: got {value!r}, expected {kind.__name__}")
        return kind(value)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where or 'the file'}: got {type(value).__name__}, expected an object")
        hints = typing.get_type_hints(kind)
        later = {field.name for field in dataclasses.fields(kind) if field.default is not MISSING} & LATER
        fields = [field.name for field in dataclasses.fields(kind) if field.name in value or field.name not in later]
        if missing := [name for name in fields if name not in value]:
            raise ValueError(f"{where or 'the file'} lacks {', '.join(missing)}")
        made: Any = kind
        return made(**{name: _restored(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in fields})
    if origin is tuple:
        if not isinstance(value, list) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise ValueError(f"{where}: got {type(value).__name__}, expected a list of the right length")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_restored(one, item, f"{where}[{i}]") for i, (one, item) in enumerate(zip(kinds, value, strict=True)))
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: got {type(value).__name__}, expected an object")
    return {str(name): _restored(arguments[1], item, f"{where}.{name}") for name, item in value.items()}
