"""The command that trains a perceptron in both frameworks."""

from __future__ import annotations

from typing import Any

import click

from crosscheck._cli import caching, options, paths
from crosscheck._cli.command import Command
from crosscheck._cli.ending import refuse
from crosscheck._cli.options import refuse_besides
from crosscheck._cli.output import echo, finish, one_message, save, save_figure, show
from crosscheck._cli.progress import epochs_done


class _Plant(click.Option):
    """Its help names the faults; their module is only imported for this help, since it takes long."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from crosscheck._training.faults import FAULTS

        self.help = f"Self-test: plant a fault in jax, or in torch:FAULT: {', '.join(FAULTS)}."
        return super().get_help_record(ctx)


@click.command(cls=Command)
@click.option(
    "--gate", metavar="GATE", help="A gate of two inputs, or points for ten random ones; by default points, then or."
)
@click.option("--epochs", default=1000, show_default=True, help="The number of steps, each on all data.")
@click.option("--learning-rate", default=0.1, show_default=True, help="The step size of SGD.")
@options.seed("the start, and of the random points")
@options.dtype("float32", "float64")
@click.option("--seeds", type=int, metavar="N", help="Train from N starts, vectorised; every gate, unless --gate is given.")
@click.option("--losses", is_flag=True, help="Judge only the losses, at extreme logits and probabilities.")
@click.option("--plant", cls=_Plant, multiple=True, metavar="[SIDE:]FAULT")
@paths.output("--json", "Write the report as JSON, with the loss of every epoch.")
@paths.figure("--figure", "Draw losses, difference and boundary")
@caching.option
def perceptron(
    gate: str | None,
    epochs: int,
    learning_rate: float,
    seed: int,
    dtype: str,
    seeds: int | None,
    losses: bool,
    plant: tuple[str, ...],
    json_path: str | None,
    figure_path: str | None,
) -> None:
    """Train a perceptron in both frameworks from the same start, and say where and why the trainings differ.

    Exit 0: the frameworks agree, even if they did not learn. 1: they do not; the fault, its epoch and its tensor are named.
    """
    if seeds is not None and (plant or figure_path):
        refuse("--seeds: got --plant or --figure too, which need a single training; leave one of them out")
    from crosscheck._report.json_file import write_json
    from crosscheck._report.terminal import layout
    from crosscheck._training import perceptron as _trainings

    options: dict[str, Any] = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed, "dtype": dtype}
    with one_message():
        if losses:
            refuse_besides("--losses", "--json")
            judged = _trainings.losses()
            passed, documents, data = judged.passed, [judged.document()], judged.data()
        elif seeds is not None:
            with epochs_done(3 * epochs) as progress:
                many = _trainings.perceptrons(gate, seeds=seeds, progress=progress, **options)
            passed, documents, data = many.passed, [many.document()], many.data()
        else:
            options["plant"] = dict(map(_side_and_fault, plant))
            tasks = ["points", "or"] if gate is None else [gate]
            with epochs_done(_trainings.trainings(len(options["plant"])) * len(tasks) * epochs) as progress:
                *others, report = [_trainings.perceptron(task, progress=progress, **options) for task in tasks]
            passed = all(one.passed for one in (*others, report))
            documents = [one.document() for one in (*others, report)]
            data = report.data() | {other.gate: other.training() for other in others}
    for number, document in enumerate(documents):
        if number:
            echo("")
        show(layout(document))
    save(json_path, lambda path: write_json(path, data))
    if figure_path is not None:
        save_figure(figure_path, report.plot())
    finish(passed)


def _side_and_fault(given: str) -> tuple[str, str]:
    side, _, fault = given.rpartition(":")
    return side or "jax", fault
