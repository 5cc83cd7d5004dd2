"""A command run as a process of its own while something goes wrong around it; what it said and left is told after it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz.invariant import half_written

KEPT = b'{"schema": "crosscheck.kept/1"}\n'
"""The content of every file that a command is to write, beforehand: crosscheck's own, or it would be refused."""
PATIENCE = 20.0
"""Seconds for which processes may end after the one that started them."""
LONGEST = 300
COMMAND = "import runpy; runpy.run_module('crosscheck', run_name='__main__')"
HEARD = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
"""A shell lets what it runs in the background ignore Ctrl-C, and so would all that is started here."""
FULL = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))\n"
"""As on a full disk, a file can grow no further; Python is told by an error, since it ignores the signal."""


@dataclass(frozen=True)
class Seen:
    """What was observed of a command.

    Attributes:
        code: Its exit code, or minus the signal that ended it.
        stderr: What it said on standard error.
        left: By name what became of the files that it was to write: ``kept`` as they were, ``whole``, ``half`` or ``gone``;
            other files that it left are ``new``.
        orphans: How many processes that it had started were still there a while after its end.
        seconds: How long it ran.
    """

    code: int
    stderr: str
    left: Mapping[str, str]
    orphans: int
    seconds: float

    @property
    def errors(self) -> list[str]:
        """Its messages."""
        return [said for said in self.stderr.splitlines() if said.startswith(("Error:", "Stopped:"))]


Trouble = Callable[["subprocess.Popen[bytes]"], None]
"""What happens to a process that runs."""


def watch(
    arguments: Sequence[str],
    folder: Path,
    written: Sequence[str],
    trouble: Trouble | None = None,
    *,
    stdout: int | None = None,
    bytes_left: int | None = None,
    env: Mapping[str, str] | None = None,
    code: str = COMMAND,
) -> Seen:
    """Run a command in a folder, where the files that it is to write are already, and let trouble come.

    ``code`` is the program, in Python; ``stdout`` is where its output goes, to nowhere unless given; no file may grow beyond
    ``bytes_left``.
    """
    for name in written:
        folder.joinpath(name).write_bytes(KEPT)
    before = set(_names(folder))
    limit = "" if bytes_left is None else FULL.format(bytes_left)
    start = time.monotonic()
    with tempfile.TemporaryFile() as errors:  # no pipe: a process that is left over would keep it open
        process = subprocess.Popen(
            [sys.executable, "-c", HEARD + limit + code, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=errors,
            start_new_session=True,
        )
        try:
            if trouble is not None:
                trouble(process)
            process.wait(LONGEST)
        finally:
            seconds = time.monotonic() - start
            orphans = _end_all(process)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    left = {name: _state(folder / name) for name in written}
    left |= dict.fromkeys((name for name in _names(folder) if name not in before), "new")
    return Seen(process.returncode, said, left, orphans, seconds)


def _names(folder: Path) -> Iterator[str]:
    yield from (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _state(path: Path) -> str:
    if not path.exists():
        return "gone"
    content = path.read_bytes()
    return "kept" if content == KEPT else "half" if half_written(path.name, content) else "whole"


def _end_all(process: subprocess.Popen[bytes]) -> int:
    """How many processes of its session do not end by themselves after it; they are ended."""
    if process.poll() is None:
        process.kill()
        process.wait()
    end = time.monotonic() + PATIENCE
    while (there := _session(process.pid)) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in there:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(there)


def _session(session: int) -> list[int]:
    """The living processes of a session, from /proc."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, its = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:4]
                if int(its) == session and state != "Z":
                    processes.append(int(entry.name))
    return processes


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes with which a command shares its work."""
    processes = []
    for pid in _session(process.pid):
        with contextlib.suppress(OSError):
            if re.search(rb"spawn_main", Path(f"/proc/{pid}/cmdline").read_bytes()):
                processes.append(pid)
    return processes


def after(seconds: float, number: signal.Signals, *, group: bool) -> Trouble:
    """A signal, to all its processes where it is one of a terminal; nothing where the command has ended before."""

    def trouble(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
        with contextlib.suppress(ProcessLookupError):
            if group:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    return trouble


def lost_worker(seconds: float) -> Trouble:
    """One of its workers is killed so long after the first of them is there."""

    def trouble(process: subprocess.Popen[bytes]) -> None:
        while not workers(process):
            if process.poll() is not None:
                return
            time.sleep(0.02)
        time.sleep(seconds)
        for pid in workers(process)[-1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    return trouble
