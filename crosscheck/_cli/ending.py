"""The end of a command that cannot continue: one message, and the exit code that says why."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from _thread import interrupt_main
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread, Timer, current_thread, get_ident, main_thread
from time import sleep
from types import FrameType
from typing import Any, NoReturn

import click

REFUSED = 2
STOPPED = 130
"""The exit code that shells use for a command that Ctrl-C ended."""
UNREAD = 141
"""The exit code for a command whose reader has gone, such as ``head``."""
A_MOMENT = 0.02
LONGEST_STOP = 1.0
"""Seconds after Ctrl-C until a process is ended that has not ended itself: compiling threads and C++ ignore Ctrl-C."""
_told = Event()


class Ended(SystemExit):
    """The end of a command by itself; any other ``SystemExit`` comes from a user's function."""


def refuse(message: str) -> NoReturn:
    """End with a message about something that the user can correct."""
    from crosscheck._report.shown import one_line

    click.echo(f"Error: {one_line(message)}", err=True)
    raise Ended(REFUSED)


_after_ctrl_c = ["files that were not written yet are as they were"]
"""What Ctrl-C leaves behind, as the user is told; the last one holds. The thread that watches for Ctrl-C reads it too."""


@contextmanager
def stopping_leaves(message: str) -> Iterator[None]:
    """End with this message if Ctrl-C is pressed meanwhile."""
    _after_ctrl_c.append(message)
    try:
        yield
    except KeyboardInterrupt:
        stop()
    finally:
        _after_ctrl_c.pop()


def stop() -> NoReturn:
    """End after Ctrl-C."""
    _tell()
    raise Ended(STOPPED)


def _tell() -> None:
    _told.set()
    click.echo(f"Stopped: {_after_ctrl_c[-1]}", err=True)


class Commands(click.Group):
    """A group whose commands end in this way; click itself ends with 1, which here means that the frameworks disagree."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Run as a program: the command owns the process."""
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # it was closed; otherwise the next file that is opened would take its number
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        _end_soon_after_ctrl_c()
        return super().__call__(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _ctrl_c_heard():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            stop()
        except MemoryError as error:
            refuse(f"there is not enough memory: {str(error) or 'ask for less at once'}")
        except OSError as error:
            if error.filename is not None:
                refuse(f"{error.filename}: {error.strerror or error}")
            _leave_output_alone()
            if error.errno == errno.EPIPE:
                sys.exit(UNREAD)
            refuse(f"the output could not be written: {error.strerror or error}")


def _end_soon_after_ctrl_c() -> None:
    """Let a thread wait for Ctrl-C: Python tells the main thread only when this returns from C++."""
    heard, written = socket.socketpair()
    written.setblocking(False)
    signal.set_wakeup_fd(written.detach(), warn_on_full_buffer=False)

    def watch() -> None:
        while signal.SIGINT not in heard.recv(1):
            pass
        if not _told.wait(LONGEST_STOP):
            _tell()
        sleep(A_MOMENT)  # the process may end by itself, after clearing up
        os._exit(STOPPED)

    Thread(target=watch, daemon=True).start()


@contextmanager
def _ctrl_c_heard() -> Iterator[None]:
    """Raise Ctrl-C again if it came while no exception could be raised: in a library's callback, or in an import."""
    before, raised = sys.unraisablehook, signal.getsignal(signal.SIGINT)
    press: Callable[[], None] = interrupt_main  # unlike a signal, it does not wake a sleeping call
    if hasattr(signal, "pthread_kill"):
        press = partial(signal.pthread_kill, get_ident(), signal.SIGINT)

    waiting: list[Timer] = []

    def press_soon() -> None:
        waiting.append(Timer(A_MOMENT, press))
        waiting[-1].start()

    def again(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            press_soon()  # later, since now it would be raised in here
        else:
            before(unraisable)

    def later(number: int, frame: FrameType | None) -> None:
        if _loading(frame):
            press_soon()
        else:
            signal.default_int_handler(number, frame)

    sys.unraisablehook = again
    # if ignored, it stays ignored; and only the main thread may set a handler
    handled = raised in (signal.default_int_handler, signal.SIG_DFL) and current_thread() is main_thread()
    if handled:
        signal.signal(signal.SIGINT, later)
    try:
        yield
        for timer in waiting:  # otherwise it would be raised when nothing handles it any more
            timer.join()
    finally:
        sys.unraisablehook = before
        if handled:
            signal.signal(signal.SIGINT, raised)


def _loading(frame: FrameType | None) -> bool:
    """Whether a module is being imported: its C++ may end the process at an exception, or change it to another one."""
    while frame is not None and frame.f_code is not Commands.invoke.__code__:
        if frame.f_code.co_name == "<module>":
            return True
        frame = frame.f_back
    return False


def _leave_output_alone() -> None:
    """Otherwise Python, at its end, tries again to write what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
