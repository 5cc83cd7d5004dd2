"""The class of every command: its help, its options, and its files, which are checked before any work is done."""

from __future__ import annotations

from collections import Counter
from traceback import print_exception
from typing import Any

import click

from crosscheck._cli.ending import refuse
from crosscheck._cli.options import called
from crosscheck._cli.paths import InputPath, Output, Paths
from crosscheck._records.errors import InternalError, own_failures

LONGEST = 200
"""The largest length of the first sentence of a command's help: none is longer, so none is cut."""


class Command(click.Command):
    """A command whose parameters name the files that it reads and writes; if it writes any, it has ``--force``.

    If crosscheck itself fails, it ends with one message, and with ``--traceback`` with the place of the failure too.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if any(isinstance(param.type, Output) for param in self.params):
            text = "Overwrite files that crosscheck did not write, too."
            self.params.append(click.Option(["--force"], is_flag=True, help=text))
        self.params.append(click.Option(["--traceback"], is_flag=True, help="If crosscheck itself fails, print where."))

    def invoke(self, ctx: click.Context) -> Any:
        shown = ctx.params.pop("traceback")
        try:
            with own_failures():
                return self._invoke(ctx)
        except InternalError as error:
            if shown:
                print_exception(error.__cause__)
            refuse(str(error) if shown else f"{error}, which --traceback prints")

    def _invoke(self, ctx: click.Context) -> Any:
        paths = ctx.obj = Paths(force=ctx.params.pop("force", False))
        for param in self.params:
            if isinstance(param.type, InputPath):
                given = ctx.params.get(param.name or "") or ()
                for path in (given,) if isinstance(given, str) else given:
                    if isinstance(param.type, Output):
                        paths.write(called(param), path, param.type.suffixes)
                    else:
                        paths.read(called(param), path)
        return super().invoke(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an option that takes one value and is given twice: click would silently use the last one."""
        if not ctx.resilient_parsing:
            for param, times in Counter(self.make_parser(ctx).parse_args(list(args))[2]).items():
                if times > 1 and isinstance(param, click.Option) and not param.multiple and not param.is_flag:
                    refuse(f"{called(param)}: got {times} values, expected one; run the command once for each")
        return super().parse_args(ctx, args)

    def get_short_help_str(self, limit: int = LONGEST) -> str:
        return super().get_short_help_str(LONGEST)
