"""The command ``env``: print what results depend on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse
from crosscheck._cli.output import one_message, save, show


@click.command(cls=Command)
@options.device()
@paths.output("--json", "Write the environment as JSON.")
@caching.option
def env(device: str, json_path: str | None) -> None:
    """Print versions, devices and settings on which results depend: what each changes, how to set both frameworks alike."""
    from crosscheck._frameworks.environment import environment
    from crosscheck._frameworks.settings import settings
    from crosscheck._report.json_file import write_json
    from crosscheck._report.terminal import Filled

    if device not in ("cpu", "gpu"):
        refuse(f"unknown device {device!r}; known: cpu, gpu")
    with one_message():
        described = environment(device)
    framework_settings = settings()
    lines = list(_nested(described))
    for setting in framework_settings:
        values = ", ".join(f"{side} {value}" for side, value in (("torch", setting.torch), ("jax", setting.jax)) if value)
        lines += ["", f"{setting.name}: {values or 'no framework is installed'}"]
        lines += [f"  changes    {setting.changes}", f"  set alike  {setting.alike}"]
    show(Filled("\n".join(lines)))
    data = {
        "schema": "crosscheck.env/1",
        "environment": described,
        "settings": framework_settings,
    }
    save(json_path, lambda path: write_json(path, data))


def _nested(data: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _nested(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {value}"
