"""The command that compares two whole models."""

from __future__ import annotations

import os
from typing import Any

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.options import numbers
from crosscheck._cli.output import echo, finish, one_message, save, save_all, save_figure, show, written
from crosscheck._cli.progress import running
from crosscheck._records.names import DTYPES


@click.command(cls=Command)
@click.argument("torch_model", metavar="MODULE:TORCH")
@click.argument("jax_model", metavar="MODULE:JAX")
@click.option("--inputs", required=True, metavar="MODULE:INPUTS", help="The list of inputs, or a function that returns it.")
@click.option("--params", metavar="MODULE:PARAMS", help="JAX's parameters, or a function that returns them.")
@click.option("--torch-to-jax", metavar="MODULE:FN", help="A function that converts the list of inputs to JAX's.")
@click.option(
    "--weights", metavar="HOW", default="given", help="given: as they are; copy: copy torch's weights to JAX first."
)
@options.dtype(*DTYPES)
@options.orders("0 values, 1 also gradients by every parameter; 1 by default.")
@options.seed("cotangents and noise")
@paths.figure("--figure", "Draw the error over depth")
@click.option("--keep", metavar="FILE", help="Keep each finished run of JAX, so that the command, stopped, goes on with it.")
@click.option("--segments", metavar="FOLDER", help="Write a script for each fault that runs it alone, with its arrays.")
@written
@caching.option
def models(
    torch_model: str,
    jax_model: str,
    inputs: str,
    params: str | None,
    torch_to_jax: str | None,
    weights: str,
    dtype: str,
    orders: tuple[str, ...],
    seed: int,
    figure_path: str | None,
    keep: str | None,
    segments: str | None,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare a model of torch with its port to JAX: my_port:torch_model my_port:jax_model --inputs my_port:inputs.

    Each is a model, or a function without arguments that makes it. A module may also be in the working folder. Exit 0: the
    port is right. 1: a layer goes wrong. 2: nothing could be compared.
    """
    from crosscheck._cli.words import loaded, made
    from crosscheck._models.models import compare_models
    from crosscheck._report.terminal import layout

    if segments is not None:
        paths.of_this_command().into("--segments", segments)
    given: dict[str, Any] = {"dtype": dtype, "seed": seed, "weights": weights, "keep": keep}
    with one_message(), running("comparing the models") as progress:
        if orders:
            given["order"] = max(numbers(orders), key=str)
        if torch_to_jax is not None:
            given["torch_to_jax"] = loaded("--torch-to-jax", torch_to_jax)
        sides = made("the torch model", torch_model), made("the JAX model", jax_model, call=params is None)
        arrays = made("--inputs", inputs)
        if params is not None:
            given["params"] = made("--params", params)
        paths.of_this_command().read_modules()
        report = compare_models(*sides, arrays, progress=progress, **given)
    show(layout(report.document()))
    if figure_path is not None and report.layers:
        save_figure(figure_path, report.plot())
    if segments is not None:
        for segment in report.segments:
            for name in segment.files:
                paths.of_this_command().write("--segments", os.path.join(segments, name))
                echo(os.path.join(segments, name))
        save(segments, lambda folder: report.save_segments(folder, force=True), "--segments")
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=bool(report.layers))
