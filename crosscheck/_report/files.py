"""Files written whole or not at all."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_whole(path: str | Path, content: bytes) -> None:
    """Write beside the target, then move into place: a reader never sees half a file. Raises ``OSError``.

    Of a link it is the target that is written. A device or a pipe cannot be replaced: it is written to.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".crosscheck-{secrets.token_hex(8)}")  # its length does not depend on the target's
    try:
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink()  # there where something came in between
