"""Named arrays in files: .npy, .npz and .safetensors. Nothing is unpickled."""

from __future__ import annotations

import io
import json
import os
import weakref
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from crosscheck._records.errors import UsageError

Array = npt.NDArray[Any]
Readers = Mapping[str, Callable[[], Array]]

ALONE = "array"
"""The name of the one array of a .npy file."""
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
ORDER = "crosscheck.order"
"""The key under which a .safetensors file, which sorts its arrays, holds the order in which they were given."""
RAW = np.dtype("V2")
"""The dtype that numpy's own formats give to bfloat16: they keep only its size."""


class Arrays(Mapping[str, Array]):
    """The arrays of a file by name, each read when it is looked up; that of a .npy file is called ``array``.

    Raises ``UsageError`` for a file that is missing, damaged or cut short, that does not have the format of its ending, or
    that holds Python objects.
    """

    def __init__(self, path: str | Path, what: str = "path") -> None:
        self.path, self._what = Path(path), what
        if not os.path.isfile(self.path):  # isfile raises nothing for any name
            raise self._wrong("does not exist or is not a file")
        if self.path.suffix not in FORMATS:
            raise self._wrong(f"ends in {self.path.suffix!r}, expected one of {', '.join(FORMATS)}")
        files = ExitStack()
        weakref.finalize(self, files.close)
        try:
            self._readers = FORMATS[self.path.suffix][0](self.path, files)
        except Exception as error:  # the libraries raise many kinds for damaged bytes
            raise self._damaged(error) from error

    def __getitem__(self, name: str) -> Array:
        read = self._readers[name]
        try:
            array = read()
        except Exception as error:
            raise self._damaged(error) from error
        return array.view(BFLOAT16) if array.dtype == RAW else array

    def __contains__(self, name: object) -> bool:
        return name in self._readers  # Mapping.__contains__ would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def _damaged(self, error: Exception) -> UsageError:
        if "pickle" in str(error) or "Python objects" in str(error):
            return self._wrong("holds Python objects, which are not read; save arrays of numbers")
        return self._wrong(f"is not a whole {self.path.suffix} file: {error}")

    def _wrong(self, message: str) -> UsageError:
        return UsageError(f"{self._what}: {self.path} {message}")


def written(arrays: Mapping[str, Array], suffix: str) -> bytes:
    """The content of a file with these arrays."""
    return FORMATS[suffix][1](arrays)


def _read_npy(path: Path, _: ExitStack) -> Readers:
    if zipfile.is_zipfile(path):
        raise TypeError("it holds several arrays, as .npz files do")
    array = np.lib.format.open_memmap(path, mode="r")
    return {ALONE: lambda: array}


def _write_npy(arrays: Mapping[str, Array]) -> bytes:
    (array,) = arrays.values()
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _read_npz(path: Path, files: ExitStack) -> Readers:
    if not zipfile.is_zipfile(path):  # numpy would read other files as one array or as Python objects
        raise TypeError("it is no archive of arrays, as .npz files are")
    opened = np.load(path, allow_pickle=False)
    files.enter_context(opened)
    return {name: partial(opened.__getitem__, name) for name in opened.files}


def _write_npz(arrays: Mapping[str, Array]) -> bytes:
    """Write without numpy's savez: it takes the names as its own arguments, so no array could be called ``file``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in arrays:
            archive.writestr(f"{name}.npy", _write_npy({name: arrays[name]}))
    return file.getvalue()


def _read_safetensors(path: Path, _: ExitStack) -> Readers:
    from safetensors import safe_open

    opened = safe_open(path, framework="numpy")
    names: list[str] = opened.keys()  # type: ignore[no-untyped-call]
    written: list[str] = json.loads((opened.metadata() or {}).get(ORDER, "[]"))  # type: ignore[no-untyped-call]
    names = sorted(names, key=lambda name: written.index(name) if name in written else len(written))
    return {name: partial(opened.get_tensor, name) for name in names}


def _write_safetensors(arrays: Mapping[str, Array]) -> bytes:
    from safetensors.numpy import save

    metadata = {ORDER: json.dumps(list(arrays))}
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)


FORMATS: Mapping[str, tuple[Callable[[Path, ExitStack], Readers], Callable[[Mapping[str, Array]], bytes]]] = {
    ".npy": (_read_npy, _write_npy),
    ".npz": (_read_npz, _write_npz),
    ".safetensors": (_read_safetensors, _write_safetensors),
}
