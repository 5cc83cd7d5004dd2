"""Edits of the calls in a step of PyTorch's optimiser: one forgotten, or one of its numbers replaced."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from crosscheck._explain.facts import Fact
from crosscheck._training.optimizers.optimizer_edits import OTHERS, within

MOST = 60
"""A step with more calls is not changed."""
INSIDE = ("_tensor.py", "functional.py", "overrides.py")
"""Files of PyTorch that call on behalf of a line of the step."""


@dataclass(frozen=True)
class CallSite:
    """A call in a line of the step."""

    file: str
    line: int
    name: str

    def fact(self, args: Any, kwargs: Any, kind: str, torch: str = "", jax: str = "") -> Fact:
        """A fact of the call with these numbers, and of its line."""
        numbers = [f"{argument:g}" for argument in args if argument is not None]
        numbers += [f"{name}={argument:g}" for name, argument in kwargs.items()]
        text = linecache.getline(self.file, self.line).strip()
        call, line = f"{self.name.strip('_')}({', '.join(numbers)})", f"{Path(self.file).name}:{self.line}"
        return Fact(kind, call, torch=torch, jax=jax, where=text, source=line)


class _Calls(TorchFunctionMode):
    """Notes each call that gives a tensor of the shape of its first operand, or changes one."""

    def __init__(
        self, sites: dict[CallSite, tuple[Any, Any]], change: Callable[[CallSite, Any, Any], Any] | None = None
    ) -> None:
        super().__init__()
        self._sites, self._change = sites, change

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.endswith(INSIDE):
            frame = frame.f_back
        site = CallSite(frame.f_code.co_filename, frame.f_lineno, getattr(func, "__name__", ""))
        tensors = bool(args) and isinstance(args[0], torch.Tensor)
        if self._change is not None and tensors and site in self._sites:
            return self._change(site, func, (args, kwargs))
        result = func(*args, **kwargs)
        if self._change is None and tensors and isinstance(result, torch.Tensor) and result.shape == args[0].shape:
            numbers = tuple(argument if isinstance(argument, (int, float)) else None for argument in args)
            self._sites.setdefault(
                site, (numbers, {key: argument for key, argument in kwargs.items() if isinstance(argument, (int, float))})
            )
        return result


def calls(optimizer: Any, run: Callable[[Callable[[Any], None]], Any]) -> Iterator[tuple[Fact, Callable[[Any], None]]]:
    """What each edit of a call means of JAX's optimiser, and the edit. ``run`` runs steps with an edit of the optimiser.

    There is none for an optimiser that PyTorch ships: its options say what others do.
    """
    if type(optimizer).__module__.startswith("torch."):
        return
    sites: dict[CallSite, tuple[Any, Any]] = {}
    try:
        run(within(lambda _: _Calls(sites)))
    except Exception:  # a step of the user may raise anything
        return
    if len(sites) > MOST:
        return
    for site, (numbers, named) in sites.items():
        yield site.fact(numbers, named, "forgotten call"), _edit(site, _forgotten)
    for site, (numbers, named) in sites.items():
        if len(numbers) == 3 and isinstance(numbers[1], float) and numbers[1] == -numbers[2]:  # the ends of what is cut off
            for new in (value for value in OTHERS if value not in (0.0, numbers[2])):
                fact = site.fact(numbers, named, "call", f"{numbers[2]:g}", f"{new:g}")
                yield fact, _edit(site, partial(_cut, new))
        for place, old in [*enumerate(numbers), *named.items()]:
            for new in OTHERS if isinstance(old, float) else ():
                if new != old:
                    fact = site.fact(numbers, named, "call", f"{old:g}", f"{new:g}")
                    yield fact, _edit(site, partial(_replaced, place, new))


def _edit(site: CallSite, change: Callable[[CallSite, Any, Any], Any]) -> Callable[[Any], None]:
    return within(lambda _: _Calls({site: ((), {})}, change))


def _forgotten(site: CallSite, func: Any, given: Any) -> Any:
    """The first operand as it is."""
    return given[0][0]


def _cut(new: float, site: CallSite, func: Any, given: Any) -> Any:
    """The result with other ends."""
    args, kwargs = given
    return func(args[0], -new, new, **kwargs)


def _replaced(place: int | str, new: float, site: CallSite, func: Any, given: Any) -> Any:
    """The result with another number."""
    args, kwargs = given
    if isinstance(place, str):
        return func(*args, **{**kwargs, place: new})
    return func(*args[:place], new, *args[place + 1 :], **kwargs)
