"""A segment of two models as two files: a script with the operations of both sides, and the arrays that it uses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._records.errors import UsageError
from crosscheck._report.files import GENERATOR, replaceable, write_whole

SCRIPT, ARRAYS = ".py", ".safetensors"
SIGNATURE = {"generator": GENERATOR}


@dataclass(frozen=True)
class Segment:
    """The operations of PyTorch and JAX between the landmarks before a fault and the one that shows it, without the models.

    Attributes:
        fault: The number of the fault in the report.
        name: The name of its files, without the ending.
        code: A script that loads ``arrays`` from the file beside it, runs both sides, and prints the largest difference.
        arrays: PyTorch's values, the weights, and PyTorch's results, by name.
    """

    fault: int
    name: str
    code: str
    arrays: Mapping[str, Array] = field(repr=False)

    @property
    def files(self) -> tuple[str, str]:
        """The names of its two files, the script first."""
        return f"{self.name}{SCRIPT}", f"{self.name}{ARRAYS}"


def save(segments: Sequence[Segment], folder: Path, *, force: bool) -> list[Path]:
    """Write the files of every segment, and return the paths of the scripts.

    Raises:
        UsageError: If a file exists that crosscheck did not write, unless ``force``.
        OSError: If a file cannot be written.
    """
    from safetensors.numpy import save as packed

    if not segments:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / name for segment in segments for name in segment.files):
        if not force and not replaceable(path):
            raise UsageError(f"folder: {path} exists, and crosscheck did not write it; give another one, or force=True")
    scripts = []
    for segment in segments:
        script, arrays = (folder / name for name in segment.files)
        write_whole(arrays, packed({name: _stored(array) for name, array in segment.arrays.items()}, SIGNATURE))
        write_whole(script, segment.code.encode())
        scripts.append(script)
    return scripts


def file_name(number: int, where: str) -> str:
    """The name of the files of a fault."""
    return re.sub(r"[^\w.-]", "_", f"{number + 1}-{where}")


def _stored(array: Array) -> Array:
    """The array as float32, if that holds its numbers."""
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        if np.array_equal(narrow, array, equal_nan=True):
            return np.ascontiguousarray(narrow)
    return np.ascontiguousarray(array)
