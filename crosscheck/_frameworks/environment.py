"""What results may depend on: versions, devices and settings."""

from __future__ import annotations

import importlib.metadata
import platform

from crosscheck._frameworks import backend
from crosscheck._records.interface import MissingFrameworkError


def environment(device: str = "cpu") -> dict[str, object]:
    """Versions, devices and settings on which results may depend; a framework that is missing says why."""
    packages = ("torch-jax-crosscheck", "numpy", "ml_dtypes", "python-flint")
    described: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "device": device,
    }
    for name in ("jax", "torch"):  # JAX first: on a shared GPU it must be told not to take all memory
        try:
            described[name] = dict(backend(name).environment(device))
        except MissingFrameworkError as error:
            described[name] = {"error": str(error)}
    return described


def version(package: str) -> str | None:
    """The version of an installed distribution; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
