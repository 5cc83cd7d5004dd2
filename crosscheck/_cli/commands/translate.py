"""The command ``translate``: look up in the dictionary what a call of PyTorch is in JAX."""

from __future__ import annotations

import click

from crosscheck._cli import paths
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse
from crosscheck._cli.options import refuse_besides
from crosscheck._cli.output import finish, one_message, save_all, show, written
from crosscheck._cli.paths import InputPath
from crosscheck._cli.progress import entries_done


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=InputPath(),
    metavar="PATH",
    help="Look up every call in this file, which is not run.",
)
@click.option("--run", is_flag=True, help="Judge again, with the installed versions.")
@written
def translate(
    name: str | None,
    files: tuple[str, ...],
    run: bool,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Look up what a call of PyTorch is in JAX, optax, flax and equinox; or what a call of these is in PyTorch.

    NAME is a full name or only its last part: torch.nn.LayerNorm, layer_norm, optax.l2_loss. Without NAME, the whole
    dictionary is listed. With --file, all calls of a file are looked up, in order, with the differences that matter for the
    arguments that are written there. Exit 0: everything is as the dictionary says, and it has every call of the file. 1:
    something is not. 2: there is no such name, or the file cannot be read or has no call of PyTorch.
    """
    from crosscheck._dictionary.kept import KEPT
    from crosscheck._report import terminal
    from crosscheck._translate.file_report import FileTranslation
    from crosscheck._translate.report import TranslationReport
    from crosscheck._translate.translate import translate as looked_up
    from crosscheck._translate.translate import translate_file

    if name is not None or not run:  # only a run over all entries may replace what is kept
        paths.of_this_command().read("the dictionary", str(KEPT))
    report: TranslationReport | FileTranslation
    if files:
        refuse_besides("--file", "--json", "--html", "--markdown")
        if len(files) > 1:
            refuse(f"--file: got {len(files)} files, expected one; run the command once for each")
        with one_message():
            report = translate_file(files[0])
        compared = len(report.calls)
    else:
        with one_message(), entries_done() as progress:
            report = looked_up(name, run=run, progress=progress)
        compared = report.compared
    show(terminal.layout(report.document()))
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=compared)
