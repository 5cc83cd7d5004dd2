"""Read an atlas from its JSON; any other file is refused with one message."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from crosscheck._atlas.report import SCHEMA, Atlas
from crosscheck._records.errors import UsageError
from crosscheck._records.plain import restored
from crosscheck._report.json_file import ZIPPED, layout


def read(path: str | Path, what: str) -> Atlas:
    """An atlas from its JSON, compressed if the name ends in .gz.

    Raises ``UsageError`` that names the argument ``what`` and the error.
    """
    path = Path(path)
    if os.path.isdir(path):  # isdir raises nothing for any name
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
                f"{what}: {path} has schema version {version!r}, this crosscheck reads {SCHEMA!r}; make it again with "
                "crosscheck atlas --json"
            )
        said = "no schema" if schema is None else f"the schema {schema!r}"
        raise UsageError(f"{what}: {path} has {said}, expected {SCHEMA!r}, as crosscheck atlas --json writes it")
    try:
        file = restored(layout(Atlas), data)
        for row in file.rows:
            if not len(row.inputs) == len(row.results) == len(row.truth):
                raise ValueError(f"{row.id}: inputs, results and truth differ in number")
    except ValueError as error:
        raise UsageError(
            f"{what}: {path} is not a whole atlas: {error}; make it again with crosscheck atlas --json"
        ) from None
    return Atlas(file.rows, file.environment, file.coverage, file.summary.points)
