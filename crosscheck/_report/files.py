"""Files written whole or not at all, and told apart from those that crosscheck did not write."""

import os
import re
import secrets
import zlib
from contextlib import suppress
from pathlib import Path

GENERATOR = "crosscheck"
"""What the files that crosscheck writes say of the program that wrote them; JSON says it by its schema."""
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
"""So much of the beginning and of the end of a file holds what it says of itself."""
GZIP = b"\x1f\x8b"


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


def replaceable(path: str | Path) -> bool:
    """Whether nothing is lost where the path is written: nothing is there, or what crosscheck wrote. Raises ``OSError``."""
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
