"""The command ``crosscheck`` in this process, found as a shell finds it: by its entry point."""

from importlib.metadata import entry_points
from typing import Any

import click
from click.testing import CliRunner, Result

main: click.Group = entry_points(group="console_scripts", name="crosscheck")["crosscheck"].load()


def run(*arguments: str, **options: Any) -> Result:
    """Its exit code and what it printed."""
    return CliRunner().invoke(main, arguments, **options)
