"""A folder of data that is kept between runs: written whole, checked when read, and limited in size."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from stat import S_ISREG

VARIABLE = "CROSSCHECK_CACHE_DIR"
"""The environment variable that names the folder; if it is empty or not set, nothing is kept."""
LARGEST = 2**30
"""The number of bytes that a command leaves at most."""


def folder(kind: str) -> Path | None:
    """The folder for data of a kind; None if nothing is kept."""
    place = _place()
    return place / kind if place else None


def _place() -> Path | None:
    """A folder for each processor: on another one, compiled programs may not run, and sums may be rounded differently."""
    named = os.environ.get(VARIABLE)
    return Path(named, _machine()) if named else None


@cache
def _machine() -> str:
    """The processor and its instructions, as a name."""
    described = [platform.system(), platform.machine(), platform.processor()]
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        described += sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


def read(path: Path) -> bytes | None:
    """The content of a file; None if there is none, or if it is not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    body = data[size:]
    return zlib.decompress(body) if _checksum(path, body) == data[:size] else None


def write(path: Path, content: bytes) -> None:
    """Write to a temporary file, then move it to its place. An error means that nothing is kept."""
    body = zlib.compress(content, level=1)
    temporary = path.with_name(f".{secrets.token_hex(8)}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(_checksum(path, body) + body)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _checksum(path: Path, body: bytes) -> bytes:
    """The checksum of the content and of the name, so that a renamed file is not read as another one."""
    return hashlib.sha256(path.name.encode() + body).digest()


def trim() -> None:
    """Delete the files that were not used for longest, until at most ``LARGEST`` bytes are left."""
    place = _place()
    files: list[tuple[float, int, Path]] = []
    for path in place.rglob("*") if place else ():
        with suppress(OSError):  # another process may have deleted it
            stat = path.stat()
            if S_ISREG(stat.st_mode):
                files.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
    left = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if left <= LARGEST:
            return
        with suppress(OSError):
            path.unlink()
        left -= size
