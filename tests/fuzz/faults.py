"""The faults around a command, one row each: what goes wrong, in which command, and how the command must end."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fuzz.around import COMMAND, Seen, Trouble, after, lost_worker, watch
from fuzz.content import port
from fuzz.pairs import NAMED_OF_MODELS, NAMED_OF_TRAININGS

STOPPED = 130
BEFORE = -signal.SIGINT
"""Ctrl-C came before Python had handed over to the command, or after it: Python itself tells of it."""
MOMENTS = 2
"""Random moments for each command that is stopped or killed."""

RUNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "list": (("list", "--json", "out.json"), ("out.json",)),
    "env": (("env", "--json", "out.json"), ("out.json",)),
    "verify": (
        ("verify", "linear", "--quick", "--order", "0", "--json", "out.json", "--html", "out.html", "--markdown", "out.md"),
        ("out.json", "out.html", "out.md"),
    ),
    "explain": (("explain", "linear", "--json", "out.json"), ("out.json",)),
    "plot": (("plot", "linear", "--figure", "out.png"), ("out.png",)),
    "compare": (
        ("compare", "torch:tanh", "jax.numpy:tanh", "--json", "out.json", "--html", "out.html", "--markdown", "out.md"),
        ("out.json", "out.html", "out.md"),
    ),
    "diff": (
        ("diff", "a.npy", "b.npy", "--json", "out.json", "--html", "out.html", "--markdown", "out.md"),
        ("out.json", "out.html", "out.md"),
    ),
    "atlas": (
        ("atlas", "linear", "--quick", "--json", "out.json", "--markdown", "out.md"),
        ("out.json", "out.md"),
    ),
    "atlas --diff": (("atlas", "--diff", "old.json", "--json", "out.json", "--markdown", "out.md"), ("out.json", "out.md")),
    "models": (
        (
            *("models", "theirs:torch_model", "theirs:jax_model", *NAMED_OF_MODELS),
            *("--json", "out.json", "--html", "out.html", "--markdown", "out.md", "--figure", "out.svg"),
        ),
        ("out.json", "out.html", "out.md", "out.svg"),
    ),
    "training": (
        (
            *("training", "theirs:torch_step", "theirs:jax_step", *NAMED_OF_TRAININGS),
            *("--json", "out.json", "--html", "out.html", "--markdown", "out.md", "--figure", "out.svg"),
        ),
        ("out.json", "out.html", "out.md", "out.svg"),
    ),
    "translate": (
        ("translate", "l1_loss", "--json", "out.json", "--html", "out.html", "--markdown", "out.md"),
        ("out.json", "out.html", "out.md"),
    ),
    "atlas --check": (
        ("atlas", "--check", "linear", "--dtype", "float32", "--json", "out.json", "--markdown", "out.md"),
        ("out.json", "out.md"),
    ),
    "perceptron": (
        ("perceptron", "--epochs", "50", "--json", "out.json", "--figure", "out.png"),
        ("out.json", "out.png"),
    ),
    "sweep": (
        ("sweep", "tanh", "--range", "0.5", "1.1", "--processes", "1", "--json", "out.json", "--figure", "out.svg"),
        ("out.json", "out.svg"),
    ),
    "sweep --out": (
        ("sweep", "tanh", "--range", "0.5", "1.1", "--processes", "1", "--out", "journal", "--json", "out.json"),
        ("out.json",),
    ),
    "verify, shared": (
        ("verify", "linear", "relu", "leaky_relu", "--quick", "--order", "0", "--processes", "2", "--json", "out.json"),
        ("out.json",),
    ),
    "atlas, shared": (
        ("atlas", "linear", "relu", "leaky_relu", "--quick", "--processes", "2", "--json", "out.json"),
        ("out.json",),
    ),
    "sweep, shared": (
        (
            "sweep",
            "tanh",
            "--range",
            "0.1",
            "1.1",
            "--implementation",
            "torch.native",
            "--processes",
            "2",
            "--json",
            "out.json",
        ),
        ("out.json",),
    ),
    "dump": (("out.npz",), ("out.npz",)),
}
"""Commands that write, by name: their arguments, and the files that they write."""
DUMP = "import sys, numpy, crosscheck\ncrosscheck.dump(sys.argv[1], x=numpy.random.default_rng(0).normal(size=5_000_000))\n"
CODE = {"dump": DUMP}
"""Those that are no command but a function, as a program."""
OF_PYTHON = {"dump"}
"""Where Python itself tells of an exception, as in every program that calls a function."""


@dataclass(frozen=True)
class Fault:
    """``codes`` are the exit codes with which it may end; ``said`` a part of its message, where it has one.

    ``at`` is the part of its time after which a moment comes, where it is not known beforehand.
    """

    kind: str
    what: str
    run: str
    codes: tuple[int, ...]
    said: str = ""
    bytes_left: int | None = None
    stdout: str = ""
    stub: tuple[str, str] | None = None
    number: signal.Signals | None = None
    at: float = 0.0

    @property
    def name(self) -> str:
        """What is told apart."""
        return f"{self.run}: {self.what}"

    def happen(self) -> Seen:
        """Run the command, let it happen, and tell what was seen."""
        arguments, written = RUNS[self.run]
        code = CODE.get(self.run, COMMAND)
        with tempfile.TemporaryDirectory() as name, _stdout(self.stdout) as stdout:
            folder = _prepared(Path(name, "here"), self.run)
            env = {} if self.stub is None else {"PYTHONPATH": _path(_stub(Path(name, "stubs"), *self.stub))}
            if self.bytes_left is not None:
                env["JAX_COMPILATION_CACHE_DIR"] = ""  # a file that JAX keeps for itself could not grow either
            trouble = self._trouble()
            options: dict[str, Any] = {"stdout": stdout, "bytes_left": self.bytes_left, "env": env, "code": code}
            seen = watch(arguments, folder, written, trouble, **options)
            return replace(seen, stderr=seen.stderr.replace(f"{folder}/", "").replace(name, "FOLDER"))

    def _trouble(self) -> Trouble | None:
        if self.kind == "a lost worker":
            return lost_worker(self.at)
        if self.number is None:
            return None
        first, whole = durations(self.run)
        return after(first + self.at * (whole - first), self.number, group=self.number == signal.SIGINT)

    def broken(self, seen: Seen) -> list[str]:
        """The rules that were broken, in words."""
        problems = []
        if seen.code not in self.codes:
            problems.append(f"exit code {seen.code}, expected {' or '.join(map(str, self.codes))}")
        if self.said and self.said not in seen.stderr:
            problems.append(f"not said: {self.said}")
        if self.run not in OF_PYTHON and seen.code != BEFORE:
            # What says on standard output that nothing was compared needs no message.
            allowed = {0, 1} if seen.code == 2 and not self.said else {int(seen.code in (2, STOPPED))}
            if len(seen.errors) not in allowed:
                problems.append(f"{len(seen.errors)} messages with exit code {seen.code}, expected {max(allowed)}")
            if "Traceback (most recent call last)" in seen.stderr:
                problems.append("a traceback")
        for file, state in seen.left.items():
            if state in ("half", "gone") or (state == "new" and not _may_be_left(file, seen.code)):
                problems.append(f"{file}: {state}")
        if seen.orphans:
            problems.append(f"{seen.orphans} processes left running")
        return problems


def _may_be_left(file: str, code: int) -> bool:
    """A journal is there to be left; and of kill -9 no program can clear up a hidden file that it was writing."""
    return file.startswith("journal/") or (code == -signal.SIGKILL and Path(file).name.startswith(".crosscheck-"))


def _prepared(folder: Path, run: str) -> Path:
    """A folder with what the commands read."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    a = rng.normal(size=200_000)
    np.save(folder / "a.npy", a)
    np.save(folder / "b.npy", np.nextafter(a, 9))
    folder.joinpath("theirs.py").write_bytes(port("x"))
    if run == "atlas --diff":
        folder.joinpath("old.json").write_bytes(_old_atlas())
    return folder


@cache
def _old_atlas() -> bytes:
    import crosscheck

    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "old.json")
        crosscheck.atlas("linear", quick=True).to_json(path)
        return path.read_bytes()


@contextlib.contextmanager
def _stdout(kind: str) -> Iterator[int | None]:
    """A file descriptor for a command's output: a full disk's, or a pipe's whose reader has left."""
    if not kind:
        yield None
        return
    if kind == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, descriptor = os.pipe()
        os.close(reader)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


STUBS = {
    "ImportError": "raise ImportError('a library is missing')\n",
    "OSError": "raise OSError('a library is damaged')\n",
    "RuntimeError": "raise RuntimeError('no such device')\n",
    "SystemExit": "raise SystemExit(0)\n",
    "half-way": "__version__ = '9.9'\nfrom . import nothing_there\n",
    "empty": "",
}
"""What stands in the place of a framework's ``__init__.py``."""


def _stub(folder: Path, framework: str, how: str) -> Path:
    folder.joinpath(framework).mkdir(parents=True)
    folder.joinpath(framework, "__init__.py").write_text(STUBS[how])
    return folder


def _path(first: Path) -> str:
    return os.pathsep.join([str(first), *filter(None, [os.environ.get("PYTHONPATH")])])


@cache
def durations(run: str) -> tuple[float, float]:
    """How long Python takes until a command begins, and how long the command takes."""
    arguments, written = RUNS[run]
    own = CODE.get(run, COMMAND)
    taken = []
    for given, code in ((("--version",), COMMAND), (arguments, own)):
        with tempfile.TemporaryDirectory() as name:
            taken.append(watch(given, _prepared(Path(name, "here"), run), written, code=code).seconds)
    return taken[0], taken[1]


def moments(run: str, number: signal.Signals) -> list[float]:
    """Seeded moments in the time of a command, from its beginning to its end."""
    random = Random(zlib.crc32(f"{run} {number.name}".encode()))
    times: list[float] = []
    while len(times) < MOMENTS:
        if (at := round(random.uniform(0.05, 1.0), 3)) not in times:
            times.append(at)
    return times


def _full_disks() -> Iterator[Fault]:
    for run in RUNS:
        if "shared" not in run and run != "atlas --check":  # what that one writes is shorter
            code = (1,) if run == "dump" else (2,)
            said = "File too large" if run == "dump" else "written"
            yield Fault("a full disk", "a file cannot grow beyond 400 bytes", run, code, said, bytes_left=400)
    for run in ("list", "diff", "verify"):
        yield Fault("a full disk", "nor can what it prints", run, (2,), "could not be written: No space left", stdout="full")
        yield Fault("a reader that has left", "its output is a closed pipe", run, (141,), stdout="closed")


def _stopped() -> Iterator[Fault]:
    for run in RUNS:
        for kind, number in (("Ctrl-C", signal.SIGINT), ("kill -9", signal.SIGKILL)):
            for at in moments(run, number):
                # The command may have ended before, with its own exit code.
                codes = (0, 1, STOPPED, BEFORE) if number == signal.SIGINT else (0, 1, -signal.SIGKILL)
                yield Fault(kind, f"{kind} after {at:.1%} of its time", run, codes, number=number, at=at)


def _lost_workers() -> Iterator[Fault]:
    for run in RUNS:
        if "shared" in run:
            for at in (0.0, 2.0):
                codes, said = ((0, 1), "") if run.startswith("sweep") else ((2,), "ended before its work was done")
                yield Fault("a lost worker", f"killed {at:g} s after it started", run, codes, said, at=at)


NEEDS = {
    "list": (0,),
    "env": (0,),
    "diff": (0, 1),
    "verify": (0,),
    "explain": (0,),
    "plot": (0,),
    "compare": (2,),
    "models": (2,),
    "training": (2,),
    "translate": (0,),
    "atlas": (0,),
    "perceptron": (2,),
    "sweep": (0,),
}
"""How a command ends without one of the frameworks: those that can, do what is left; the others say which is missing."""
EVERY_STUB = ("env", "compare")


def _broken_frameworks() -> Iterator[Fault]:
    for framework in ("torch", "jax"):
        for how in STUBS:
            for run, codes in NEEDS.items():
                if run in EVERY_STUB or how == "half-way":
                    yield Fault("a broken framework", f"{framework}: {how}", run, codes, stub=(framework, how))


FAULTS: Sequence[Fault] = [*_full_disks(), *_stopped(), *_lost_workers(), *_broken_frameworks()]
KINDS = tuple(dict.fromkeys(fault.kind for fault in FAULTS))
