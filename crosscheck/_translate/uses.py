"""Which entries a call in a file means, and which of their differences matter for the arguments that are written there."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import cache

from crosscheck._dictionary.names import called, spellings
from crosscheck._dictionary.records import TranslatedPair, Translation
from crosscheck._translate.reading import CallInFile

DTYPE = ("device", "dtype")
DTYPES = ("in float64", "in float32")
"""Edges that say of a dtype only: a file does not say in which one it runs."""


class Uses:
    """The entries of the dictionary, by every full name that leads to them."""

    def __init__(self, entries: Sequence[Translation]) -> None:
        self._named: dict[str, list[Translation]] = {}
        for entry in entries:
            for name in entry.names:
                self._named.setdefault(name, []).append(entry)
        self._of_call: dict[str, list[Translation]] = {}
        for entry in entries:
            self._of_call.setdefault(entry.name, []).append(entry)

    def of(self, name: str) -> tuple[Translation, ...]:
        """Every use of what a name of PyTorch calls, those that are named so first, and what else a module has.

        None where the dictionary has none.
        """
        hits = next((self._named[spelling] for spelling in spellings(name) if spelling in self._named), [])
        calls = dict.fromkeys(entry.name for entry in hits)
        uses = [entry for call in calls for entry in self._of_call[call]]
        uses += [entry for call, entries in self._of_call.items() if call.rpartition(".")[0] == name for entry in entries]
        return tuple({entry.title: entry for entry in [*hits, *uses]}.values())


def named_arguments(call: CallInFile, uses: Sequence[Translation]) -> dict[str, str]:
    """The written values by the names of their parameters, where these are known."""
    parameters = next((entry.parameters[call.name] for entry in uses if call.name in entry.parameters), ())
    names = [parameter.partition("=")[0] for parameter in parameters]
    return {
        names[int(key)] if key.isdigit() and int(key) < len(names) else key: value for key, value in call.arguments.items()
    }


def best(call: CallInFile, uses: Sequence[Translation]) -> Translation:
    """The use whose code has the arguments that are written; the first of those that have as many."""
    written = named_arguments(call, uses)

    def likeness(entry: Translation) -> int:
        has = _keywords(entry.torch)
        same = sum(1 + (has[name] == value) for name, value in written.items() if name in has)
        return 2 * same - len(has.keys() - written.keys())

    return max(uses, key=likeness)


def differences(call: CallInFile, uses: Sequence[Translation]) -> list[TranslatedPair]:
    """The pairs of the uses that differ and matter here.

    A default matters only if the file leaves its argument out, or writes what the code of the pair writes.
    """
    written = named_arguments(call, uses)
    parameters = _parameters(call, uses)
    contrasts = [pair for entry in uses for pair in entry.contrasts if _matters(pair, entry, written, parameters)]
    edges = {pair.at: pair for pair in reversed(best(call, uses).edges) if pair.at not in DTYPES}
    return [*contrasts, *reversed(edges.values())]  # one of each place: its libraries hardly differ there


def _matters(
    pair: TranslatedPair, entry: Translation, written: Mapping[str, str], parameters: Mapping[str, str | None]
) -> bool:
    if called(pair.torch) not in {*entry.names, ""} and pair.torch != entry.torch:
        return False  # it warns of another call
    left_out = {pair.argument} if pair.argument else _keywords(entry.torch).keys() - _keywords(pair.torch).keys()
    if left_out and left_out <= written.keys():
        return False
    needed = {name: value for name, value in _keywords(pair.torch).items() if name in parameters and name not in DTYPE}
    left = all(parameters[name] == value for name, value in needed.items() if name not in written)
    return left and not any(_another(written[name], value) for name, value in needed.items() if name in written)


def _another(written: str, value: str) -> bool:
    """Whether two choices are known and not the same; of numbers, one stands for all."""
    known = [text[:1] in "'\"" or text in ("True", "False", "None") for text in (written, value)]
    return all(known) and written != value


def _parameters(call: CallInFile, uses: Sequence[Translation]) -> dict[str, str | None]:
    given = next((entry.parameters[call.name] for entry in uses if call.name in entry.parameters), ())
    return {name: default if equals else None for name, equals, default in (parameter.partition("=") for parameter in given)}


@cache
def _keywords(code: str) -> Mapping[str, str]:
    """The arguments that a code gives by name."""
    nodes = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return {keyword.arg: ast.unparse(keyword.value) for node in nodes for keyword in node.keywords if keyword.arg}
