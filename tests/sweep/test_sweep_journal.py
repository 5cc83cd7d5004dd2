"""What ends a sweep, and going on after it; pieces shared among workers, some of which die."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

import crosscheck
from crosscheck import SweepReport, UsageError

pytestmark = pytest.mark.full

RANGE = ("0x3f000000", "0x3f8fffff")
"""Nine pieces."""
OPTIONS: dict[str, Any] = {"range": RANGE, "implementations": ["torch.native", "jax.native"]}
COMMAND = (
    "sweep",
    "tanh",
    "--range",
    *RANGE,
    "--implementation",
    "torch.native",
    "--implementation",
    "jax.native",
    "--processes",
    "1",
)
KILLS = 20


@pytest.fixture(scope="module")
def whole() -> SweepReport:
    return crosscheck.sweep("tanh", **OPTIONS)


def same(report: SweepReport, other: SweepReport) -> bool:
    """To the byte, but for the environment: a cluster's workers have other numbers of threads."""
    first, second = ({**each.data(), "environment": None} for each in (report, other))
    return json.dumps(first) == json.dumps(second)


def journal_in(folder: Path) -> Path:
    (path,) = folder.glob("*.journal")
    return path


def finished(folder: Path) -> list[bytes]:
    return journal_in(folder).read_bytes().splitlines(keepends=True)


def test_a_journal_that_is_whole_gives_the_same_results_at_once(whole: SweepReport, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    options = {**OPTIONS, "out": tmp_path, "progress": lambda *done: calls.append(done)}
    assert same(crosscheck.sweep("tanh", **options), whole)
    assert calls == [(n * 2**20, 9 * 2**20) for n in range(1, 10)]
    assert same(crosscheck.sweep("tanh", **options, resume=True), whole)
    assert len(calls) == 9, "nothing is done again"


@pytest.mark.parametrize("kept", [0.0, 0.8], ids=["the first", "one in the middle"])
def test_a_line_that_was_not_finished_is_done_again(whole: SweepReport, tmp_path: Path, kept: float) -> None:
    crosscheck.sweep("tanh", **OPTIONS, out=tmp_path)
    path = journal_in(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: 40 + int(kept * len(content))])
    assert same(crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True), whole)
    assert len(finished(tmp_path)) == 10


def test_a_piece_that_was_lost_or_is_there_twice_is_noticed(whole: SweepReport, tmp_path: Path) -> None:
    crosscheck.sweep("tanh", **OPTIONS, out=tmp_path)
    lines = finished(tmp_path)
    journal_in(tmp_path).write_bytes(b"".join(lines[:4] + lines[5:]))
    assert same(crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True), whole)
    journal_in(tmp_path).write_bytes(b"".join([*lines, lines[4]]))
    with pytest.raises(UsageError, match="damaged: a piece is there twice"):
        crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True)
    shorter = lines[4].partition(b" ")[2].strip().replace(b'"inputs":1048576', b'"inputs":1048575')
    journal_in(tmp_path).write_bytes(b"".join([*lines[:4], b"%08x %s\n" % (crc32(shorter), shorter), *lines[5:]]))
    with pytest.raises(RuntimeError, match="judged 1048575 inputs"):
        crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True)


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    crosscheck.sweep("tanh", **OPTIONS, out=tmp_path)
    path = journal_in(tmp_path)
    content = path.read_bytes()
    for at in (0, 30, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(UsageError, match=r"is damaged: the checksum of line \d+ is wrong; delete it to start again"):
            crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True)
        assert path.read_bytes()[at] == content[at] ^ 1, "a refused journal is left as it is"


def test_a_journal_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small: dict[str, Any] = {"range": (1.0, 1.0001), "implementations": ["torch.native"], "out": tmp_path}
    crosscheck.sweep("tanh", **small)
    with pytest.raises(UsageError, match=r"holds a sweep; continue with resume=True"):
        crosscheck.sweep("tanh", **small)
    for change, what in (
        ({"range": (1.0, 1.5)}, "range"),
        ({"implementations": ["jax.native"]}, "implementations"),
        ({"orders": [1]}, "orders"),
    ):
        with pytest.raises(UsageError, match=f"belongs to a sweep with another {what}: it has"):
            crosscheck.sweep("tanh", **{**small, **change}, resume=True)
    monkeypatch.setattr("torch.__version__", "1.0")
    with pytest.raises(UsageError, match=r"belongs to a sweep with another torch: it has .* this one .*1\.0"):
        crosscheck.sweep("tanh", **small, resume=True)


def test_two_sweeps_on_one_journal_are_refused(tmp_path: Path) -> None:
    small: dict[str, Any] = {"range": (1.0, 1.0001), "implementations": ["torch.native"], "out": tmp_path}

    def meanwhile(done: int, total: int) -> None:
        with pytest.raises(UsageError, match="another sweep is writing"):
            crosscheck.sweep("tanh", **small, resume=True)

    crosscheck.sweep("tanh", **small, progress=meanwhile)


def test_a_full_disk_says_so_and_loses_nothing(whole: SweepReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [5]

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 7)  # what fits is written
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("crosscheck._report.journal.os.fsync", full)
        with pytest.raises(UsageError, match=r"cannot be written \(No space left on device\) .*; free some space, then"):
            crosscheck.sweep("tanh", **OPTIONS, out=tmp_path)
    assert same(crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True), whole)


HELD = """
import runpy
import signal
import time

from crosscheck._report.journal import Journal

append = Journal.append


def held(self, piece):
    append(self, piece)
    if len(self.pieces) == 2:
        signal.pthread_sigmask(signal.SIG_BLOCK, {blocked})
        time.sleep(600)


Journal.append = held
runpy.run_module("crosscheck", run_name="__main__")
"""
"""The command, which rests after its second piece: else it might have ended before it is stopped."""
WAKES, SLEEPS_ON = (HELD.format(blocked=blocked) for blocked in ("[]", "[signal.SIGINT]"))
"""A main thread that Ctrl-C wakes, and one that it does not, as code in C++."""


def begin(folder: Path, held: str | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            sys.executable,
            *(("-c", held) if held else ("-m", "crosscheck")),
            *COMMAND,
            "--out",
            str(folder),
            "--resume",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300  # beside other tests a start takes a while
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def pieces_in(folder: Path) -> int:
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in folder.glob("*.journal"))


@pytest.mark.parametrize(
    ("number", "code", "held"),
    [(signal.SIGKILL, -9, WAKES), (signal.SIGINT, 130, WAKES), (signal.SIGINT, 130, SLEEPS_ON)],
    ids=["kill -9", "Ctrl-C", "Ctrl-C that the main thread does not hear"],
)
def test_a_sweep_that_was_stopped_goes_on(
    whole: SweepReport, tmp_path: Path, number: signal.Signals, code: int, held: str
) -> None:
    process = begin(tmp_path, held)
    wait_for(lambda: pieces_in(tmp_path) == 2)
    process.send_signal(number)
    said = process.communicate()[1].decode()
    assert process.returncode == code, said
    assert ("Stopped: continue with the same command and --resume" in said) == (number == signal.SIGINT)
    assert pieces_in(tmp_path) == 2
    assert same(crosscheck.sweep("tanh", **OPTIONS, out=tmp_path, resume=True), whole)


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing(whole: SweepReport, tmp_path: Path) -> None:
    """From the start of the process to its end; every fourth goes on with a journal that was killed before."""
    rng = np.random.default_rng(0)
    begin(tmp_path / "timed").communicate()
    start = time.monotonic()
    begin(tmp_path / "timed again").communicate()
    longest = time.monotonic() - start
    reached = []
    for number in range(KILLS):
        folder = tmp_path / str(number - number % 4 // 3)  # the fourth of four goes on with the third
        process = begin(folder)
        try:
            process.wait(timeout=rng.uniform(0.3, 1.0) * longest)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        reached.append(pieces_in(folder))
        if number % 4 != 2:
            assert same(crosscheck.sweep("tanh", **OPTIONS, out=folder, resume=True), whole)
    assert len(set(reached)) > 3, reached


class Confused(ThreadPoolExecutor):
    """Does the third piece in the place of the second."""

    def submit(self, judge: Any, *arguments: Any, **options: Any) -> Future[Any]:  # type: ignore[override]
        self.calls = [*getattr(self, "calls", []), arguments]
        if len(self.calls) == 3:  # the first asks for the environment
            (span,) = arguments
            arguments = (type(span)(span.first + 2**20, span.last + 2**20),)
        return super().submit(judge, *arguments, **options)


def test_a_piece_done_in_the_place_of_another_is_noticed() -> None:
    with Confused(1) as executor, pytest.raises(RuntimeError, match=r"is there twice|is missing"):
        crosscheck.sweep("tanh", **OPTIONS, executor=executor)


def or_die(marker: str, judge: Any, *arguments: Any) -> Any:
    """Die the first time that a piece is to be judged."""
    if arguments and not hasattr(arguments[0], "startswith"):
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os._exit(1)
    return judge(*arguments)


class Dying(Executor):
    """A pool of processes, of which one dies with its first piece."""

    def __init__(self, pool: ProcessPoolExecutor, marker: Path) -> None:
        self.pool, self.marker = pool, marker

    def submit(self, judge: Any, *arguments: Any, **options: Any) -> Future[Any]:  # type: ignore[override]
        return self.pool.submit(or_die, str(self.marker), judge, *arguments)


def test_processes_and_a_worker_that_dies_change_nothing(whole: SweepReport, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        executor = Dying(pool, tmp_path / "died")
        assert same(crosscheck.sweep("tanh", **OPTIONS, executor=executor, out=tmp_path), whole)
        assert (tmp_path / "died").exists()


def test_what_judging_raises_is_raised_and_not_tried_again() -> None:
    class Failing(ThreadPoolExecutor):
        def submit(self, judge: Any, *arguments: Any, **options: Any) -> Future[Any]:  # type: ignore[override]
            if len(arguments) == 1 and not isinstance(arguments[0], str):
                return super().submit(divmod, 1, 0)
            return super().submit(judge, *arguments)

    with Failing(1) as executor, pytest.raises(crosscheck.InternalError) as raised:
        crosscheck.sweep("tanh", **OPTIONS, executor=executor)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


@pytest.mark.slow
def test_a_cluster_gives_the_same(whole: SweepReport) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert same(crosscheck.sweep("tanh", **OPTIONS, executor=client.get_executor()), whole)
