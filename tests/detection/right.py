"""Right functions, each tried over seeds, dtypes and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from floats import FORMATS
from in_both import from_torch, to_torch
from truths import truth
from usual_checks import usual_of

import crosscheck
from crosscheck import Activation, Comparison
from detection.planting import with_rules
from detection.records import Right, Said
from detection.verified import SHAPE

Function = Callable[..., Any]
ALONE = ThreadPoolExecutor(1)
"""Arb's precision is one for the process, and JAX calls back from threads in which the processor flushes subnormals."""


@dataclass(frozen=True, kw_only=True)
class Own(Right):
    """crosscheck's own implementations of ``of`` in both frameworks, or with ``made`` others in their place."""

    of: str
    dtypes: Sequence[str] = ("float32",)
    seeds: Sequence[int] = (1, 2)
    quick: bool = True
    made: Callable[[Activation, str], Function] | None = None

    def functions(self) -> dict[str, Function]:
        """By side."""
        activation = crosscheck.activations[self.of]
        if self.made is None:
            return {side: getattr(activation, side) for side in ("torch", "jax")}
        return {side: self.made(activation, side) for side in ("torch", "jax")}

    def comparisons(self) -> list[Comparison]:
        """Value and both derivatives, of every case of the parameters; of what is made from Arb at their defaults."""
        comparisons: list[Comparison] = []
        for seed in self.seeds:
            options: dict[str, Any] = {} if self.made is None else {"replace": self.functions()}
            report = crosscheck.verify(
                self.of, implementations=["torch", "jax"], dtypes=self.dtypes, seed=seed, quick=self.quick, **options
            )
            comparisons += report.comparisons
        return comparisons

    def shapes(self) -> list[str]:
        """Rows and numbers are sampled as crosscheck does it."""
        return ["stratified rows" if crosscheck.activations[self.of].rows else "stratified"]

    def usual(self) -> Mapping[str, Said]:
        """Of normal numbers."""
        activation = crosscheck.activations[self.of]
        x = np.random.default_rng(1).standard_normal(SHAPE)
        low, high = activation.domain
        x = np.where((low < x) & (x < high), x, -x).astype(FORMATS[self.dtypes[0]].dtype)
        functions = self.functions()
        if self.made is not None:
            functions = {side: partial(function, **activation.parameters) for side, function in functions.items()}
        return usual_of(functions, [x], 1)


def from_arb(activation: Activation, side: str) -> Function:
    """The value and both derivatives, each correctly rounded: Arb's enclosures, decided for the dtype, in a framework."""
    rules = [partial(_rounded, activation, order) for order in range(3)]
    return with_rules(side, rules)


def _rounded(activation: Activation, order: int, framework: Any, x: Any, **parameters: Any) -> Any:
    def at(x: Any) -> Any:
        x = np.asarray(x)
        exact = ALONE.submit(truth, activation, x.ravel(), [order], parameters).result()[order]
        return exact.rounded.reshape(x.shape).astype(x.dtype)

    if framework.__name__ == "torch":
        return to_torch(at(from_torch(x)))
    like = framework.ShapeDtypeStruct(x.shape, x.dtype)
    return framework.pure_callback(at, like, x, vmap_method="expand_dims")


@dataclass(frozen=True, kw_only=True)
class Same(Right):
    """Two functions that are the same, in torch and in JAX; ``make(seed, shape)`` returns their inputs."""

    torch: Function
    jax: Function
    make: Callable[..., Any]
    shapes_of: Sequence[tuple[int, ...]] = ((),)
    dtypes: Sequence[str] = ("float32",)
    order: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def comparisons(self) -> list[Comparison]:
        """Of every seed, dtype and shape."""
        comparisons: list[Comparison] = []
        for seed in self.seeds:
            for dtype in self.dtypes:
                for shape in self.shapes_of:
                    given = self.make(seed, shape)
                    options = {"order": self.order, "dtype": dtype, "seed": seed, **self.options}
                    comparisons += crosscheck.compare(self.torch, self.jax, given, **options).comparisons
        return comparisons

    def shapes(self) -> list[str]:
        """Of the first input."""
        return ["x".join(map(str, np.shape(given[0]))) if given else "stratified" for given in self._given()]

    def _given(self) -> list[Any]:
        return [self.make(self.seeds[0], shape) for shape in self.shapes_of]

    def usual(self) -> Mapping[str, Said]:
        """At the first of these inputs, in the first dtype; where they are the stratified ones, at normal numbers."""
        given = self._given()[0]
        if given is None:
            given = [np.random.default_rng(1).standard_normal(SHAPE)]
        if not all(isinstance(array, np.ndarray) for array in given):
            return {}
        dtype = FORMATS[self.dtypes[0]].dtype
        arrays = [array.astype(dtype) if array.dtype.kind == "f" else array for array in given]
        return usual_of({"torch": self.torch, "jax": self.jax}, arrays, self.order)
