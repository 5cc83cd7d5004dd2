"""The command ``crosscheck`` in this process, found as a shell finds it: by its entry point."""

import subprocess
from importlib.metadata import entry_points
from typing import Any

import click
from click.testing import CliRunner, Result

main: click.Group = entry_points(group="console_scripts", name="crosscheck")["crosscheck"].load()


def run(*arguments: str, **options: Any) -> Result:
    """Its exit code and what it printed."""
    return CliRunner().invoke(main, arguments, **options)


def assert_refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    """It ended with exit code 2, one message and nothing else."""
    assert done.returncode == 2, done
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sum(line.startswith("Error:") for line in done.stderr.splitlines()) == 1
