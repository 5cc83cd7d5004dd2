"""Bugs that public projects had when they carried code between PyTorch and JAX, each as a minimal pair of our own.

``nox -s "corpus(field)"`` asks crosscheck of each, and what people usually ask. No code is copied from the projects.
"""

from collections.abc import Iterable
from importlib import import_module
from itertools import chain
from pkgutil import iter_modules
from types import ModuleType

from field.records import Bug


def modules_of(package: str, path: Iterable[str]) -> list[ModuleType]:
    """The modules of a corpus: those of its package whose names begin with ``of_``."""
    return [
        import_module(f"{package}.{name}")
        for name in sorted(module.name for module in iter_modules(path))
        if name.startswith("of_")
    ]


BUGS: tuple[Bug, ...] = tuple(chain.from_iterable(module.BUGS for module in modules_of(__name__, __path__)))
"""All of them, by project."""
