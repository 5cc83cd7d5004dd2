"""The allocator of memory that both frameworks share."""

import ctypes
from contextlib import suppress


def trim() -> None:
    """Give freed memory back to the system: glibc keeps it, in pieces that the next large arrays may not fit into."""
    with suppress(AttributeError, TypeError):  # other C libraries lack this
        ctypes.CDLL(None).malloc_trim(0)
