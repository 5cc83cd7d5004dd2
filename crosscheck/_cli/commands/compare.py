"""Commands that compare two things of a user: two functions, or two files of arrays."""

from __future__ import annotations

from typing import Any

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.options import numbers
from crosscheck._cli.output import finish, one_message, save_all, show, written
from crosscheck._cli.progress import working
from crosscheck._records.implementations import USUAL_MODES
from crosscheck._records.names import DTYPES, ORDERS


@click.command(cls=Command)
@click.argument("torch_fn", metavar="MODULE:FN")
@click.argument("jax_fn", metavar="MODULE:FN")
@click.option("--range", "ends", nargs=2, metavar="LOW HIGH", help="Inputs that are uniform in [LOW, HIGH).")
@click.option("--shape", "shapes", multiple=True, metavar="N,M,...", help="The shape of an input; once for each input.")
@options.dtype(*DTYPES)
@options.orders("0 values, 1 gradients too, 2 second derivatives too; by default 1, or 0 for integers.")
@click.option("--exact", metavar="NAME", help="The activation of the catalogue that gives the proven truth.")
@click.option("--accept", multiple=True, metavar="ID", help="Let a deviation pass: its id, or CAUSE, or CAUSE:LOW:HIGH.")
@options.modes(USUAL_MODES, "both")
@options.device()
@options.seed("inputs, vectors and noise")
@written
@caching.option
def compare(
    torch_fn: str,
    jax_fn: str,
    ends: tuple[str, str] | None,
    shapes: tuple[str, ...],
    dtype: str,
    orders: tuple[str, ...],
    exact: str | None,
    accept: tuple[str, ...],
    modes: tuple[str, ...],
    device: str,
    seed: int,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare a function of torch with one of JAX: torch.nn.functional:gelu jax.nn:gelu.

    A module may also be in the working folder. Inputs are normal numbers of the shapes given, uniform numbers in the range
    given, or without either the stratified set. Exit 0: the functions agree. 1: they do not. 2: nothing could be compared,
    for example because both raise.
    """
    from crosscheck._cli.words import acceptable, described, loaded
    from crosscheck._compare import compare as _functions
    from crosscheck._report.terminal import layout

    options: dict[str, Any] = {"dtype": dtype, "exact": exact, "device": device, "seed": seed}
    if modes:
        options["modes"] = modes
    with one_message(), working("comparing the functions"):
        if orders:
            options["order"] = max(numbers(orders), key=lambda order: (order not in ORDERS, str(order)))
        options["accept"] = [acceptable(acceptance) for acceptance in accept]
        inputs = described(ends, shapes)
        functions = loaded("the torch function", torch_fn), loaded("the JAX function", jax_fn)
        paths.of_this_command().read_modules()
        report = _functions.compare(*functions, inputs, **options)
    show(layout(report.document()))
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=report.ran)


@click.command(cls=Command)
@click.argument("a", type=paths.InputPath())
@click.argument("b", type=paths.InputPath())
@click.option(
    "--truth",
    type=paths.InputPath(),
    metavar="PATH",
    help="A file of the true values in float64, to find the side at fault.",
)
@click.option("--ulp", type=float, metavar="N", help="Allow N ULP of the larger element; 4 if no limit is given.")
@click.option("--rtol", type=float, metavar="R", help="Allow a difference of R times the element of B.")
@click.option("--atol", type=float, metavar="D", help="Allow a difference of D, in addition to --rtol.")
@written
def diff(
    a: str,
    b: str,
    truth: str | None,
    ulp: float | None,
    rtol: float | None,
    atol: float | None,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare two files of arrays, name by name: .npy, .npz or .safetensors.

    crosscheck.dump writes such files where only one of the frameworks is installed. Exit 0: all elements are within the
    limits. 1: some are not, or an array is on one side only, or has another shape or dtype. 2: nothing could be compared.
    """
    from crosscheck._arrays.arrays import compare_files
    from crosscheck._report.terminal import Filled

    with one_message():
        report = compare_files(a, b, truth, ulp=ulp, rtol=rtol, atol=atol)
    show(Filled(report.story()))
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=report.compared)
