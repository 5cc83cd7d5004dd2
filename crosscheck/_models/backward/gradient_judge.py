"""The gradient by each parameter of torch against those by the arrays of JAX that hold its numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.weights import Accounted
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.report.records import BLANK, IN_OTHER_FORM, IN_TORCH_ALONE, Gradient
from crosscheck._models.run.places import Places
from crosscheck._models.values.distances import BLOCK, DistanceInParts
from crosscheck._models.values.spilled import Store, Stored
from crosscheck._records.worded import Worded
from crosscheck._shadow.base import parts

FLOOR = 1e-8
"""The error of a gradient that is due to float64, relative to its size."""


@dataclass
class _Gathered:
    """What JAX has for one parameter of torch.

    Attributes:
        summands: Gradients that are to be added up.
        whole: Whether one of them is by all numbers of the parameter.
        numbers: Gradients by some of its numbers, added up: JAX may hold a number several times.
        spread: How far rounding may move them.
        known: The numbers that JAX holds; None for all.
    """

    summands: list[Stored] = field(default_factory=list)
    whole: bool = False
    numbers: Array | None = None
    spread: float = 0.0
    known: BoolArray | None = None


class GradientJudge:
    """Judges the gradient by a parameter as soon as those by all its arrays in JAX are there, and keeps none of them."""

    def __init__(
        self,
        module: torch.nn.Module,
        record: TorchRecord,
        model: JaxModel,
        accounted: Accounted,
        torch_gradients: Mapping[str, Sequence[Stored]],
        positions: Sequence[int],
    ) -> None:
        """A parameter that is a view of another one has no numbers of its own.

        Args:
            module: The model of torch.
            record: Its run.
            model: The model of JAX.
            accounted: Where JAX holds the numbers of torch.
            torch_gradients: Torch's gradients by name, each as arrays to be added up.
            positions: For each summand of JAX's gradients, the position of the array that it is a gradient by.
        """
        self._module, self._model, self._accounted = module, model, accounted
        self._torch_gradients, self._names = torch_gradients, [name for name in torch_gradients if name in record.weights]
        self._places = Places({name: array.shape for name, array in record.weights.items()})
        self._holders: dict[str, list[str]] = defaultdict(list)
        for leaf in model.names:
            for owner in self._owners(leaf):
                self._holders[owner].append(leaf)
        self._leaves = [model.names[position] for position in positions]
        summands = Counter(self._leaves)
        self._left = {name: sum(map(summands.__getitem__, leaves)) for name, leaves in self._holders.items()}
        self._gathered: dict[str, _Gathered] = defaultdict(_Gathered)
        self._store = Store()
        self._judged_gradients: dict[str, Gradient] = {}
        counts = Counter(name for use in record.uses for names in use.names for name in names.split("+"))
        self._repeated = {name for name, count in counts.items() if count > 1}
        """The parameters that torch applies several times, as it does a tied table."""
        self._others = 0
        """The most numbers that are not torch's in an array of JAX that has a gradient."""
        self._awaited = set[str]()
        """The parameters whose gradients torch has yet to give."""

    def _owners(self, leaf: str) -> list[str]:
        """The parameters of torch whose numbers an array of JAX holds; one of a sum twice, if both summands are its."""
        if leaf in self._accounted.whole:
            return [whole.torch for whole in self._accounted.whole[leaf]]
        return [owner for where in self._where(leaf) for owner, *_ in self._places.split(where)]

    def _where(self, leaf: str) -> tuple[Array, ...]:
        """The places in torch of the numbers of an array of JAX, unless it holds whole arrays of torch.

        The gradient of a sum counts for both of its summands.
        """
        if leaf in self._accounted.whole:
            return ()
        if leaf in self._accounted.sums:
            return self._accounted.sums[leaf].first, self._accounted.sums[leaf].second
        return (self._accounted.places[leaf],) if leaf in self._accounted.places else ()

    def add(self, number: int, gradient: Array, noisy: Array | None = None, allowance: float = 1.0) -> None:
        """Take a summand of JAX's gradients, and the same under noise: they may differ so many times as much."""
        leaf = self._leaves[number]
        for whole in self._accounted.whole.get(leaf, ()):
            self._add(whole.torch, ..., whole.back(gradient), None if noisy is None else whole.back(noisy), allowance)
        for where in self._where(leaf)[:1]:
            others = where < 0
            if gradient[others].any():
                self._others = max(self._others, int(others.sum()))
        for where in self._where(leaf):
            for owner, mask, places in self._places.split(where):
                self._add(owner, places, gradient[mask], None if noisy is None else noisy[mask], allowance)

    def _add(self, owner: str, places: Any, gradient: Array, noisy: Array | None, allowance: float) -> None:
        """Take the gradients by numbers of a parameter, at these places of it, or by all of them."""
        there = self._gathered[owner]
        if places is ...:
            is_last = self._left[owner] == 1 and owner not in self._awaited  # it is not kept for long
            there.summands.append(self._store.hold(gradient) if is_last else self._store.put(gradient))
            there.whole = True
        else:
            size = int(np.prod(self._places.shapes[owner], dtype=np.int64))
            if there.numbers is None or there.known is None:
                there.numbers, there.known = np.zeros(size), np.zeros(size, bool)
            np.add.at(there.numbers, places, gradient)
            there.known[places] = True
        there.spread += 0.0 if noisy is None else allowance * _furthest(gradient, noisy)
        self._left[owner] -= 1
        self._judge_if_whole(owner)

    def _judge_if_whole(self, name: str) -> None:
        """Judge the gradient by a parameter if both sides have it; keep JAX's if torch's is yet to come."""
        if name not in self._gathered or self._left[name]:
            return
        there, is_awaited = self._gathered[name], name in self._awaited
        if there.numbers is not None and there.known is not None:
            there.summands.append(self._store.put(there.numbers) if is_awaited else self._store.hold(there.numbers))
            there.numbers, there.known = None, None if there.whole or there.known.all() else there.known
        if not is_awaited:
            self._judge(name, self._gathered.pop(name))

    def in_step(self, gradients: Iterator[tuple[int, Array]]) -> Callable[[str], bool]:
        """Judge while torch's backward pass runs: take ``gradients``, those of JAX, as far as they are needed.

        Returns:
            A function to be called when torch's gradient by a parameter is there, with its name. It judges that, and says
            whether it is the first: it is False if torch adds to one that was judged.
        """
        self._awaited = set(self._names)

        def given(name: str) -> bool:
            is_first = name in self._awaited
            self._awaited.discard(name)
            while self._left.get(name) and (following := next(gradients, None)) is not None:
                self.add(*following)
            self._judge_if_whole(name)
            return is_first

        return given

    def judged(self, gradients: Iterable[tuple[int, Array]]) -> list[Gradient]:
        """Take all of JAX's gradients, or the last ones, and judge those by every parameter."""
        self._awaited.clear()
        for name in list(self._gathered):
            self._judge_if_whole(name)
        for number, gradient in gradients:
            self.add(number, gradient)
        return self.gradients()

    def differs(self, gradients: Iterable[tuple[int, Array]], limit: float) -> bool:
        """Whether a gradient differs by more than this; those behind it are not computed."""
        for number, gradient in gradients:
            self.add(number, gradient)
            if any(known.cause and known.error > limit for known in self._judged_gradients.values()):
                return True
        return False

    def gradients(self) -> list[Gradient]:
        """The gradients by every parameter; also by those of which JAX holds no number.

        Where torch applies one several times, JAX may compute it at one of these places from another array, if one has as
        many numbers that are not torch's.
        """
        without = {name: Gradient(name, (), 0.0, 0.0, FLOOR, None, IN_TORCH_ALONE) for name in self._names}
        judged_gradients = without | self._judged_gradients
        for name in self._repeated & judged_gradients.keys():
            if judged_gradients[name].cause and np.prod(self._places.shapes[name], dtype=np.int64) <= self._others:
                judged_gradients[name] = replace(without[name], explanation=IN_OTHER_FORM)
        return [judged_gradients[name] for name in self._names]

    def _judge(self, name: str, there: _Gathered) -> None:
        if name not in self._names:  # a buffer, or a parameter that is not trained
            return
        judged = self._compared(name, there, there.known)
        padding = self._padding(name) if judged.cause else None
        if padding is not None and self._torch_gradients[name]:
            shape = self._places.shapes[name]
            beside = np.ones(shape, bool) if there.known is None else there.known.reshape(shape).copy()
            beside[padding] = False
            if self._compared(name, there, beside.reshape(-1)).cause is None:
                why = Worded(f"PyTorch gives row {padding} of {name} no gradient, by padding_idx", "padding", padding, name)
                judged = replace(judged, explanation=why)
        self._judged_gradients[name] = judged

    def _compared(self, name: str, there: _Gathered, known: BoolArray | None) -> Gradient:
        """The gradients by the numbers of a parameter that are ``known``, compared part by part."""
        size = int(np.prod(self._places.shapes[name], dtype=np.int64))
        apart = DistanceInParts()
        for start in range(0, size, BLOCK):
            part = slice(start, min(start + BLOCK, size))
            of_torch = _sum(self._torch_gradients[name], part)
            of_jax = _sum(there.summands, part)
            chosen = ... if known is None else known[part]
            apart.add(of_jax[chosen], of_torch[chosen])
        return _judged(name, apart, size, there.spread, self._holders[name])

    def _padding(self, name: str) -> int | None:
        """The row of an embedding that gets no gradient; None without one."""
        module, _, leaf = name.rpartition(".")
        return getattr(self._module.get_submodule(module), "padding_idx", None) if leaf == "weight" else None


def larger(first: Gradient, second: Gradient) -> Gradient:
    """A gradient, judged by the larger of two tolerances for it."""
    if second.tolerance <= first.tolerance:
        return first
    if second.cause is None:
        return replace(first, tolerance=second.tolerance, cause=None, explanation=second.explanation)
    return replace(first, tolerance=second.tolerance, explanation=first.explanation or second.explanation)


def _furthest(gradient: Array, noisy: Array) -> float:
    """The largest change of a number under noise."""
    first, second = np.atleast_1d(gradient), np.atleast_1d(noisy)
    rows = parts(first.size, len(first))  # an embedding has many numbers
    return max((float(np.abs(first[part] - second[part]).max(initial=0.0)) for part in rows), default=0.0)


def _sum(summands: Sequence[Stored], part: slice) -> Array:
    """A part of the sum of some arrays."""
    parts = [array.part(part.start, part.stop) for array in summands]
    return sum(parts[1:], start=parts[0]) if parts else np.zeros(part.stop - part.start)


def _judged(name: str, apart: DistanceInParts, size: int, spread: float, holders: list[str]) -> Gradient:
    if not apart.count:
        return Gradient(name, (), 0.0, 0.0, FLOOR, None, IN_TORCH_ALONE)
    # no mask fills a gradient, and what cancels to nearly 0 is judged with the numbers beside it
    tolerance = max(FLOOR, spread / apart.size) if spread and apart.size else FLOOR
    if apart.blank and np.isfinite(apart.error):
        return Gradient(name, tuple(holders), 0.0, 0.0, FLOOR, None, BLANK)
    cause = None
    if not apart.error <= tolerance:
        cause = "missing" if apart.expected_zero != apart.zero else "definition"
    return Gradient(name, tuple(holders), apart.count / size, apart.error, tolerance, cause)
