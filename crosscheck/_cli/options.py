"""Options that several commands share; as they were given, and with their names in messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import click
from click.core import ParameterSource

from crosscheck._cli.ending import refuse
from crosscheck._records.implementations import MODES
from crosscheck._records.names import DEVICES, DTYPES, ORDERS

ALL = "all"
Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def called(param: click.Parameter) -> str:
    """A parameter as a user writes it."""
    return param.opts[0] if isinstance(param, click.Option) else param.human_readable_name.strip("[].")


def in_options(message: str) -> str:
    """Turn a message on an argument of a Python function, such as ``seed: got -1``, into one on the option of that name."""
    params = click.get_current_context().command.params
    options = {called(param)[2:].replace("-", "_"): called(param) for param in params if isinstance(param, click.Option)}
    names = {"what": "NAME"} | {str(param.name): called(param) for param in params} | options
    head, colon, rest = message.partition(": ")
    if all(name in names for name in head.split(", ")):
        head = ", ".join(names[name] for name in head.split(", "))
    known = "|".join(options)
    argument = re.compile(rf"\b({known})=(?!=)(\w[\w.]*)?|(?<=\()({known})(?=\))")

    def option(match: re.Match[str]) -> str:
        return f"{options[match[1] or match[3]]} {match[2] or ''}".removesuffix(" True").rstrip()

    return head + colon + argument.sub(option, rest)


def _given() -> Iterator[click.Parameter]:
    context = click.get_current_context()
    for param in context.command.params:
        if context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
            yield param


def refuse_besides(option: str, *allowed: str) -> None:
    """Refuse parameters that have no effect beside an option; ``allowed`` ones have."""
    others = [called(param) for param in _given() if called(param) not in (option, "--force", "--no-cache", *allowed)]
    if others:
        refuse(f"{option}: got {', '.join(others)} too, which {'has' if len(others) == 1 else 'have'} no effect with it")


def every_mode(given: tuple[str, ...]) -> tuple[str, ...]:
    """The modes that are given; ``all`` means every mode."""
    return tuple(mode for choice in given for mode in (MODES if choice == ALL else (choice,)))


def numbers(given: tuple[str, ...]) -> list[int | str]:
    """Orders as numbers; a text that is not a number is refused later, where the orders are checked."""
    return [int(text) if text.isdecimal() else text for text in given]


def _among(*known: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """The completions of a value in a shell: the known values that begin with it."""
    return lambda _, __, begun: [value for value in known if value.startswith(begun)]


def _activations(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    from crosscheck._catalogue import activations

    return _among(*activations)(context, param, begun)


def name(*, required: bool = True) -> Decorator:
    """The argument that names one activation."""
    return click.argument("name", required=required, shell_complete=_activations)


def names() -> Decorator:
    """The argument that names several activations."""
    return click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=_activations)


def dtype(*known: str) -> Decorator:
    """The option of a command that runs in one dtype."""
    text = f"{', '.join(known)}."
    return click.option(
        "--dtype", default="float32", metavar="DTYPE", show_default=True, shell_complete=_among(*known), help=text
    )


def dtypes() -> Decorator:
    """The option of a command that runs in several dtypes."""
    return _several("--dtype", DTYPES, f"{', '.join(DTYPES)}; all by default.")


def orders(text: str) -> Decorator:
    """The option of a command that judges several orders; ``text`` says which."""
    return _several("--order", tuple(map(str, ORDERS)), text)


def implementations(*known: str) -> Decorator:
    """The option of a command that judges several implementations."""
    return _several("--implementation", known, f"{', '.join(known)}; native is what the framework ships.")


def modes(known: tuple[str, ...], usual: str) -> Decorator:
    """The option of a command that runs in several modes; ``usual`` names the default ones."""
    return _several("--mode", known, f"{', '.join(known)}; {usual} by default.")


def _several(flag: str, known: tuple[str, ...], text: str) -> Decorator:
    metavar = flag[2:].upper()
    return click.option(flag, f"{flag[2:]}s", multiple=True, metavar=metavar, shell_complete=_among(*known), help=text)


def device() -> Decorator:
    """The option of a command that may run on a GPU."""
    return click.option(
        "--device",
        default="cpu",
        metavar="DEVICE",
        show_default=True,
        shell_complete=_among(*DEVICES),
        help=f"Where the frameworks run: {' or '.join(DEVICES)}.",
    )


def seed(what: str = "the sampled inputs") -> Decorator:
    """The option of a command that draws numbers."""
    return click.option("--seed", default=0, show_default=True, help=f"Seed of {what}.")
