"""The command that prints on what results depend."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse
from crosscheck._cli.output import one_message, save


@click.command(cls=Command)
@options.device()
@paths.output("--json", "Write the environment as JSON.")
@caching.option
def env(device: str, json_path: str | None) -> None:
    """Print versions, devices and settings on which results depend: what each changes, how to set both frameworks alike."""
    from crosscheck._frameworks.environment import environment
    from crosscheck._frameworks.settings import settings
    from crosscheck._records.plain import plain
    from crosscheck._report.json_file import write_json

    if device not in ("cpu", "gpu"):
        refuse(f"unknown device {device!r}; known: cpu, gpu")
    with one_message():
        described = environment(device)
    _print_nested(described)
    found = settings()
    for setting in found:
        values = ", ".join(f"{side} {value}" for side, value in (("torch", setting.torch), ("jax", setting.jax)) if value)
        click.echo(f"\n{setting.name}: {values or 'no framework is installed'}")
        click.echo(f"  changes    {setting.changes}")
        click.echo(f"  set alike  {setting.alike}")
    data = {
        "schema": "crosscheck.env/1",
        "environment": plain(described),
        "settings": [plain(asdict(setting)) for setting in found],
    }
    save(json_path, lambda path: write_json(path, data))


def _print_nested(data: dict[str, Any], indent: int = 0) -> None:
    for key, value in data.items():
        if isinstance(value, dict):
            click.echo(f"{' ' * indent}{key}:")
            _print_nested(value, indent + 2)
        else:
            click.echo(f"{' ' * indent}{key}: {value}")
