"""A segment of two models as two files: a script of what both sides do there, and the arrays that they do it to."""

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
    """What PyTorch and JAX do between the landmarks before a fault and the one that shows it, without the models.

    Attributes:
        fault: The number of the fault among those of the report.
        name: What its files are called.
        code: A script that loads ``arrays`` from the file beside it, runs both sides, and prints how far they are apart.
        arrays: PyTorch's values, the weights, and what PyTorch makes of them, by name.
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
    """Write the files of every segment, and give the scripts.

    Raises:
        UsageError: If one is there that crosscheck did not write, unless forced.
        OSError: If one cannot be written.
    """
    from safetensors.numpy import save as packed

    if not segments:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder / name for one in segments for name in one.files):
        if not force and not replaceable(path):
            raise UsageError(f"folder: {path} exists, and crosscheck did not write it; give another one, or force=True")
    scripts = []
    for one in segments:
        script, arrays = (folder / name for name in one.files)
        write_whole(arrays, packed({name: _stored(array) for name, array in one.arrays.items()}, SIGNATURE))
        write_whole(script, one.code.encode())
        scripts.append(script)
    return scripts


def file_name(number: int, where: str) -> str:
    """What the files of a fault are called."""
    return re.sub(r"[^\w.-]", "_", f"{number + 1}-{where}")


def _stored(array: Array) -> Array:
    """An array in float32 where that holds its numbers."""
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        if np.array_equal(narrow, array, equal_nan=True):
            return np.ascontiguousarray(narrow)
    return np.ascontiguousarray(array)
