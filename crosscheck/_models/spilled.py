"""Large arrays that wait until they are needed once: on a disk, if they are many."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from math import prod

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._records.errors import UsageError

IN_MEMORY = 2**25
"""So many numbers stay in memory."""


class Spilled(Mapping[str, Array | None]):
    """Arrays of float64 by name, None until there is one; those that do not stay in memory wait in a temporary file."""

    def __init__(self, names: Iterable[str]) -> None:
        self._held: dict[str, Array | None] = dict.fromkeys(names)
        self._places: dict[str, tuple[int, tuple[int, ...]]] = {}
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._numbers = 0

    def put(self, name: str, array: Array) -> None:
        """Keep an array.

        Raises:
            UsageError: If the disk is full.
        """
        self._numbers += array.size
        if self._numbers <= IN_MEMORY:
            self._held[name] = array
            return
        self._places[name] = self._file.seek(0, 2), array.shape
        try:
            self._file.write(np.ascontiguousarray(array, np.float64).data)
        except OSError as error:
            raise UsageError(
                f"order: the gradients of a large model wait in the folder {tempfile.gettempdir()}, which cannot be "
                f"written: {error.strerror}; set TMPDIR to a folder with more space, or order=0"
            ) from error

    def __getitem__(self, name: str) -> Array | None:
        if name not in self._places:
            return self._held[name]
        start, shape = self._places[name]
        self._file.seek(start)
        return np.fromfile(self._file, np.float64, prod(shape)).reshape(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)
