"""Write files whole or not at all, and recognise files that crosscheck did not write."""

import os
import re
import secrets
import zlib
from contextlib import suppress
from pathlib import Path

GENERATOR = "crosscheck"
"""The name of the program in the files that crosscheck writes; JSON files are recognised by their schema."""
SIGNED = re.compile(
    rb"""
    \A (?:
        \s* \{ \s* "schema": \s* "crosscheck\.
      | <!DOCTYPE\ html> .* <meta\ name="generator"\ content="crosscheck">
      | \*\* .* <!--\ crosscheck\ --> \s* \Z
      | \x89PNG .* tEXtSoftware\0crosscheck
      | <\?xml .* <dc:title>crosscheck</dc:title>
      | %PDF .* /Creator\ \(crosscheck\)
      | "{3} [^\n]* Written\ by\ crosscheck\.\n
      | .{8} \{"__metadata__":\{"generator":"crosscheck"\}
    )
    """,
    re.DOTALL | re.VERBOSE,
)
EDGE = 4096
"""The number of bytes at the beginning and at the end of a file that contain this name."""
GZIP = b"\x1f\x8b"


def write_whole(path: str | Path, content: bytes) -> None:
    """Write to a file beside the target, then move it into place: no reader sees half a file. Raises ``OSError``.

    The target of a link is written. A device or a pipe cannot be replaced: it is written directly.
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
            temporary.unlink()  # it exists if an exception came in between


def replaceable(path: str | Path) -> bool:
    """Whether writing to the path loses nothing: no file is there, or one by crosscheck. Raises ``OSError``."""
    path = Path(path)
    if not path.is_file():  # a device or a pipe keeps nothing
        return True
    with path.open("rb") as file:
        head = file.read(EDGE)
        file.seek(max(file.tell(), path.stat().st_size - EDGE))
        tail = file.read(EDGE)
    if head.startswith(GZIP):
        with suppress(zlib.error):
            head, tail = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, EDGE), b""
    return not head or SIGNED.match(head + tail) is not None
