"""Faults around a command, one of each kind here and all of tests/fuzz/faults.py in the slow session."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import cli
import click
import pytest
from fuzz.__main__ import fault_row, write
from fuzz.around import KEPT, Seen, after, watch
from fuzz.faults import BEFORE, FAULTS, KINDS, STOPPED, Fault

from crosscheck import UsageError, compare_arrays, verify

pytestmark = pytest.mark.full

REPORT = compare_arrays({"x": [1.0]}, {"x": [1.0]})
RESULTS = Path(__file__).parents[2] / "results" / "robustness" / "faults.json"
QUICK = (
    "list: a file cannot grow beyond 400 bytes",
    "diff: a file cannot grow beyond 400 bytes",
    "list: nor can what it prints",
    "list: its output is a closed pipe",
    "list: torch: half-way",
)


def named(name: str) -> Fault:
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    return fault


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_ends_as_it_must(name: str) -> None:
    fault = named(name)
    assert fault.broken(fault.happen()) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_ends_as_it_must(fault: Fault) -> None:
    assert fault.broken(fault.happen()) == []


def test_names_are_unique_and_the_table_that_is_kept_is_of_these_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    assert [(row["name"], row["kind"]) for row in kept] == [(fault.name, fault.kind) for fault in FAULTS]
    assert all(row["broken"] == [] for row in kept)
    assert {row["kind"] for row in kept} == set(KINDS)
    codes = [row["code"] for row in kept if row["kind"] == "Ctrl-C"]
    assert sum(code in (STOPPED, BEFORE) for code in codes) > len(codes) / 2, "else no Ctrl-C was heard"


GOOD = Seen(2, "Error: one\n", {"out.json": "kept"}, 0, 1.0)


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        ({"code": 1, "stderr": ""}, "exit code 1, expected 2"),
        ({"stderr": "Error: other\n"}, "not said: one"),
        ({"stderr": "Error: one\nError: more\n"}, "2 messages"),
        ({"stderr": "Traceback (most recent call last):\nError: one\n"}, "a traceback"),
        ({"left": {"out.json": "half"}}, "out.json: half"),
        ({"left": {"out.json": "gone"}}, "out.json: gone"),
        ({"left": {"out.json": "kept", ".crosscheck-1": "new"}}, ".crosscheck-1: new"),
        ({"orphans": 1}, "1 processes left running"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_ends_otherwise_is_told(seen: dict[str, Any], rule: str) -> None:
    fault = Fault("a kind", "a fault", "list", (2,), "one")
    assert fault.broken(GOOD) == []
    assert any(told.startswith(rule) for told in fault.broken(replace(GOOD, **seen)))


CARELESS = """
import subprocess, sys, time
file = open("out.json", "w")
file.write("{")
file.flush()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("begun", flush=True)
time.sleep(60)
"""


def test_half_a_file_and_a_process_left_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.around.PATIENCE", 0.2)
    seen = watch((), tmp_path, ["out.json"], after(2.0, signal.SIGKILL, group=False), code=CARELESS)
    assert (seen.code, seen.left, seen.orphans) == (-signal.SIGKILL, {"out.json": "half"}, 1)


@pytest.mark.parametrize("step", ["open", "replace"])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=["Ctrl-C", "full"]
)
def test_a_file_stays_as_it_was_whenever_writing_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(KEPT)
    really: Callable[..., Any] = getattr(Path, step)

    def stopped(self: Path, *arguments: Any) -> Any:
        if step == "open":
            really(self, *arguments).close()  # the file is there, and empty
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, stopped)
        with pytest.raises(type(error)):
            REPORT.to_json(path)
    assert os.listdir(tmp_path) == ["out.json"]
    assert path.read_bytes() == KEPT


def test_a_link_a_pipe_and_a_long_name_are_written_to(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_bytes(KEPT)
    link.symlink_to(target)
    REPORT.to_json(link)
    assert link.is_symlink()
    assert json.loads(target.read_bytes())["schema"] == "crosscheck.arrays/1"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    REPORT.to_json(pipe)
    assert reader.communicate()[0] == target.read_bytes()
    assert pipe.is_fifo()
    REPORT.to_json(tmp_path / ("x" * 255))
    REPORT.to_json(tmp_path / "new")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_folder_that_only_reads_is_refused_at_once(tmp_path: Path) -> None:
    """Root may write where the bits forbid it, so a file system that only reads is made in a name space of its own."""
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    apart = ("unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", str(tmp_path))
    try:
        subprocess.run([*apart, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system that only reads can be made here")
    command = [
        sys.executable,
        "-m",
        "crosscheck",
        "list",
        "--json",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run([*apart, *command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: --json: the folder {tmp_path} is not writable\n"


@pytest.mark.parametrize(("arguments", "code"), [("list --json out.json", 0), ("diff nothing.npy nothing.npy", 2)])
def test_closed_streams_are_no_error(tmp_path: Path, arguments: str, code: int) -> None:
    script = f'"$0" -m crosscheck {arguments} >&- 2>&-'
    assert subprocess.run(["sh", "-c", script, sys.executable], cwd=tmp_path, check=False).returncode == code
    assert all(json.loads(path.read_text())["schema"] == "crosscheck.list/1" for path in tmp_path.iterdir())


class Unheard:
    """Ctrl-C comes while it is deleted, where Python can raise nothing."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_heard_even_where_no_exception_can_be_raised(capsys: pytest.CaptureFixture[str]) -> None:
    @click.group(cls=type(cli.main))
    def group() -> None:
        pass

    @group.command()
    def work() -> None:
        Unheard()
        time.sleep(60)
        click.echo("AGREE")

    with pytest.raises(SystemExit) as ended:
        group.main(["work"])
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "Stopped: files that were not written yet are as they were\n")


LOADS_SLOWLY = """
import os, time
print("loading", flush=True)
try:
    time.sleep(2)
except KeyboardInterrupt:
    os.abort()  # as C++ does, where an exception cannot be passed on
"""


def test_ctrl_c_waits_until_a_framework_is_loaded(tmp_path: Path) -> None:
    tmp_path.joinpath("jax").mkdir()
    tmp_path.joinpath("jax", "__init__.py").write_text(LOADS_SLOWLY)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [sys.executable, "-m", "crosscheck", "env"], env={**os.environ, "PYTHONPATH": path}, **pipes
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=50)
    assert (process.returncode, said) == (130, "Stopped: files that were not written yet are as they were\n")


LEAVES_SLOWLY = """
import atexit, runpy, sys, time
atexit.register(time.sleep, 60)  # as a library's that clears up when Python ends
atexit.register(print, "leaving", flush=True)
sys.argv = ["crosscheck", "list"]
runpy.run_module("crosscheck", run_name="__main__")
"""


def test_ctrl_c_while_python_ends_is_no_traceback() -> None:
    """All is written by then; it ends at once, as a program does that has no say in it."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", LEAVES_SLOWLY], **pipes) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "leaving\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=50)
    assert (process.returncode, said) == (-signal.SIGINT, "")


PRESSES = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
"""A library at whose import Ctrl-C comes."""


def test_ctrl_c_while_the_command_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    tmp_path.joinpath("click.py").write_text(PRESSES)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "crosscheck", "list"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


WAITS = """
import threading
from crosscheck import activations
import dataclasses

def value(torch, x):
    print("in a thread", flush=True)
    while True:  # for ever, in a thread that no exception reaches
        threading.Event().wait(60)

MINE = dataclasses.replace(activations["linear"], name="mine", aliases=(), torch_value=value, deviations=(), natives={})
"""


def test_ctrl_c_ends_a_command_whose_threads_work_on(tmp_path: Path) -> None:
    tmp_path.joinpath("mine.py").write_text(WAITS)
    words = ["verify", "mine", "--file", "mine.py", "--quick", "--order", "0", "--implementation", "torch"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-m", "crosscheck", *words], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in a thread\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=50)
    assert process.returncode == 130
    assert said.endswith("Stopped: files that were not written yet are as they were\n")


def test_processes_are_ended_where_an_exception_comes() -> None:
    started = []

    def stopped(*told: object) -> None:
        started.extend(set(active_children()) - before)
        raise KeyboardInterrupt

    before = set(active_children())
    with pytest.raises(KeyboardInterrupt):
        verify(["linear", "relu"], quick=True, processes=2, progress=stopped)
    assert started
    for child in started:
        child.join(50)
        assert child.exitcode == -signal.SIGKILL


def test_a_process_that_dies_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosscheck._workers.Workers.submit", lambda pool, *_: ProcessPoolExecutor.submit(pool, os._exit, 1))
    with pytest.raises(UsageError, match=r"processes: one of the 2 ended before its work was done; was it killed, or short"):
        verify(["linear", "relu"], quick=True, processes=2)


def test_the_table_keeps_rows_of_other_runs(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    first, second = (fault_row(named(name)) for name in QUICK[:2])
    names = [first["name"], second["name"]]
    write(path, "crosscheck.faults/1", names, [second])
    write(path, "crosscheck.faults/1", names, [first])
    assert [row["name"] for row in json.loads(path.read_text())["rows"]] == names
