"""The command ``translate``: look up in the dictionary what a call of PyTorch is in JAX."""

from __future__ import annotations

import click

from crosscheck._cli import paths
from crosscheck._cli.command import Command
from crosscheck._cli.output import finish, one_message, save_all, show, written
from crosscheck._cli.progress import entries_done


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--run", is_flag=True, help="Judge again, with the installed versions.")
@written
def translate(name: str | None, run: bool, json_path: str | None, html_path: str | None, markdown_path: str | None) -> None:
    """Look up what a call of PyTorch is in JAX, optax, flax and equinox; or what a call of these is in PyTorch.

    NAME is a full name or only its last part: torch.nn.LayerNorm, layer_norm, optax.l2_loss. Without NAME, the whole
    dictionary is listed. Exit 0: everything is as the dictionary says. 1: something is not. 2: there is no such name.
    """
    from crosscheck._dictionary.kept import KEPT
    from crosscheck._report import terminal
    from crosscheck._translate.translate import translate as looked_up

    if name is not None or not run:  # only a run over all entries may replace what is kept
        paths.of_this_command().read("the dictionary", str(KEPT))
    with one_message(), entries_done() as progress:
        report = looked_up(name, run=run, progress=progress)
    show(terminal.layout(report.document()))
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=report.compared)
