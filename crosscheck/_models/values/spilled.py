"""Arrays that are kept until they are needed: in memory while they are few, then in a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import IO

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._records.errors import UsageError
from crosscheck._shadow.base import parts

IN_MEMORY = 2**22
"""So many numbers of one store stay in memory."""


@dataclass(frozen=True)
class Stored:
    """An array of a store: itself, or its place in the store's file."""

    array: Array | None
    store: Store
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self) -> Array:
        """The array, read anew if it is in the file."""
        if self.array is not None:
            return self.array
        self.store.file.seek(self.start)
        return np.fromfile(self.store.file, self.dtype, self.size).reshape(self.shape)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    def part(self, start: int, stop: int) -> Array:
        """Some of its numbers, one after the other."""
        if self.array is not None:
            return _part(self.array, start, stop)
        self.store.file.seek(self.start + start * self.dtype.itemsize)
        return np.fromfile(self.store.file, self.dtype, min(stop, self.size) - start)

    def view(self) -> Array:
        """The array; if it is in the file, each number is read when it is used, and takes memory that may be taken back."""
        if self.array is not None:
            return self.array
        return np.memmap(self.store.file, self.dtype, "r", self.start, self.shape)


def _part(array: Array, start: int, stop: int) -> Array:
    """Some numbers of an array in order: a view where NumPy has one, else a copy of the rows that hold them."""
    if array.flags.c_contiguous:
        return array.reshape(-1)[start:stop]
    row = prod(array.shape[1:])
    if not 0 < row <= stop - start:
        return array.flat[start:stop]
    first = start // row
    return array[first : -(-stop // row)].reshape(-1)[start - first * row : stop - first * row]


class Store:
    """Keeps arrays."""

    def __init__(self) -> None:
        self._numbers = 0

    @cached_property
    def file(self) -> IO[bytes]:
        """The file, made when the first array must go there."""
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        weakref.finalize(self, file.close)
        return file

    def hold(self, array: Array) -> Stored:
        """Keep an array in memory."""
        return Stored(array, self, 0, array.shape, array.dtype)

    def put(self, array: Array) -> Stored:
        """Keep an array.

        Raises:
            UsageError: If the disk is full.
        """
        self._numbers += array.size
        if self._numbers <= IN_MEMORY or not array.size:
            return self.hold(array)
        start = self.file.seek(0, 2)
        try:
            rows = np.atleast_1d(array)
            for part in parts(rows.size, len(rows)):  # a transposed array is not copied as a whole
                self.file.write(np.ascontiguousarray(rows[part]).reshape(-1).view(np.uint8).data)
            self.file.flush()
        except OSError as error:
            raise UsageError(
                f"inputs: a large comparison keeps numbers in the folder {tempfile.gettempdir()}, which cannot be written: "
                f"{error.strerror}; set TMPDIR to a folder with more space, or give fewer or shorter inputs"
            ) from error
        return Stored(None, self, start, array.shape, array.dtype)


class Spilled(MutableMapping[int, Array]):
    """Arrays by number, in a store: those that are in its file are read anew each time."""

    def __init__(self) -> None:
        self._store, self._kept = Store(), dict[int, Stored]()

    def __getitem__(self, number: int) -> Array:
        return self._kept[number].read()

    def __setitem__(self, number: int, array: Array) -> None:
        self._kept[number] = self._store.put(array)

    def __delitem__(self, number: int) -> None:
        del self._kept[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, number: object) -> bool:
        return number in self._kept
