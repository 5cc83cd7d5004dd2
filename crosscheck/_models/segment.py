"""One stretch alone: the wrong module of torch, compared by ``compare`` with the steps of JAX in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.extend.core import Literal

from crosscheck._compare.compare import compare
from crosscheck._compare.how_numbers import CONSTANTS
from crosscheck._frameworks.torch_backend import to_array
from crosscheck._frameworks.torch_program import copied
from crosscheck._models.distances import distance, same_numbers
from crosscheck._models.engine import Found
from crosscheck._models.forcing import Fault
from crosscheck._models.landmarks import Landmark, orders_of
from crosscheck._models.reruns import steps_before
from crosscheck._models.stepping import as_it_is
from crosscheck._models.uses import DATA, Operation
from crosscheck._shadow.jax_equations import DRAWS, widened

SAME = 1e-5
"""The largest relative difference of a module's argument in JAX: values between landmarks are rounded differently."""
MOST_COMPARED = 12
"""The most different stretches that are compared alone, which takes seconds each."""


def explanation_by_compare(found: Found, landmark: Landmark, fault: Fault, known: dict[object, str]) -> str:
    """How the module and the stretch differ; empty if the stretch is not that of one module.

    ``known`` holds the results so far: equal layers are compared once.
    """
    operation = found.torch.operations[fault.operation]
    module = found.torch.modules.get(operation.path)
    if module is None or not operation.path or list(module.children()):
        return ""
    seen = given_to(found, operation)
    if seen is None:
        return ""
    if getattr(module, "inplace", False):  # its argument is used again
        module = copied(module)
        module.inplace = False
    try:
        # JAX's program ends where JAX should have the module's result, if the search found that value; else at the landmark
        own = fault.mend is not None and _gives(module, seen, found.torch.values[operation.index].narrow)
        step = found.flat.steps[landmark.step]
        at_landmark = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
        ends = _stretch(found, fault.mend.value if own and fault.mend else at_landmark, seen, step.operation.source)
        if ends is None:
            return ""
        given, function = ends
        module = module if own else _up_to(found, landmark, operation, module, seen)
        if module is None or (given is not seen and not _keeps_axes(found, module, given, operation)):
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


def draws_random_numbers(found: Found, at: int) -> bool:
    """Whether JAX draws random numbers on the way to a landmark from those before."""
    return any(step.operation.name in DRAWS for step in steps_before(found, at))


def given_to(found: Found, operation: Operation) -> Any:
    """The one array with which a module was called when it ran this operation."""
    calls = [call for call in found.torch.calls if call[0] == operation.path and call[1] <= operation.index]
    if not calls:
        return None
    given = calls[-1][2]
    return given[0] if len(given) == 1 and isinstance(given[0], np.ndarray) else None


def _equal(given: Any, there: Any, order: tuple[int, ...] | None) -> bool:
    """Whether JAX has an array of torch with its axes in an order."""
    moved = given if order is None else given.transpose(order)
    return moved.shape == there.shape and distance(there, moved) <= SAME


def _gives(module: torch.nn.Module, given: Any, result: Any) -> bool:
    """Whether a module gives this result."""
    value = _result(module, given)
    return value.size == result.size and same_numbers(value[None], result[None], SAME)


def _result(module: torch.nn.Module, given: Any) -> Any:
    """The result of a module in float64."""
    with torch.no_grad():
        return to_array(copied(module).double()(torch.from_numpy(given.astype(np.float64))))


def _up_to(found: Found, landmark: Landmark, operation: Operation, module: torch.nn.Module, given: Any) -> Any:
    """The module with those that follow it up to the landmark; None if anything else is between them."""
    chain, value = [], given
    calls = iter([call for call in found.torch.calls if call[1] > operation.index])
    while True:
        value = _result(module, value)
        chain.append(module)
        expected = landmark.expected.narrow
        if value.size == expected.size and same_numbers(value[None], expected[None], SAME):
            return chain[0] if len(chain) == 1 else torch.nn.Sequential(*chain)
        following = next((call for call in calls if _takes(call[2], value)), None)
        if following is None:
            return None
        module = found.torch.modules[following[0]]


def _takes(arguments: Sequence[Any], value: Any) -> bool:
    """Whether a module was called with these numbers alone."""
    one = arguments[0] if len(arguments) == 1 else None
    given = one if isinstance(one, np.ndarray) else np.empty(0)
    return given.size == value.size and same_numbers(given[None].astype(np.float64), value[None], SAME)


def _keeps_axes(found: Found, module: torch.nn.Module, given: Any, operation: Operation) -> bool:
    """Whether a module commutes with a change of its argument's axes to JAX's, as elementwise functions do."""
    mine, theirs = (np.sort(one, axis=None) for one in (found.torch.values[operation.index].wide, _result(module, given)))
    return mine.shape == theirs.shape and distance(theirs[:, None], mine[:, None]) <= SAME


def _as_meant(literal: Any) -> Any:
    """A number in the source, in float64: a well-known constant, such as sqrt(2 / pi), or a decimal."""
    if literal.ndim or literal.dtype.kind != "f":
        return literal
    return next((one for one in CONSTANTS.values() if literal == literal.dtype.type(one)), widened(literal))


def _stretch(found: Found, target: Any, given: Any, source: str) -> tuple[Any, Callable[[Any], Any]] | None:
    """The module's argument with its axes in JAX, and JAX's program from there to a value."""
    run = found.narrow.run
    if run is None:
        return None
    flat = found.flat
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
    there, seen = np.asarray(run.values[start]), given
    fitting = (axes for axes in orders_of(there.shape, seen.shape) if _equal(seen, there, axes))
    order = next(fitting, ())
    if order == ():  # the module's axes are joined or split in JAX: it is run with JAX's
        given, order = there.astype(given.dtype), None
    inside = [one for one in flat.steps if set(one.outputs) & ancestors]
    values = run.values

    def port(x: Any) -> Any:
        if tuple(x.shape) == given.shape:
            return same_shape(x)
        # An elementwise function is also compared at other inputs, of other shapes.
        parts = -(-x.size // given.size)
        padded = jnp.resize(x.ravel(), (parts, *given.shape))
        return jax.vmap(same_shape)(padded).ravel()[: x.size].reshape(x.shape)

    def same_shape(x: Any) -> Any:
        here: dict[int, Any] = {start: x if order is None else x.transpose(order)}
        made: dict[int, Any] = {}

        def read(one: Any) -> Any:
            if isinstance(one, int) and one in here:
                return here[one]
            if isinstance(one, int) and flat.kinds[one] != DATA and one in flat.maker:
                if one not in made:  # such as sqrt(variance + epsilon): its numbers are searched too
                    maker = flat.steps[flat.maker[one]]
                    made.update(zip(maker.outputs, as_it_is(maker, [read(number) for number in maker.inputs]), strict=True))
                return made[one]
            exact = flat.exact.get(id(one)) if isinstance(one, Literal) else flat.exact.get(id(flat.constants.get(one)))
            held = _as_meant(np.asarray(one.val, one.aval.dtype)) if isinstance(one, Literal) else values.get(one)
            value = exact if exact is not None else held
            dtype = one.aval.dtype if isinstance(one, Literal) else values[one].dtype
            return jnp.asarray(value, x.dtype if jnp.issubdtype(dtype, jnp.floating) else dtype)

        for one in inside:
            if not any(isinstance(number, int) and number in here for number in one.inputs) or start in one.outputs:
                continue
            operands = [read(number) for number in one.inputs]
            # a cast to the model's dtype changes nothing there, and would round the wider numbers of a search
            idle = one.operation.name == "convert_element_type" and flat.avals[one.outputs[0]].dtype == flat.dtype
            results = [operands[0].astype(x.dtype)] if idle else as_it_is(one, operands)
            here.update(zip(one.outputs, results, strict=True))
        result = here[target]
        return result if order is None or result.ndim != len(order) else result.transpose(np.argsort(order))

    port.__name__ = source or "the port"
    return given, port
