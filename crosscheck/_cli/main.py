"""The command line. Exit 0: all agreed. 1: an undeclared disagreement. 2: wrong usage, nothing compared, or an own fault."""

from __future__ import annotations

import gc
from functools import partial

import click

from crosscheck._cli.commands import atlas, catalogue, compare, env, models, perceptron, sweep, training, translate
from crosscheck._cli.ending import Commands

RARELY = (100_000, 50, 100)
"""When Python searches for reference cycles. By default, this takes a tenth of the time to import the frameworks."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="torch-jax-crosscheck", prog_name="crosscheck")
@click.pass_context
def main(ctx: click.Context) -> None:
    """The referee between PyTorch and JAX: do they agree, by how many ULP not, which side is wrong, and why?"""
    ctx.call_on_close(partial(gc.set_threshold, *gc.get_threshold()))
    gc.set_threshold(*RARELY)


for command in (
    catalogue.list_,
    catalogue.verify,
    catalogue.explain,
    catalogue.plot,
    compare.compare,
    compare.diff,
    translate.translate,
    models.models,
    training.training,
    sweep.sweep,
    perceptron.perceptron,
    atlas.atlas,
    env.env,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
