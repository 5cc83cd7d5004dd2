"""Reports as strict JSON: NaN and the infinities are strings. Files are written whole or not at all, and read again."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_type_hints

import msgspec

from crosscheck._records.errors import UsageError
from crosscheck._records.plain import plain, restored
from crosscheck._report.files import write_whole

ZIPPED = ".gz"
Drawn = TypeVar("Drawn")


@dataclasses.dataclass(frozen=True)
class Summary:
    """The end of a file: the verdict."""

    passed: bool
    headline: str


class InJson:
    """A report that is written as JSON.

    Its class says what: ``schema`` is the name of the layout, and ``written`` the attributes that a file has, each of its
    own type. ``renamed`` gives some of them another name in JSON.
    """

    schema: ClassVar[str]
    _written: ClassVar[tuple[str, ...]]
    _renamed: ClassVar[Mapping[str, str]]

    def __init_subclass__(
        cls, *, schema: str = "", written: tuple[str, ...] = (), renamed: Mapping[str, str] | None = None
    ) -> None:
        super().__init_subclass__()
        if schema:
            cls.schema, cls._written, cls._renamed = schema, written, renamed or {}

    def data(self) -> dict[str, Any]:
        """The content of the report as plain data.

        Returns:
            What ``to_json`` writes; NaN and the infinities are strings.
        """
        return dict(plain(layout(type(self))(*(getattr(self, name) for name in self._written))))

    def to_json(self, path: str | Path) -> None:
        """Write the report's data as JSON, whole or not at all.

        Args:
            path: The file, compressed if it ends in ``.gz``.

        Raises:
            OSError: If the file cannot be written.
        """
        write_json(path, self.data())


def layout(report: type[InJson]) -> Any:
    """The record that a report writes: the types are those of the report's attributes."""
    hints = get_type_hints(report)
    fields = [(name, hints.get(name) or _returned(getattr(report, name))) for name in report._written]
    return msgspec.defstruct(report.__name__, fields, tag_field="schema", tag=report.schema, rename=report._renamed)


def read(report: type[InJson], path: str | Path, what: str, command: str, check: Callable[[Any], None]) -> Any:
    """The content of a file that a report wrote, when ``command`` was run; ``check`` raises ``ValueError`` for a wrong one.

    Raises ``UsageError`` that names the argument ``what``, the file and the error.
    """
    path = Path(path)
    named = f"{what}: {path}"
    if os.path.isdir(path):  # isdir raises nothing for any name
        raise UsageError(f"{named} is a folder; give the JSON file that {command} wrote")
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ZIPPED else content).decode()
    except FileNotFoundError:
        raise UsageError(f"{named} does not exist; {command} {path} writes one") from None
    except OSError as error:
        raise UsageError(f"{named} cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{named} is not a whole gzip file, it may have been cut short: {error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{named} is not text; expected the JSON that {command} writes") from None
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{named} is not whole JSON, it may have been cut short: {error}") from None
    schema = data.get("schema") if isinstance(data, Mapping) else None
    kind, _, version = str(schema).partition("/")
    if schema != report.schema and kind == report.schema.partition("/")[0]:
        raise UsageError(
            f"{named} has schema version {version!r}, this crosscheck reads {report.schema!r}; make it again with {command}"
        )
    if schema != report.schema:
        said = "no schema" if schema is None else f"the schema {schema!r}"
        raise UsageError(f"{named} has {said}, expected {report.schema!r}, as {command} writes it")
    try:
        file = restored(layout(report), data)
        check(file)
    except ValueError as error:
        raise UsageError(
            f"{named} is not a whole {kind.removeprefix('crosscheck.')}: {error}; make it again with {command}"
        ) from None
    return file


def _returned(attribute: Any) -> Any:
    """The type of a property, or of a cached one."""
    return get_type_hints(getattr(attribute, "fget", None) or attribute.func)["return"]


def undrawn(comparisons: Iterable[Drawn]) -> tuple[Drawn, ...]:
    """Comparisons without their profiles, which are only for figures: msgspec writes no field that is unset."""
    unset: Any = {"profile": msgspec.UNSET}
    return tuple(dataclasses.replace(comparison, **unset) for comparison in comparisons)  # type: ignore[type-var]


def write_json(path: str | Path, data: object) -> None:
    """Write data as JSON, whole or not at all, compressed if the name ends in .gz. Raises ``OSError``."""
    content = (json.dumps(plain(data), indent=2, allow_nan=False) + "\n").encode()
    write_whole(path, gzip.compress(content, mtime=0) if Path(path).suffix == ZIPPED else content)
