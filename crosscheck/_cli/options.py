"""The options of a command as they were given, and as messages call them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from click.core import ParameterSource

from crosscheck._cli.ending import refuse
from crosscheck._records.implementations import MODES

ALL = "all"


def called(param: click.Parameter) -> str:
    """A parameter as a user writes it."""
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name.strip("[].")


def in_options(message: str) -> str:
    """A message on arguments of a Python function, such as ``seed: got -1``, on the options that gave them."""
    params = click.get_current_context().command.params
    options = {called(param)[2:].replace("-", "_"): called(param) for param in params if isinstance(param, click.Option)}
    names = {"what": "NAME"} | {str(param.name): called(param) for param in params} | options
    head, colon, rest = message.partition(": ")
    if all(name in names for name in head.split(", ")):
        head = ", ".join(names[name] for name in head.split(", "))
    argument = re.compile(rf"\b({'|'.join(options)})=(\w[\w.]*)")
    return head + colon + argument.sub(lambda found: f"{options[found[1]]} {found[2]}".removesuffix(" True"), rest)


def _given() -> Iterator[click.Parameter]:
    context = click.get_current_context()
    for param in context.command.params:
        if context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            yield param


def refuse_besides(option: str, *allowed: str) -> None:
    """Refuse what is given besides an option and parameters that are allowed with it: nothing else has an effect then."""
    others = [called(param) for param in _given() if called(param) not in (option, "--force", *allowed)]
    if others:
        refuse(f"{option}: got {', '.join(others)} too, which {'has' if len(others) == 1 else 'have'} no effect with it")


def modes(given: tuple[str, ...]) -> tuple[str, ...]:
    """The modes that are given, ``all`` for every one there is."""
    return tuple(mode for one in given for mode in (MODES if one == ALL else (one,)))


def numbers(given: tuple[str, ...]) -> list[int | str]:
    """Orders as numbers; what is none is refused where all orders are known."""
    return [int(one) if one.isdecimal() else one for one in given]
