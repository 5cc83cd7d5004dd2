"""One stretch alone: the wrong module of torch, compared by ``compare`` with the steps of JAX in its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.extend.core import Literal

from crosscheck._compare.compare import compare
from crosscheck._frameworks.torch_backend import to_array
from crosscheck._models.engine import Found
from crosscheck._models.landmarks import Landmark, distance
from crosscheck._models.stepping import as_it_is
from crosscheck._models.uses import Operation

SAME = 1e-5
"""The largest relative difference of a module's argument in JAX: values between landmarks are rounded differently."""
MOST_COMPARED = 12
"""The most different stretches that are compared alone, which takes seconds each."""


def explanation_by_compare(found: Found, landmark: Landmark, operation: Operation, known: dict[object, str]) -> str:
    """How the module and the stretch differ; empty if the stretch is not that of one module.

    ``known`` holds the results so far: equal layers are compared once.
    """
    module = found.torch.modules.get(operation.path)
    if module is None or not operation.path or list(module.children()):
        return ""
    seen = _given(found, operation)
    ends = None if seen is None else _stretch(found, landmark, seen)
    if ends is None:
        return ""
    given, function = ends
    try:
        if given.shape != seen.shape and not _keeps_axes(found, module, given, operation):
            return ""
        same = repr(module), str(jax.make_jaxpr(function)(jax.ShapeDtypeStruct(given.shape, given.dtype)))
        if same in known:
            return known[same].partition(";")[0]  # the rest says at how many elements
        if len(known) >= MOST_COMPARED:
            return ""
        known[same] = ""
        report = compare(module, function, [given], order=0, dtype=found.flat.dtype)
    except Exception:  # a stretch that cannot be run alone has no explanation, but remains a fault
        return ""
    # an error of the layout is no fault of a stretch
    if not report.passed and report.cause not in (None, "error"):
        known[same] = report.headline.partition(f" / {function.__name__}: ")[2].rstrip(".")
    return known[same]


def _given(found: Found, operation: Operation) -> Any:
    """The one array with which a module was called when it ran this operation."""
    calls = [call for call in found.torch.calls if call[0] == operation.path and call[1] <= operation.index]
    if not calls:
        return None
    tensors = [one for one in calls[-1][2] if isinstance(one, torch.Tensor)]
    if len(tensors) != 1 or len(tensors) != len(calls[-1][2]) or not tensors[0].is_floating_point():
        return None
    return np.array(to_array(tensors[0].detach()))


def _keeps_axes(found: Found, module: torch.nn.Module, given: Any, operation: Operation) -> bool:
    """Whether a module commutes with a change of its argument's axes to JAX's, as elementwise functions do."""
    with torch.no_grad():
        result = copy.deepcopy(module).double()(torch.from_numpy(given.astype(np.float64)))
    mine, theirs = (np.sort(one, axis=None) for one in (found.torch.values[operation.index].wide, result.numpy()))
    return mine.shape == theirs.shape and distance(theirs[:, None], mine[:, None]) <= SAME


def _stretch(found: Found, landmark: Landmark, given: Any) -> tuple[Any, Callable[[Any], Any]] | None:
    """The module's argument with its axes in JAX, and JAX's program from there to the landmark."""
    run = found.narrow.run
    if run is None:
        return None
    flat = found.flat
    step = flat.steps[landmark.step]
    target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    wanted = np.sort(given.astype(np.float64), axis=None)[:, None]
    ancestors = flat.ancestors([target])
    starts = [
        number
        for number in ancestors
        if number in run.values
        and run.values[number].size == given.size
        and distance(np.sort(np.asarray(run.values[number], np.float64), axis=None)[:, None], wanted) <= SAME
    ]
    if not starts:
        return None
    start = max(starts)
    given = np.asarray(run.values[start]).astype(given.dtype) if run.values[start].shape != given.shape else given
    inside = [one for one in flat.steps[: landmark.step + 1] if set(one.outputs) & ancestors]
    values = run.values

    def port(x: Any) -> Any:
        if tuple(x.shape) == given.shape:
            return same_shape(x)
        # An elementwise function is also compared at other inputs, of other shapes.
        parts = -(-x.size // given.size)
        padded = jnp.resize(x.ravel(), (parts, *given.shape))
        return jax.vmap(same_shape)(padded).ravel()[: x.size].reshape(x.shape)

    def same_shape(x: Any) -> Any:
        here: dict[int, Any] = {start: x}

        def read(one: Any) -> Any:
            if isinstance(one, int) and one in here:
                return here[one]
            exact = flat.exact.get(id(one)) if isinstance(one, Literal) else flat.exact.get(id(flat.constants.get(one)))
            value = exact if exact is not None else one.val if isinstance(one, Literal) else values[one]
            dtype = one.aval.dtype if isinstance(one, Literal) else value.dtype
            return jnp.asarray(value, x.dtype if jnp.issubdtype(dtype, jnp.floating) else dtype)

        for one in inside:
            if not any(isinstance(number, int) and number in here for number in one.inputs) or start in one.outputs:
                continue
            operands = [read(number) for number in one.inputs]
            here.update(zip(one.outputs, as_it_is(one, operands), strict=True))
        return here[target]

    port.__name__ = step.operation.source or "the port"
    return given, port
