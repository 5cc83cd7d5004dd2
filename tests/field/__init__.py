"""Bugs that public projects had when they carried code between PyTorch and JAX, each as a minimal pair of our own.

``nox -s field`` asks crosscheck of each, and what people usually ask. No code is copied from the projects.
"""

from importlib import import_module
from itertools import chain
from pkgutil import iter_modules

from field.records import Bug

MODULES = sorted(one.name for one in iter_modules(__path__) if one.name.startswith("of_"))
BUGS: tuple[Bug, ...] = tuple(chain.from_iterable(import_module(f"field.{name}").BUGS for name in MODULES))
"""All of them, by project."""
