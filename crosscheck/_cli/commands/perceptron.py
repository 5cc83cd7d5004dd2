"""The command that trains a perceptron in both frameworks."""

from __future__ import annotations

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.output import finish, one_message, save, save_figure, show
from crosscheck._cli.progress import epochs_done


class _Plant(click.Option):
    """Its help names the faults; their module is only imported for this help, since it takes long."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from crosscheck._training.perceptron.faults import FAULTS

        self.help = f"Self-test: plant a fault in jax, or in torch:FAULT: {', '.join(FAULTS)}."
        return super().get_help_record(ctx)


@click.command(cls=Command)
@click.option("--gate", default="or", show_default=True, metavar="GATE", help="One of the sixteen gates of two inputs.")
@click.option("--epochs", default=1000, show_default=True, help="The number of steps, each on all data.")
@click.option("--learning-rate", default=0.1, show_default=True, help="The step size of SGD.")
@options.seed("the start")
@options.dtype("float32", "float64")
@click.option("--plant", cls=_Plant, multiple=True, metavar="[SIDE:]FAULT")
@paths.output("--json", "Write the report as JSON, with the loss of every epoch.")
@paths.figure("--figure", "Draw losses, difference and boundary")
@caching.option
def perceptron(
    gate: str,
    epochs: int,
    learning_rate: float,
    seed: int,
    dtype: str,
    plant: tuple[str, ...],
    json_path: str | None,
    figure_path: str | None,
) -> None:
    """Train a perceptron in both frameworks from the same start, and say where and why the trainings differ.

    Exit 0: the frameworks agree, even if they did not learn. 1: they do not; the fault, its epoch and its tensor are named.
    """
    from crosscheck._report.terminal import layout
    from crosscheck._training.perceptron import perceptron as _trainings

    with one_message():
        planted = dict(map(_side_and_fault, plant))
        with epochs_done(_trainings.trainings(len(planted)) * epochs) as progress:
            report = _trainings.perceptron(
                gate,
                epochs=epochs,
                learning_rate=learning_rate,
                seed=seed,
                dtype=dtype,
                plant=planted,
                progress=progress,
            )
    show(layout(report.document()))
    save(json_path, report.to_json)
    if figure_path is not None:
        save_figure(figure_path, report.plot())
    finish(report.passed)


def _side_and_fault(given: str) -> tuple[str, str]:
    side, _, fault = given.rpartition(":")
    return side or "jax", fault
