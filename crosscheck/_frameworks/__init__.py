"""PyTorch and JAX: values and derivatives, devices, modes, settings. This room has no tolerances."""

import importlib
from typing import cast

from crosscheck._frameworks.base import Backend
from crosscheck._records.interface import framework


def backend(name: str) -> Backend:
    """The backend of ``torch`` or ``jax``; ``MissingFrameworkError`` if the framework cannot be imported."""
    framework(name)
    return cast(Backend, importlib.import_module(f"crosscheck._frameworks.{name}_backend"))
