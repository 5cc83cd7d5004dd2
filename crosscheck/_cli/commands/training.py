"""The command that compares two trainings step by step."""

from __future__ import annotations

from typing import Any

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.output import finish, one_message, save_all, save_figure, show, written
from crosscheck._cli.progress import steps_done


@click.command(cls=Command)
@click.argument("torch_step", metavar="MODULE:TORCH_STEP")
@click.argument("jax_step", metavar="MODULE:JAX_STEP")
@click.option("--batches", required=True, metavar="MODULE:BATCHES", help="The batches, or a function that returns them.")
@click.option(
    "--torch-state",
    required=True,
    metavar="MODULE:STATE",
    help="What a step of torch changes: (model, optimizer, scheduler).",
)
@click.option("--jax-state", required=True, metavar="MODULE:STATE", help="JAX's state at the start.")
@click.option("--jax-batches", metavar="MODULE:BATCHES", help="JAX's batches, if they are others.")
@click.option("--torch-to-jax", metavar="MODULE:FN", help="A function that converts a batch, as a list, to JAX's.")
@click.option(
    "--controls", type=int, metavar="N", default=8, show_default=True, help="Trainings of torch that start one ULP away."
)
@options.seed("controls and noise")
@paths.figure("--figure", "Draw the error of each step and the drift")
@written
@caching.option
def training(
    torch_step: str,
    jax_step: str,
    batches: str,
    torch_state: str,
    jax_state: str,
    jax_batches: str | None,
    torch_to_jax: str | None,
    controls: int,
    seed: int,
    figure_path: str | None,
    json_path: str | None,
    html_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare two trainings: my_port:torch_step my_port:jax_step --batches my_port:batches, and the states of both.

    A step is a function: in torch of a batch, in JAX of the state and a batch. A module may also be in the working folder.
    Exit 0: both do the same. 1: a part of the training differs. 2: nothing could be compared.
    """
    from crosscheck._cli.words import loaded, made
    from crosscheck._report.terminal import layout
    from crosscheck._training.training import compare_training

    given: dict[str, Any] = {"controls": controls, "seed": seed}
    with one_message(), steps_done() as progress:
        steps = loaded("the step of torch", torch_step), loaded("the step of JAX", jax_step)
        given["torch_state"] = made("--torch-state", torch_state)
        given["jax_state"] = made("--jax-state", jax_state)
        if jax_batches is not None:
            given["jax_batches"] = made("--jax-batches", jax_batches)
        if torch_to_jax is not None:
            given["torch_to_jax"] = loaded("--torch-to-jax", torch_to_jax)
        made_batches = made("--batches", batches)
        paths.of_this_command().read_modules()
        report = compare_training(*steps, made_batches, progress=progress, **given)
    show(layout(report.document()))
    if figure_path is not None and any(report.errors):
        save_figure(figure_path, report.plot())
    save_all(report, json_path, html_path, markdown_path)
    finish(report.passed, compared=any(report.errors))
