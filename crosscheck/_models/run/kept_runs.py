"""Runs of JAX that a file keeps, so that an interrupted comparison goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.values.uses import digest
from crosscheck._records.errors import UsageError

TABLE = "CREATE TABLE IF NOT EXISTS runs (comparison TEXT, run TEXT, result BLOB, PRIMARY KEY (comparison, run))"
_ADDRESS = re.compile(r"0x[0-9a-f]+")
"""The place of an object in memory, which is another one in each process."""


class KeptRuns:
    """The runs of one comparison in a file, which may hold those of others; each is written whole or not at all."""

    def __init__(self, path: Path, comparison: str) -> None:
        self._path, self._comparison = path, comparison
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise UsageError(f"keep: {path} is no file in a folder that exists; give the name of one")
        try:
            self._open = sqlite3.connect(path)
            tables = {name for (name,) in self._open.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables - {"runs"}:
                raise UsageError(f"keep: {path} is a database of something else; give another name")
            self._open.execute(TABLE)
        except sqlite3.Error as error:
            raise UsageError(f"keep: {path} is no file of kept runs: {error}; give another name") from error

    def get(self, run: str) -> tuple[Mapping[str, Array], Any] | None:
        """The arrays and the other results of a run, if the file has it."""
        query = "SELECT result FROM runs WHERE comparison = ? AND run = ?"
        row = self._open.execute(query, (self._comparison, run)).fetchone()
        if row is None:
            return None
        arrays = dict(np.load(io.BytesIO(row[0]), allow_pickle=False))
        return arrays, json.loads(str(arrays.pop("others")))

    def put(self, run: str, arrays: Mapping[str, Array], others: Any) -> None:
        """Keep the arrays and the other results of a run, which are JSON."""
        file = io.BytesIO()
        named: dict[str, Any] = {**arrays, "others": np.array(json.dumps(others))}
        np.savez(file, **named)
        try:
            with self._open:
                self._open.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (self._comparison, run, file.getvalue()))
        except sqlite3.Error as error:
            raise UsageError(f"keep: {self._path} cannot be written: {error}") from error


def comparison_of(flat: JaxProgramFlat, arrays: Iterable[Array], places: Sequence[object], *others: object) -> str:
    """A key that differs for programs, arrays, places of landmarks or versions that differ."""
    key = hashlib.sha256()
    for step in flat.steps:
        params = step.equation.params if step.equation is not None else {}
        sizes = [str(flat.avals[value]) if isinstance(value, int) else str(value) for value in (*step.inputs, *step.outputs)]
        numbers = [number for number in (*step.inputs, *step.outputs) if isinstance(number, int)]
        key.update(_ADDRESS.sub("", repr((step.operation.name, numbers, sizes, str(params)))).encode())
    for array in arrays:
        key.update(f"{array.dtype} {array.shape} {digest(array)}".encode())
    key.update(repr((flat.dtype, flat.rounded, places, others)).encode())
    return key.hexdigest()
