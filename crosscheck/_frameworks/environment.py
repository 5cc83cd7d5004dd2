"""The versions, devices and settings on which results may depend."""

from __future__ import annotations

import importlib.metadata
import platform
from contextlib import nullcontext
from functools import cache

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks import backend
from crosscheck._records.errors import said
from crosscheck._records.interface import MissingFrameworkError


def environment(device: str = "cpu", more: tuple[str, ...] = (), threads: int | None = None) -> dict[str, object]:
    """Versions, devices and settings on which results may depend; for a missing framework, why it is missing.

    For each dtype it says what happens to subnormals, or under ``lacks`` why the backend cannot run that dtype. ``more``
    names other packages whose versions are included. ``threads`` is the number in which torch computes, if not the usual.
    """
    packages = ("torch-jax-crosscheck", "numpy", "ml_dtypes", "python-flint", *more)
    described: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "device": device,
    }
    for name in ("jax", "torch"):  # JAX first: on a shared GPU it is set not to take all memory
        try:
            framework = backend(name)
            with nullcontext() if threads is None else framework.threads(threads):
                described[name] = {**framework.environment(device), **dtypes(name, device)}
        except MissingFrameworkError as error:
            described[name] = {"error": str(error)}
    return described


@cache
def dtypes(name: str, device: str) -> dict[str, dict[str, object]]:
    """A backend's results for each dtype; kept, since a backend that lacks a dtype also prints that on standard error."""
    framework = backend(name)
    mode = "jit" if "jit" in framework.modes else "eager"
    flush: dict[str, object] = {}
    lacks: dict[str, object] = {}
    for dtype in FORMATS:
        try:
            flush[dtype] = vars(framework.flush(dtype, mode, device))
        except RuntimeError as error:  # XLA's compiler raises it if the CPU's instructions lack a dtype
            lacks[dtype] = said(error)
    return {"flush": flush, "lacks": lacks} if lacks else {"flush": flush}


def version(package: str) -> str | None:
    """The version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
