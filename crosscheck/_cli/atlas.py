"""The command that lists every disagreement, and says what changed between two such lists."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from crosscheck._cli import caching, options, paths, sharing
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse
from crosscheck._cli.options import every_mode, refuse_besides
from crosscheck._cli.output import finish, one_message, save, show
from crosscheck._cli.progress import activations_done
from crosscheck._records.implementations import MODES


@click.command(cls=Command)
@options.names()
@options.dtypes()
@options.seed()
@options.modes((*MODES, options.ALL), "all")
@click.option("--layout/--no-layout", default=None, help="Whether to compare results in several layouts; so unless --quick.")
@click.option("--quick", is_flag=True, help="Fewer inputs, eager and jit; float32 unless --dtype says otherwise.")
@click.option("--usual", is_flag=True, help="Measure which of the usual checks notice each disagreement; it takes longer.")
@click.option(
    "--diff",
    "old",
    type=paths.Input(),
    metavar="OLD.json",
    help="Say what changed since OLD, against NEW.json or here and now.",
)
@click.option("--without", multiple=True, metavar="ID", help="Treat this declared deviation as not declared.")
@paths.activations()
@sharing.option("the activations are")
@paths.output("--json", "Write the table, or with --diff the changes, as JSON.")
@paths.output("--markdown", "Write the table, or the changes, as Markdown.")
@caching.option
def atlas(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    modes: tuple[str, ...],
    layout: bool | None,
    seed: int,
    quick: bool,
    usual: bool,
    old: str | None,
    without: tuple[str, ...],
    files: tuple[str, ...],
    processes: int | None,
    json_path: str | None,
    markdown_path: str | None,
) -> None:
    """List every disagreement of the frameworks: who, where, what, why; without NAME, about all activations.

    Everything is verified first, which takes minutes. Exit 0: every disagreement is declared. 1: one is not, or is not as
    it is declared.

    With --diff: crosscheck atlas --diff OLD.json [NEW.json], where the files are those that --json wrote; without NEW.json
    an atlas of what OLD covers is made here and now. Exit 0: nothing changed. 1: something did.
    """
    if old is not None:
        refuse_besides("--diff", "NAME", "--processes", "--json", "--markdown")
        if len(names) > 1:
            refuse(f"--diff: got {', '.join(names)}, expected --diff OLD.json [NEW.json]")
        if names:
            paths.of_this_command().read("NEW.json", names[0])
        _atlas_diff(old, names[0] if names else None, processes, json_path, markdown_path)
    from crosscheck._atlas import atlas as _atlases
    from crosscheck._atlas import report as text
    from crosscheck._catalogue import Catalogue
    from crosscheck._report import terminal

    options: dict[str, Any] = {"layout": layout, "seed": seed, "quick": quick, "usual": usual, "without": without}
    options["modes"] = every_mode(modes) or None
    if dtypes:
        options["dtypes"] = dtypes
    with one_message():
        chosen = Catalogue(files).asked_for(names)
        with activations_done(len(chosen)) as progress:
            made = _atlases.atlas(chosen, progress=progress, processes=processes or sharing.among(len(chosen)), **options)
    show(terminal.layout(text.printed(made)))
    save(json_path, made.to_json)
    save(markdown_path, made.to_markdown, "--markdown")
    finish(made.passed, compared=made.compared)


def _atlas_diff(
    old: str, new: str | None, processes: int | None, json_path: str | None, markdown_path: str | None
) -> NoReturn:
    from crosscheck._atlas import atlas as _atlases
    from crosscheck._atlas import diff_report as text
    from crosscheck._atlas.file import read
    from crosscheck._report import terminal

    with one_message():
        before = read(old, "--diff")
        after = None if new is None else read(new, "NEW.json")
        total = len(before.coverage.functions)
        with activations_done(total) as progress:
            found = _atlases.atlas_diff(before, after, progress=progress, processes=processes or sharing.among(total))
    show(terminal.layout(text.printed(found)))
    save(json_path, found.to_json)
    save(markdown_path, found.to_markdown, "--markdown")
    finish(not found.changed)
