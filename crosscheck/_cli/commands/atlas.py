"""The command ``atlas``: list every disagreement, compare two lists, and record what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from crosscheck._cli import caching, options, paths, sharing
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse
from crosscheck._cli.options import every_mode, refuse_besides
from crosscheck._cli.output import finish, one_message, save, show
from crosscheck._cli.progress import activations_done
from crosscheck._records.implementations import MODES
from crosscheck._records.names import DTYPES

if TYPE_CHECKING:
    from crosscheck._atlas.diff_report import AtlasDiff
    from crosscheck._atlas.record_report import AtlasRecording, RecordDiff


WRITTEN = ("--processes", "--json", "--markdown")
"""Options that are allowed with every other option."""


@click.command(cls=Command)
@options.names()
@options.dtypes()
@options.seed()
@options.modes((*MODES, options.ALL), "all")
@click.option("--layout/--no-layout", default=None, help="Compare results in several layouts; the default unless --quick.")
@click.option("--quick", is_flag=True, help="Fewer inputs, only eager and jit, only float32 unless --dtype is given.")
@click.option(
    "--diff",
    "old",
    type=paths.InputPath(),
    metavar="OLD.json",
    help="Print what changed from OLD to NEW.json, or to a run in this environment.",
)
@click.option("--record", is_flag=True, help="Measure what the frameworks do here, and write this environment's file.")
@click.option(
    "--out",
    type=paths.InputPath(),
    metavar="FOLDER",
    help="The folder for the file of --record; by default the current one.",
)
@click.option("--check", is_flag=True, help="Print the differences between the record of this environment and a run.")
@click.option("--without", multiple=True, metavar="ID", help="Treat this declared deviation as undeclared.")
@paths.activations()
@sharing.option("the activations")
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
    old: str | None,
    record: bool,
    out: str | None,
    check: bool,
    without: tuple[str, ...],
    files: tuple[str, ...],
    processes: int | None,
    json_path: str | None,
    markdown_path: str | None,
) -> None:
    """List every disagreement of the frameworks, with its inputs, cause and reason; without NAME, of all activations.

    Everything is verified first, which takes minutes. Exit 0: every disagreement is declared. 1: one is not declared, or
    differs from its declaration.

    With --diff: crosscheck atlas --diff OLD.json [NEW.json], with files that --json wrote. Without NEW.json, an atlas of
    what OLD covers is made in this environment. The records of two environments are compared by their names: crosscheck
    atlas --diff torch-2.13-jax-0.10-avx2 torch-2.13-jax-0.10-avx512. Exit 0: nothing changed. 1: something did.

    With --record: what the frameworks ship is measured here in every mode and layout, each disagreement is matched to a
    reason declared beside its function, and the file of this environment is written whole. After an interruption, the same
    command continues. Exit 0: everything has a reason. 1: something has none, and is listed.

    With --check: the same is measured, for all functions or for some, and compared with what is on record. Exit 0: they
    agree. 1: they differ.
    """
    if record:
        refuse_besides("--record", "--out", *WRITTEN)
        _record(Path(out or "."), processes, json_path, markdown_path)
    if out is not None:
        refuse("--out: got a folder without --record, which writes into it")
    if check:
        refuse_besides("--check", "NAME", "--dtype", "--mode", "--layout", *WRITTEN)
        _check(names, dtypes, modes, layout is not False, processes, json_path, markdown_path)
    if old is not None:
        refuse_besides("--diff", "NAME", *WRITTEN)
        if len(names) > 1:
            refuse(f"--diff: got {', '.join(names)}, expected --diff OLD.json [NEW.json]")
        if names:
            paths.of_this_command().read("NEW.json", names[0])
        _atlas_diff(old, names[0] if names else None, processes, json_path, markdown_path)
    from crosscheck._atlas import atlas as _atlases
    from crosscheck._atlas import report as text
    from crosscheck._catalogue import Catalogue
    from crosscheck._report import terminal

    options: dict[str, Any] = {"layout": layout, "seed": seed, "quick": quick, "without": without}
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
    from crosscheck._atlas.record_report import differences
    from crosscheck._atlas.report import read_atlas
    from crosscheck._recorded.files import by_name

    on_record = by_name()
    if {old, new} & on_record.keys():
        if lacking := [name for name in (old, new) if name not in on_record]:
            got = "the name of one record" if new is None else f"{lacking[0]!r} beside the name of a record"
            refuse(f"--diff: got {got}, expected the names of two; on record are: {', '.join(sorted(on_record))}")
        was, is_ = ((name, on_record[name].deviations) for name in (old, str(new)))
        _written(differences(was, is_, strict=False), json_path, markdown_path)
    with one_message():
        before = read_atlas(old, "--diff")
        after = None if new is None else read_atlas(new, "NEW.json")
        total = len(before.coverage.functions)
        with activations_done(total) as progress:
            diff = _atlases.atlas_diff(before, after, progress=progress, processes=processes or sharing.among(total))
    _written(diff, json_path, markdown_path)


def _record(out: Path, processes: int | None, json_path: str | None, markdown_path: str | None) -> NoReturn:
    from crosscheck._atlas import recording
    from crosscheck._catalogue import activations

    with one_message():
        paths.of_this_command().write("--out", str(recording.path_in(out)))
        with activations_done(len(activations)) as progress:
            made = recording.record(out, progress=progress, processes=processes or sharing.among(len(activations)))
    _written(made, json_path, markdown_path)


def _check(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    modes: tuple[str, ...],
    layout: bool,
    processes: int | None,
    json_path: str | None,
    markdown_path: str | None,
) -> NoReturn:
    from crosscheck import _arguments
    from crosscheck._atlas import recording
    from crosscheck._catalogue import Catalogue

    with one_message():
        scope = recording.Scope(
            _arguments.dtypes(dtypes or DTYPES), _arguments.known("mode", every_mode(modes) or MODES, MODES), layout
        )
        chosen = Catalogue(()).asked_for(names)
        with activations_done(len(chosen)) as progress:
            among = processes or sharing.among(len(chosen))
            made = recording.check(chosen, scope, progress=progress, processes=among)
    _written(made, json_path, markdown_path)


def _written(made: AtlasRecording | RecordDiff | AtlasDiff, json_path: str | None, markdown_path: str | None) -> NoReturn:
    from crosscheck._report.terminal import layout

    document = made.document()
    show(layout(document))
    save(json_path, made.to_json)
    save(markdown_path, made.to_markdown, "--markdown")
    finish(document.passed)
