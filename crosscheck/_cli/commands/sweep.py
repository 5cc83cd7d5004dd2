"""The command ``sweep``: judge an activation at every float of a dtype."""

from __future__ import annotations

from typing import Any

import click

from crosscheck._cli import caching, options, paths, sharing
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse, stopping_leaves
from crosscheck._cli.options import numbers, refuse_besides
from crosscheck._cli.output import finish, one_message, save, save_figure, show
from crosscheck._cli.progress import inputs_done
from crosscheck._records.implementations import IMPLEMENTATIONS


@click.command(cls=Command)
@options.name(required=False)
@options.dtype("float32", "bfloat16", "float16")
@options.orders("0 value, 1 gradient, in 16 bits 2 second derivative; all by default.")
@options.implementations(*IMPLEMENTATIONS[:-1])
@click.option("--range", "ends", nargs=2, metavar="LOW HIGH", help="The first and last input, or their bits: 0x3f800000.")
@options.device()
@click.option("--out", type=paths.InputPath(), metavar="FOLDER", help="Keep a journal there, to continue with --resume.")
@click.option("--resume", is_flag=True, help="Continue with the journal in --out.")
@sharing.option("the pieces")
@paths.activations()
@paths.output("--json", "Write the results as JSON.")
@paths.figure("--figure", "Draw the errors")
@click.option(
    "--table",
    type=paths.InputPath(),
    metavar="FOLDER",
    help="Without NAME: print the results that --json wrote to FOLDER as one table.",
)
@caching.option
def sweep(
    name: str | None,
    dtype: str,
    orders: tuple[str, ...],
    implementations: tuple[str, ...],
    ends: tuple[str, str] | None,
    device: str,
    out: str | None,
    resume: bool,
    processes: int | None,
    files: tuple[str, ...],
    json_path: str | None,
    figure_path: str | None,
    table: str | None,
) -> None:
    """Judge an activation, value and gradient, at every input of a dtype: 4,294,967,296 in float32, which takes minutes.

    Exit 0: crosscheck's own implementations keep the budget. 1: one does not. 130: Ctrl-C stopped it.
    """
    from crosscheck._catalogue import Catalogue
    from crosscheck._report.terminal import layout
    from crosscheck._sweep import sweep as _sweeps
    from crosscheck._sweep.report import read_sweeps, table_document

    if (name is None) == (table is None):
        refuse("NAME, --table: give the name of an activation, or a folder of results, and not both")
    if table is not None:
        refuse_besides("--table")
        with one_message():
            show(layout(table_document(read_sweeps(table))))
        return
    assert name is not None
    options: dict[str, Any] = {"dtype": dtype, "device": device, "out": out, "resume": resume, "range": ends}
    if implementations:
        options["implementations"] = implementations
    with one_message(), inputs_done() as progress:
        if orders:
            options["orders"] = numbers(orders)
        alone = bool(files) or device != "cpu"
        options["processes"] = processes or (1 if alone else sharing.per_core())
        activation = Catalogue(files)[name]
        if out is not None:
            paths.of_this_command().read("the journal in --out", str(_sweeps.journal_path(out, activation.name, dtype)))
        kept = "continue with the same command and --resume" if out else "nothing is kept; --out FOLDER keeps pieces"
        with stopping_leaves(kept):
            report = _sweeps.sweep(activation, progress=progress, **options)
    show(layout(report.document()))
    save(json_path, report.to_json)
    if figure_path is not None:
        save_figure(figure_path, report.plot())
    finish(report.passed)
