"""What is kept from run to run, in a folder: written whole, checked when it is read, and bounded."""

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
"""The environment variable that names the folder; where it is empty or not set, nothing is kept."""
LARGEST = 2**30
"""How many bytes are left when a command ends."""


def folder(kind: str) -> Path | None:
    """Where things of a kind are kept; None where nothing is."""
    place = _place()
    return place / kind if place else None


def _place() -> Path | None:
    """Apart for each processor: on another one, programs compiled here may not run, and sums may be rounded otherwise."""
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
    """What was written there; None where nothing was, or where it is not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    body = data[size:]
    return zlib.decompress(body) if _checksum(path, body) == data[:size] else None


def write(path: Path, content: bytes) -> None:
    """Write beside the place, then move there. What cannot be written is not kept."""
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
    """Of the name too, so that one thing is not taken for another."""
    return hashlib.sha256(path.name.encode() + body).digest()


def trim() -> None:
    """Delete what was not used for longest, until no more than ``LARGEST`` bytes are left."""
    place = _place()
    found: list[tuple[float, int, Path]] = []
    for path in place.rglob("*") if place else ():
        with suppress(OSError):  # another process has just deleted it
            stat = path.stat()
            if S_ISREG(stat.st_mode):
                found.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
    left = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if left <= LARGEST:
            return
        with suppress(OSError):
            path.unlink()
        left -= size
