"""Commands on the activations of the catalogue: list, verify, explain and plot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from crosscheck._cli import caching, options, paths, sharing
from crosscheck._cli.command import Command
from crosscheck._cli.options import every_mode, numbers
from crosscheck._cli.output import finish, one_message, save, save_all, save_figure, show, written
from crosscheck._cli.progress import activations_done
from crosscheck._records.implementations import FRAMEWORKS, IMPLEMENTATIONS, MODES, USUAL_MODES
from crosscheck._records.names import DTYPES


@click.command("list", cls=Command)
@paths.activations()
@paths.output("--json", "Write the list as JSON.")
def list_(files: tuple[str, ...], json_path: str | None) -> None:
    """List the activations, their parameters and what each framework ships."""
    from crosscheck._catalogue import Catalogue
    from crosscheck._report.blocks import Table
    from crosscheck._report.json_file import write_json
    from crosscheck._report.terminal import Fitted

    with one_message():
        records = list(Catalogue(files).values())
    rows = [["activation", "parameters", *FRAMEWORKS]]
    for record in records:
        parameters = ", ".join(f"{key}={value:g}" for key, value in record.parameters.items())
        shipped = (record.natives[side].path if side in record.natives else "" for side in FRAMEWORKS)
        rows.append([", ".join((record.name, *record.aliases)), parameters, *shipped])
    show(Fitted(Table(rows)))
    data = [
        {
            "name": record.name,
            "aliases": record.aliases,
            "parameters": dict(record.parameters),
            "natives": {side: native.path for side, native in record.natives.items()},
            "deviations": [deviation.id for deviation in record.deviations],
        }
        for record in records
    ]
    save(json_path, lambda path: write_json(path, {"schema": "crosscheck.list/1", "activations": data}))


@click.command(cls=Command)
@options.names()
@options.dtypes()
@options.orders("0 value, 1 gradient, 2 second derivative; all by default.")
@options.implementations(*IMPLEMENTATIONS)
@options.modes((*MODES, options.ALL), " and ".join(USUAL_MODES))
@click.option("--layout", is_flag=True, help="Check also whether results depend on the input's position, length or stride.")
@options.device()
@options.seed()
@click.option("--quick", is_flag=True, help="Fewer inputs; by default only float32, and JAX only under jit.")
@click.option("--thorough", is_flag=True, help="Rows of every length, and a longer search for the worst inputs.")
@click.option("--accuracy", is_flag=True, help="Also print the own implementations' largest errors by dtype and mode.")
@click.option("--without", multiple=True, metavar="ID", help="Treat this declared deviation as undeclared.")
@click.option("--strict", is_flag=True, help="Let new disagreements fail even if this environment is not on record.")
@paths.activations("Verify the activations of a Python file.")
@sharing.option("the activations")
@written
@caching.option
def verify(
    names: tuple[str, ...],
    dtypes: tuple[str, ...],
    orders: tuple[str, ...],
    implementations: tuple[str, ...],
    modes: tuple[str, ...],
    layout: bool,
    device: str,
    seed: int,
    quick: bool,
    thorough: bool,
    accuracy: bool,
    without: tuple[str, ...],
    strict: bool,
    files: tuple[str, ...],
    processes: int | None,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Judge activations against the proven truth; without NAME, all of them.

    Options that take several values are repeated: --dtype float32 --dtype bfloat16.
    """
    from crosscheck._catalogue import Catalogue
    from crosscheck._verify.verify import verify as run

    options: dict[str, Any] = {"device": device, "seed": seed, "quick": quick, "thorough": thorough, "without": without}
    options |= {"layout": layout, "strict": strict}
    given = {"dtypes": dtypes, "orders": numbers(orders), "implementations": implementations, "modes": every_mode(modes)}
    options |= {name: values for name, values in given.items() if values}
    with one_message():
        chosen = Catalogue(files).asked_for(names)
        with activations_done(len(chosen)) as progress:
            alone = device != "cpu"  # processes would share the GPU's memory
            options["processes"] = processes or (1 if alone else sharing.among(len(chosen)))
            report = run(chosen, progress=progress, **options)
    from crosscheck._report import terminal, text

    document = report.document()
    if accuracy:
        document = replace(document, blocks=(*document.blocks, *text.accuracy(report)))
    show(terminal.layout(document))
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=report.compared)


@click.command(cls=Command)
@options.name()
@paths.activations()
@paths.output("--json", "Write the explanation as JSON.")
@caching.option
def explain(name: str, files: tuple[str, ...], json_path: str | None) -> None:
    """Explain an activation: its definition, each disagreement of the frameworks about it, the cause, how to reproduce it.

    The activation is verified first, which takes seconds. Exit 0: every disagreement is declared. 1: one is not.
    """
    from crosscheck._catalogue import Catalogue
    from crosscheck._report.json_file import write_json
    from crosscheck._report.terminal import Filled
    from crosscheck._verify.explain import explanation as explained
    from crosscheck._verify.sightings.explanation import render

    with one_message():
        activation = Catalogue(files)[name]
        with activations_done(1) as progress:
            explanation = explained(activation, progress=progress)
    show(Filled(render(explanation)))
    save(json_path, lambda path: write_json(path, explanation.data()))
    finish(explanation.passed, compared=explanation.report.compared)


@click.command(cls=Command)
@options.name()
@paths.figure("--figure", "The file to write, by default NAME.png")
@options.dtype(*DTYPES)
@click.option(
    "--range",
    type=float,
    nargs=2,
    default=(-10.0, 10.0),
    metavar="LOW HIGH",
    show_default=True,
    help="The first and last input.",
)
@paths.activations()
@caching.option
def plot(name: str, figure_path: str | None, dtype: str, range: tuple[float, float], files: tuple[str, ...]) -> None:
    """Draw an activation and its gradient in both frameworks, and the error of each in ULP; print the file's path."""
    from crosscheck._catalogue import Catalogue
    from crosscheck._frameworks.lacking import lacking
    from crosscheck._verify.plot import plot as drawn

    with one_message():
        activation = Catalogue(files)[name]
        if figure_path is None:
            figure_path = f"{activation.name}.png"
            paths.of_this_command().write("--figure", figure_path)
        figure = drawn(activation, dtype=dtype, range=range)
        lost = lacking().among(FRAMEWORKS, [dtype])
    for what, why in lost.items():
        click.echo(f"Not run here: {what}: {why}", err=True)
    save_figure(figure_path, figure)
