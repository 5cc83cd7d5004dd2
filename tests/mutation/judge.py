"""Runs tests again and again, each time in a fork of a process that has imported what takes long.

``python -m mutation.judge`` reads a line of JSON for each run and answers with what became of it. Of crosscheck itself it
imports nothing.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Sequence

import hypothesis  # noqa: F401 - here so that no run has to import them
import ml_dtypes  # noqa: F401
import numpy as np  # noqa: F401
import pytest

# conftest.py imports the frameworks, and a plugin of an installed crosscheck would be imported before the copy's
OPTIONS = ("--noconftest", "-p", "no:cacheprovider", "-p", "no:crosscheck", "-x", "-q")
# hypothesis has been imported before pytest could rewrite its assertions, of which there are none in tests
QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
PAUSE = 0.005


def exit_code(names: Sequence[str], timeout: float | None, *, keep_bytecode: bool) -> int | None:
    """That of pytest on these files, negative for a signal; None where it does not end in time."""
    child = os.fork()
    if not child:
        _run(names, keep_bytecode=keep_bytecode)
    start = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if timeout is not None and time.monotonic() - start > timeout:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return None
        time.sleep(PAUSE)


def _run(names: Sequence[str], *, keep_bytecode: bool) -> None:
    """In the fork, which ends here whatever happens."""
    code = -1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        sys.dont_write_bytecode = not keep_bytecode
        code = pytest.main([*OPTIONS, *QUIET, *names])
    finally:
        os._exit(code)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps(exit_code(**json.loads(line))), flush=True)
