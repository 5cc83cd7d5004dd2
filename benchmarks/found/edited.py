"""A module of another project with edits, as the fix of an issue would make them: nothing on the disk is changed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def edited(module: str, *texts: str) -> Iterator[None]:
    """While it is entered, the module is as if its file had the second text where it has the first, and so on by twos.

    Each first text must stand there once. Modules of the same package that hold a class or a function of the module hold
    the edited one.
    """
    target = importlib.import_module(module)
    file = Path(target.__file__ or "")
    source = file.read_text(encoding="utf-8")
    for old, new in zip(texts[::2], texts[1::2], strict=True):
        if source.count(old) != 1:
            raise ValueError(f"{old!r} stands in {module} {source.count(old)} times, not once: this is another version")
        source = source.replace(old, new)
    before = dict(vars(target))
    exec(compile(source, file, "exec", dont_inherit=True), vars(target))
    changed = {id(value): vars(target)[name] for name, value in before.items() if callable(value)}
    package = module.partition(".")[0]
    loaded = [other for other in sys.modules.values() if isinstance(other, ModuleType)]
    # a package that is imported lazily may have left its first module with those who imported it early
    loaded += [value for other in loaded for value in list(vars(other).values()) if isinstance(value, ModuleType)]
    by_id = {id(other): other for other in loaded if other is not target and other.__name__.partition(".")[0] == package}
    others = list(by_id.values())
    held = [(other, name, value) for other in others for name, value in list(vars(other).items()) if id(value) in changed]
    for other, name, value in held:
        setattr(other, name, changed[id(value)])
    try:
        yield
    finally:
        vars(target).update(before)
        for other, name, value in held:
            setattr(other, name, value)
