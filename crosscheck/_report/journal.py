"""A journal of the finished pieces of long work: one line each with its checksum, on disk before the next piece counts.

If the work ends for any reason, such as a full disk or a power cut, at most the last line is incomplete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from filelock import FileLock, Timeout

from crosscheck._records.errors import UsageError

RESUME = "resume=True"


class Journal:
    """The pieces of a sweep, or of other ``work``, in a file of a folder, locked for other processes. Close it.

    ``header`` holds what the results depend on, and ``again`` says how to continue. Raises ``UsageError`` if there is a
    journal and ``resume`` is not set, if the journal has another header, is damaged or is written by another process, or if
    the folder cannot be written.
    """

    def __init__(
        self, path: Path, header: Mapping[str, Any], *, resume: bool, work: str = "sweep", again: str = RESUME
    ) -> None:
        self.path = path
        self._work, self._again = work, again
        self.pieces: list[Mapping[str, Any]] = []
        self._file: IO[bytes] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(f"{path}.lock")
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"out: another {self._work} is writing {path}; wait for it, or name another folder") from None
        except OSError as error:
            raise UsageError(f"out: the folder {path.parent} cannot be written: {error.strerror or error}") from None
        try:
            self._open(header, resume)
        except BaseException:
            self.close()
            raise

    def _open(self, header: Mapping[str, Any], resume: bool) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except OSError as error:
            raise UsageError(f"out: {self.path} cannot be read: {error.strerror or error}") from None
        whole = lines[:-1]  # text after the last end of a line was not finished
        if whole and not resume:
            raise UsageError(
                f"out: {self.path} holds a {self._work}; continue with {self._again}, name another folder, or delete it to "
                "start again"
            )
        read = [self._read(number, line) for number, line in enumerate(whole, 1)]
        if read:
            self._check(header, read[0])
            self.pieces = read[1:]
            positions = [piece["first"] for piece in self.pieces]
            if len(set(positions)) != len(positions):
                raise UsageError(f"out: {self.path} is damaged: a piece is there twice; {_ANEW}")
        try:
            self._file = self.path.open("r+b" if self.path.exists() else "w+b")
            self._file.truncate(sum(len(line) + 1 for line in whole))
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise UsageError(f"out: {self.path} cannot be written: {error.strerror or error}") from None
        if not read:
            self._write(header)

    def _read(self, number: int, line: bytes) -> Any:
        checksum, _, text = line.partition(b" ")
        try:
            if int(checksum, 16) == crc32(text):
                return json.loads(text)
        except ValueError:
            pass
        raise UsageError(f"out: {self.path} is damaged: the checksum of line {number} is wrong; {_ANEW}")

    def _check(self, header: Mapping[str, Any], got: Any) -> None:
        wanted = json.loads(json.dumps(header))
        if not isinstance(got, dict):
            raise UsageError(f"out: {self.path} is not a journal of a {self._work}; name another folder")
        for key in (*wanted, *got):
            if wanted.get(key) != got.get(key):
                raise UsageError(
                    f"out: {self.path} belongs to a {self._work} with another {key}: it has {got.get(key)!r}, this one "
                    f"{wanted.get(key)!r}; name another folder, or delete it to start again"
                )

    def append(self, piece: Mapping[str, Any]) -> None:
        """Write a piece and wait until it is on disk; if it does not fit, the journal stays unchanged."""
        self._write(piece)
        self.pieces.append(piece)

    def _write(self, data: Mapping[str, Any]) -> None:
        assert self._file is not None
        text = json.dumps(data, separators=(",", ":")).encode()
        before = self._file.tell()
        try:
            self._file.write(b"%08x %s\n" % (crc32(text), text))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UsageError(
                f"out: {self.path} cannot be written ({error.strerror or error}) after {before:,} bytes; free some space, "
                f"then continue with {self._again}"
            ) from None

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # an incomplete line is skipped by the next reader
                self._file.close()
        self._lock.release()

    def delete(self) -> None:
        """Delete a closed journal, whose work is done, and its lock."""
        self.path.unlink()
        Path(self._lock.lock_file).unlink(missing_ok=True)


@cache
def digest(*rooms: str) -> str:
    """A digest of the source and the data of some rooms of the package: their results may change between versions."""
    sha256 = hashlib.sha256()
    for room in rooms:
        for path in sorted((Path(__file__).parents[1] / room).rglob("*.*")):
            if path.suffix in (".py", ".json"):
                sha256.update(path.read_bytes())
    return sha256.hexdigest()[:16]


_ANEW = "delete it to start again, or name another folder"
