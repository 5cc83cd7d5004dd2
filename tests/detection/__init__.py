"""Does the referee see everything? Faults that it must find, right functions of which it must not complain.

A fault is one row of a list ``FAULTS`` in a module ``faults_*.py``, a right function or pair one of ``RIGHT`` in a module
``right_*.py``: they are found by these names, and a row more is tried without any other edit.
"""

import importlib
import pkgutil

from detection.records import Fault, Right


def rows(prefix: str, name: str) -> list:
    """The rows of all modules whose names begin so."""
    modules = sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name.startswith(prefix))
    return [row for module in modules for row in getattr(importlib.import_module(f"{__name__}.{module}"), name)]


FAULTS: list[Fault] = rows("faults_", "FAULTS")
RIGHT: list[Right] = rows("right_", "RIGHT")
