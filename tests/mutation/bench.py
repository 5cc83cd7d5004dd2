"""Copies of the project in which the tests judge a changed module: nothing is changed where the sources are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from mutation.records import HELPERS, KILLED, ROOT, SURVIVED, TESTS, TIMED_OUT, Outcome

SLOWER, MORE = 10, 5
"""A mutant that takes so many times what the tests take without one, and so many seconds more, never ends."""


class UnusableTestsError(Exception):
    """The tests cannot judge: they fail as it is, pass without the module, or there are none."""


class Bench:
    """A copy of the project in which one mutant at a time is tried."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self._allowed: dict[str, float] = {}
        shutil.copytree(root / "crosscheck", folder / "crosscheck", ignore=shutil.ignore_patterns("__pycache__"))
        for name in {*HELPERS, *(name for names in TESTS.values() for name in names)}:
            copy = folder / "tests" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / "tests" / name, copy)
        shutil.copy2(root / "pyproject.toml", folder)
        # in a session of its own: a Ctrl-C would end the tests as a failure does
        self._judge = subprocess.Popen(
            (sys.executable, "-m", "mutation.judge"),
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT / "tests")))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and the tests that it runs; a second time does nothing."""
        if self._judge.poll() is None:
            os.killpg(self._judge.pid, signal.SIGKILL)
        self._judge.communicate()

    def check(self, modules: Sequence[str]) -> None:
        """See that the tests of the modules pass as it is and fail without the module, and how long they take."""
        for module in modules:
            source = (self.root / module).read_text(encoding="utf-8")
            # only of what is unchanged bytecode is kept: that of a mutant would be taken for that of the next one
            unchanged = self._outcome(module, source, None, keep_bytecode=True)
            if unchanged.result != SURVIVED:
                raise UnusableTestsError(f"{module}: its tests fail without a mutant")
            self._allowed[module] = SLOWER * unchanged.seconds + MORE
            if self.outcome(module, "").result == SURVIVED:
                raise UnusableTestsError(f"{module}: its tests pass without the module")

    def outcome(self, module: str, source: str) -> Outcome:
        """What the tests say of a module with this source; they have been checked."""
        return self._outcome(module, source, self._allowed[module], keep_bytecode=False)

    def _outcome(self, module: str, source: str, timeout: float | None, *, keep_bytecode: bool) -> Outcome:
        path = self.folder / module
        original, start = path.read_text(encoding="utf-8"), perf_counter()
        if source != original:
            path.write_text(source, encoding="utf-8")
        try:
            names = [f"tests/{name}" for name in TESTS[module]]
            code = self._asked(names=names, timeout=timeout, keep_bytecode=keep_bytecode)
        finally:
            if source != original:
                path.write_text(original, encoding="utf-8")
        return Outcome(_result(module, code), round(perf_counter() - start, 2))

    def _asked(self, **question: Any) -> int | None:
        assert self._judge.stdin
        assert self._judge.stdout
        self._judge.stdin.write(json.dumps(question) + "\n")
        self._judge.stdin.flush()
        return json.loads(self._judge.stdout.readline())


def _result(module: str, code: int | None) -> str:
    if code is None:
        return TIMED_OUT
    if code == 0:
        return SURVIVED
    if code in (1, 2) or code < 0:  # a test failed, the module cannot be imported, it crashed
        return KILLED
    raise UnusableTestsError(f"{module}: pytest exits with {code} on {', '.join(TESTS[module])}")


@contextmanager
def benches(root: Path, number: int, modules: Sequence[str]) -> Iterator[Sequence[Bench]]:
    """So many copies, checked, which are removed in the end."""
    with TemporaryDirectory(prefix="mutation-") as folder, ExitStack() as stack:
        made = []
        for name in map(str, range(number)):
            path = Path(folder, name)
            path.mkdir()
            made.append(stack.enter_context(Bench(root, path)))
            made[-1].check(modules)
        yield made
