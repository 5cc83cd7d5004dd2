"""The catalogue: activations found in their files, by name or alias."""

from __future__ import annotations

import copyreg
import importlib
import importlib.util
import os
import pkgutil
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from crosscheck._records.errors import ExpectedError, SpecError, UsageError, said, unknown
from crosscheck._records.interface import MissingFrameworkError
from crosscheck._records.records import Activation


class UnknownActivationError(ExpectedError, KeyError):
    """No activation of the catalogue has this name or alias."""

    def __str__(self) -> str:
        return str(self.args[0])


def _records(module: ModuleType) -> list[Activation]:
    return [value for value in vars(module).values() if isinstance(value, Activation)]


def load_file(path: str | Path) -> list[Activation]:
    """Run a user's Python file and return its records; raises ``SpecError`` if the file has no record or fails to run."""
    path = Path(path)
    if not os.path.isfile(path):  # which raises nothing, whatever the name
        raise SpecError(f"file: {path} does not exist or is not a file")
    spec = importlib.util.spec_from_file_location(f"crosscheck_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SpecError(f"file: {path} is not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SpecError as error:
        raise SpecError(f"file: {path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise SpecError(f"file: {path} does not import: {type(error).__name__}: {error}") from error
    records = _records(module)
    if not records:
        raise SpecError(f"file: {path} holds no record; assign one, such as MINE = crosscheck.Activation(name=..., ...)")
    return records


class Catalogue(Mapping[str, Activation]):
    """Activations by name; aliases are understood in look-ups, and each name is also an attribute.

    Iteration yields the names, sorted, without aliases. Names from ``files``, the user's Python files, come last.

    Raises:
        SpecError: At the first look-up, if a file has no record, or a name is taken twice.
    """

    def __init__(self, files: Iterable[str | Path] = ()) -> None:
        self._files = tuple(files)

    @cached_property
    def _by_name(self) -> dict[str, Activation]:
        by_name: dict[str, Activation] = {}
        for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
            if info.name.startswith("_"):
                continue
            records = _records(importlib.import_module(f"{__name__}.{info.name}"))
            if len(records) != 1:
                raise SpecError(f"_catalogue/{info.name}.py holds {len(records)} records, expected one")
            add(by_name, records[0])
        for record in self._from_files:
            add(by_name, record)
        return by_name

    @cached_property
    def _from_files(self) -> list[Activation]:
        return [record for file in self._files for record in load_file(file)]

    def asked_for(self, names: Iterable[str]) -> list[Activation]:
        """The records that are named; without names those of the files, and without files all of them."""
        names = tuple(names)
        if names:
            return [self[name] for name in names]
        return self._from_files if self._files else list(self.values())

    @cached_property
    def _by_alias(self) -> dict[str, Activation]:
        return {name: record for record in self._by_name.values() for name in (record.name, *record.aliases)}

    def __getitem__(self, name: str) -> Activation:
        if not isinstance(name, str):
            raise UnknownActivationError(f"activation: got {type(name).__name__}, expected a name, such as 'relu'")
        try:
            return self._by_alias[name]
        except KeyError:
            raise UnknownActivationError(unknown("activation", name, self._by_alias)) from None

    def __getattr__(self, name: str) -> Activation:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownActivationError as error:
            raise AttributeError(str(error)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return "activations" if self is activations else (Catalogue, (self._files,))

    def __repr__(self) -> str:
        return f"<crosscheck activations: {', '.join(self)}>"


def add(by_name: dict[str, Activation], record: Activation) -> None:
    """Add a record under its name; ``SpecError`` where the name, or an alias, is taken."""
    taken = {name: activation.name for activation in by_name.values() for name in (activation.name, *activation.aliases)}
    for name in (record.name, *record.aliases):
        if name in taken:
            raise SpecError(f"two activations are called {name!r}: {taken[name]} and {record.name}; rename one of them")
    by_name[record.name] = record


activations = Catalogue()
"""The catalogue: the records of all activations, by name or alias, as items and as attributes.

Examples:
    >>> import crosscheck
    >>> crosscheck.activations["swish"] is crosscheck.activations.silu
    True
    >>> import torch
    >>> crosscheck.activations.silu.torch(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
"""


def _by_its_name(record: Activation) -> tuple[Any, ...]:
    """How a record is pickled and copied: one of the catalogue by its name, another one by its fields."""
    return (_found, (record.name,)) if activations.get(record.name) is record else record.__reduce__()


def _found(name: str) -> Activation:
    return activations[name]


copyreg.pickle(Activation, _by_its_name)


@contextmanager
def formulas_of(activation: Activation) -> Iterator[None]:
    """An exception that a user's formula raises becomes a ``SpecError`` that names the record and the place."""
    try:
        yield
    except (SpecError, UsageError, MissingFrameworkError):
        raise
    except Exception as error:
        if activations.get(activation.name) is activation:
            raise  # a fault of crosscheck's own
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise SpecError(
            f"{activation.name}: its formulas raised {said(error)} ({last.filename}, line {last.lineno})"
        ) from error
