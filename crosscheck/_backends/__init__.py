"""The frameworks: arrays in and out, values and derivatives, devices and environments. They know no tolerance."""

import importlib
from typing import cast

from crosscheck._backends.base import Backend
from crosscheck._spec.interface import framework


def backend(name: str) -> Backend:
    """The backend of ``torch`` or ``jax``; ``MissingFrameworkError`` where the framework cannot be imported."""
    framework(name)
    return cast(Backend, importlib.import_module(f"crosscheck._backends.{name}_backend"))
