"""The data that commands keep, so that the next one is quicker: truths, and programs that JAX compiled."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import click

from crosscheck import _cache

JAX = ("JAX_COMPILATION_CACHE", "JAX_ENABLE_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
"""The prefixes of JAX's own variables for its cache; if a user has set one, crosscheck sets none of them."""
ALL_PROGRAMS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",
}
"""By default, JAX keeps only programs that compile slowly. XLA's own caches are off: they change the compiled programs."""
SHARED = ("Error reading persistent compilation cache entry", "Error writing persistent compilation cache entry")
"""JAX's warnings if another process writes what it reads, or if nothing can be written; it then compiles the program."""


def option(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command keep data, unless its option ``--no-cache`` is given."""

    @click.option("--no-cache", is_flag=True, help="Do not use truths and compiled programs of other runs, and keep none.")
    @wraps(command)
    def keeping(*arguments: Any, no_cache: bool, **options: Any) -> None:
        with _variables({_cache.VARIABLE: ""} if no_cache else _kept()), warnings.catch_warnings():
            for message in SHARED:
                warnings.filterwarnings("ignore", message, UserWarning)
            try:
                command(*arguments, **options)
            finally:
                _cache.trim()

    return keeping


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, also for processes that share the work; afterwards the old values are restored."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _kept() -> dict[str, str]:
    """The variables that name the folders: in the user's folder for caches, unless a variable names another one."""
    from platformdirs import user_cache_dir

    named = os.environ.get(_cache.VARIABLE, user_cache_dir("crosscheck", appauthor=False))
    with _variables({_cache.VARIABLE: named}):
        programs = _cache.folder("programs")
    if programs is None:
        return {}
    try:
        programs.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {_cache.VARIABLE: ""}
    variables = {_cache.VARIABLE: named}
    if not any(name.startswith(JAX) for name in os.environ):
        ignored = [f"ignore:{message}:UserWarning" for message in SHARED]
        variables |= ALL_PROGRAMS | {"JAX_COMPILATION_CACHE_DIR": str(programs)}
        variables["PYTHONWARNINGS"] = ",".join([*filter(None, [os.environ.get("PYTHONWARNINGS")]), *ignored])
    return variables
