"""A training of JAX, step by step: the user's step as a flat program, the place of its gradients, and its runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._arithmetic.formats import floats_widened
from crosscheck._frameworks.jax_backend import scope
from crosscheck._frameworks.jax_shardings import as_held, like
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._models.pair.listing import used_in_jax
from crosscheck._models.record import jax_recording
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.run.interpreter import ModelRun, Perturbation, Seen, Watch
from crosscheck._models.run.recording import traceable
from crosscheck._records.errors import UsageError, said
from crosscheck._shadow.base import Noise

BACKWARD = "transpose("
"""The text in JAX's name stack at operations of a backward pass."""
LOSS, GRADIENTS = "loss", "gradients"


@dataclass(frozen=True)
class JaxStep:
    """The results of one step of JAX, in float64 or in the dtype.

    Attributes:
        loss: The loss.
        state: The arrays of the new state, by name.
        gradients: The results of its backward pass, by the name of the parameter's array, if they are found.
        values: The other values that it returned, by name.
        without: The arrays of the state that get no gradient from the backward pass.
    """

    loss: float
    state: Mapping[str, Array]
    gradients: Mapping[str, Array]
    values: Mapping[str, Array]
    without: frozenset[str] = frozenset()


@jax.tree_util.register_pytree_with_keys_class
class Named(dict[str, Array]):
    """Arrays that JAX calls by these names, and not by keys in brackets."""

    def tree_flatten_with_keys(self) -> tuple[list[tuple[str, Array]], tuple[str, ...]]:
        return list(self.items()), tuple(self)

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], arrays: Iterable[Array]) -> Named:
        return cls(zip(names, arrays, strict=True))


@dataclass
class JaxSteps:
    """The training of JAX.

    Attributes:
        step: A function of (state, *batch) that returns a new state and the loss, or a dict of values with ``loss``.
        tree: The state at the start.
        dtype: The dtype of its floats.
    """

    step: Callable[..., Any]
    tree: Any
    dtype: str
    names: tuple[str, ...] = ()
    start: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        paths, self._structure = jax.tree_util.tree_flatten_with_path(self.tree)
        self._leaves = [leaf for _, leaf in paths]
        self._places = [k for k, leaf in enumerate(self._leaves) if isinstance(leaf, jax.Array | np.ndarray | np.generic)]
        keyed = [k for k in self._places if jnp.issubdtype(self._leaves[k].dtype, jax.dtypes.prng_key)]
        self._places = [k for k in self._places if k not in keyed]
        self.names = tuple(_name(paths[k][0]) for k in self._places)
        self.start = {name: np.asarray(self._leaves[k]) for name, k in zip(self.names, self._places, strict=True)}
        self._programs: dict[Any, TracedStep] = {}
        self._jitted = jax.jit(self.step)

    def built(self, arrays: Mapping[str, Any]) -> Any:
        """The state with these arrays."""
        leaves = list(self._leaves)
        for name, k in zip(self.names, self._places, strict=True):
            leaves[k] = like(arrays[name], self._leaves[k])
        return jax.tree.unflatten(self._structure, leaves)

    def flat(self, state: Any) -> dict[str, Array]:
        """The arrays of a state, by name."""
        leaves = jax.tree.leaves(state)
        return {name: np.asarray(leaves[k]) for name, k in zip(self.names, self._places, strict=True)}

    def returned(self, result: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Split what the user's step returned into the new state, the loss, and the other values by name.

        Raises:
            UsageError: If the result has another form.
        """
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise UsageError(
                f"jax_step: it returned {_kind(result)}, expected a pair: the new state, and the loss or a dict of values "
                f"with 'loss'"
            )
        state, values = result
        if jax.tree.structure(state) != self._structure:
            raise UsageError(
                f"jax_step: the state that it returns has another structure than jax_state; expected "
                f"{_short(self._structure)}, got {_short(jax.tree.structure(state))}"
            )
        values = dict(values) if isinstance(values, Mapping) else {LOSS: values}
        loss = values.pop(LOSS, None)
        if loss is None or jnp.size(loss) != 1:
            what = "no loss" if loss is None else f"a loss of shape {jnp.shape(loss)}"
            raise UsageError(f"jax_step: it returned {what}, expected a number: (state, loss) or (state, {{'loss': loss}})")
        flat = {name + _name(path): leaf for name, value in values.items() for path, leaf in _with_paths(value)}
        return state, jnp.reshape(loss, ()), flat

    # runs

    def program(self, batch: Inputs) -> TracedStep:
        """The flat program for batches of these shapes."""
        key = tuple((leaf.shape, leaf.dtype) for leaf in batch.leaves)
        if key not in self._programs:
            self._programs[key] = self._traced(batch)
        return self._programs[key]

    def _traced(self, batch: Inputs) -> TracedStep:
        values: list[str] = []

        def function(weights: list[Any], inputs: list[Any]) -> list[Any]:
            state = self._with(weights)
            new, loss, others = self.returned(self.step(state, *batch.tree.build(as_held(inputs, batch.shardings))))
            values[:] = others
            leaves = jax.tree.leaves(new)
            for name, k in zip(self.names, self._places, strict=True):
                if jnp.shape(leaves[k]) != self.start[name].shape:
                    raise UsageError(
                        f"jax_step: its new state has the shape {jnp.shape(leaves[k])} in {name}, "
                        f"expected {self.start[name].shape}, as in jax_state"
                    )
            return [loss, *(jnp.asarray(leaves[k]) for k in self._places), *map(jnp.asarray, others.values())]

        arrays = [self.start[name] for name in self.names]
        must = "it must be a function of the state and a batch in JAX's layout (torch_to_jax) that jax.jit can trace"
        with traceable("jax_step", must):
            flat = jax_recording.trace(function, arrays, self.names, batch.leaves, self.dtype)
        return TracedStep(flat, self.names, tuple(values), self.dtype)

    def _with(self, weights: Sequence[Any]) -> Any:
        leaves = list(self._leaves)
        shardings = [getattr(self._leaves[k], "sharding", None) for k in self._places]
        for k, weight in zip(self._places, as_held(weights, shardings), strict=True):
            leaves[k] = weight
        return jax.tree.unflatten(self._structure, leaves)

    def loss(self, state: Mapping[str, Any]) -> Callable[..., Any]:
        """The loss as a function of some arrays of the state and a batch; the other arrays are the given ones."""

        def function(arrays: Mapping[str, Any], *batch: Any) -> Any:
            held = {name: jnp.asarray(array) for name, array in {**state, **arrays}.items()}
            return self.returned(self.step(self._with([held[name] for name in self.names]), *batch))[1]

        return function

    def loss_program(self, batch: Inputs) -> tuple[JaxModel, JaxProgramFlat]:
        """The loss as a model: its weights are the arrays of the state on which it depends."""
        loss = self.loss(self.start)

        def made(names: tuple[str, ...]) -> tuple[JaxModel, JaxProgramFlat]:
            def function(weights: list[Any], inputs: list[Any]) -> list[Any]:
                return [loss(dict(zip(names, weights, strict=True)), *batch.tree.build(as_held(inputs, batch.shardings)))]

            arrays = tuple(self.start[name] for name in names)
            model = JaxModel(names, arrays, function)
            return model, jax_recording.trace(function, arrays, names, batch.leaves, self.dtype)

        used = used_in_jax(*made(self.names))
        return made(tuple(name for name in self.names if name in used))

    def plain(self, state: Mapping[str, Array], batch: Inputs) -> JaxStep:
        """One step in the dtype, compiled, as the user's program runs it."""
        with scope(self.dtype, "cpu"):
            given = self.built(state), *batch.tree.build(as_held(batch.leaves, batch.shardings))
            try:
                result = self._jitted(*given)
            except Exception as error:  # what several devices share is traced, but JAX may not compile it
                raise UsageError(f"jax_step: jax.jit of it raises {said(error)}; expected it to run") from error
            new, loss, values = self.returned(result)
            return JaxStep(float(loss), self.flat(new), {}, {name: np.asarray(value) for name, value in values.items()})


@dataclass
class TracedStep:
    """A step of JAX for batches of one shape.

    Attributes:
        flat: Its operations. It returns the loss, the new state, and other values.
        names: The arrays of the state.
        values: The names of the other values.
    """

    flat: JaxProgramFlat
    names: tuple[str, ...]
    values: tuple[str, ...]
    dtype: str

    @cached_property
    def gradients(self) -> dict[str, int]:
        """The place of the gradient by each array of the state: a gradient that the step returns; otherwise the only value
        of its shape that the backward pass hands to the computation of the new array."""
        return self._returned() or {name: ends[0] for name, ends in self._ends.items() if len(ends) == 1}

    @cached_property
    def without(self) -> frozenset[str]:
        """The arrays that get no gradient from the backward pass."""
        return frozenset() if self._returned() else frozenset(name for name, ends in self._ends.items() if not ends)

    @cached_property
    def _ends(self) -> dict[str, list[int]]:
        flat = self.flat
        ends_by_name = {}
        for name, weight, result in zip(self.names, flat.weights, flat.results[1:], strict=False):
            shape = flat.avals[weight].shape
            seen: set[int] = set()
            left, ends = [result], []
            while left:
                number = left.pop()
                if number in seen or flat.avals[number].shape != shape:
                    continue
                seen.add(number)
                step = self._maker(number)
                if step is None:
                    continue
                if BACKWARD in step.operation.path or self._is_mean_over_devices(step):
                    ends.append(number)
                else:
                    left += [operand for operand in step.inputs if isinstance(operand, int)]
            ends_by_name[name] = ends
        return ends_by_name

    def _is_mean_over_devices(self, step: Step) -> bool:
        """Whether this divides what a backward pass gives by the number of devices over which it was added up."""
        if step.operation.name != "div" or not isinstance(step.inputs[0], int) or isinstance(step.inputs[1], int):
            return False
        before, by = self._maker(step.inputs[0]), step.inputs[1]
        return before is not None and BACKWARD in before.operation.path and float(by.val) in self.flat.devices

    def _returned(self) -> dict[str, int]:
        """The gradients that the user's step returns, by the array whose path has the same end."""
        flat = self.flat
        gradients: dict[str, int] = {}
        for value, result in zip(self.values, flat.results[1 + len(self.names) :], strict=True):
            path, number = value.removeprefix(GRADIENTS), flat.steps[flat.maker[result]].inputs[0]
            if path != value and isinstance(number, int) and number in flat.maker:
                shape = flat.avals[result].shape
                arrays = zip(self.names, flat.weights, strict=True)
                gradients |= {
                    name: number for name, weight in arrays if name.endswith(path) and flat.avals[weight].shape == shape
                }
        return gradients

    def sources(self, names: Collection[str]) -> frozenset[str]:
        """The arrays of the state from which these new arrays are computed."""
        flat = self.flat
        left = [result for name, result in self._new if name in names]
        seen: set[int] = set()
        while left:
            number = left.pop()
            if number not in seen:
                seen.add(number)
                step = self._maker(number)
                left += [operand for operand in step.inputs if isinstance(operand, int)] if step is not None else []
        return frozenset(name for name, number in zip(self.names, flat.weights, strict=True) if number in seen)

    def _maker(self, number: int) -> Step | None:
        index = self.flat.maker.get(number)
        return None if index is None else self.flat.steps[index]

    def wide(
        self,
        state: Mapping[str, Array],
        batch: Sequence[Array],
        gradients: Mapping[str, Array] | None = None,
        weights: Mapping[str, Array] | None = None,
    ) -> JaxStep:
        """One step in float64, with these gradients instead of its backward pass's, and with these new weights."""
        forced = {self.gradients[name]: gradient for name, gradient in (gradients or {}).items()}
        forced |= {self.new[name]: weight for name, weight in (weights or {}).items() if name in self.new}
        numbers = tuple(sorted(forced))
        if numbers not in self._compiled:
            self._compiled[numbers] = jax.jit(partial(self._run, numbers))
        with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
            arrays = [floats_widened(state[name]) for name in self.names]
            given = [np.asarray(forced[number], np.float64) for number in numbers]
            results, seen = self._compiled[numbers](arrays, list(map(floats_widened, batch)), given)
            return self.as_step([np.asarray(result) for result in results], {k: np.asarray(v) for k, v in seen.items()})

    @cached_property
    def _compiled(self) -> dict[tuple[int, ...], Any]:
        return {}

    @cached_property
    def new(self) -> dict[str, int]:
        """The value of each new array of the state, before it is returned, if an operation makes it."""
        made = ((name, self.flat.steps[self.flat.maker[result]].inputs[0]) for name, result in self._new)
        return {name: number for name, number in made if isinstance(number, int) and number in self.flat.maker}

    @property
    def _new(self) -> Iterator[tuple[str, int]]:
        return zip(self.names, self.flat.results[1:], strict=False)

    def _run(self, numbers: tuple[int, ...], arrays: Any, batch: Any, forced: Any) -> Any:
        held = {number: Watch({}, _always(value)) for number, value in zip(numbers, forced, strict=True)}
        run = ModelRun(self.flat, wide=True, watched={self.flat.maker[number]: watch for number, watch in held.items()})
        results = run.traced(arrays, batch)
        seen = {name: run.values[number] for name, number in self.gradients.items() if number not in held}
        return results, seen

    def noisy(self, state: Mapping[str, Array], batch: Sequence[Array], noise: Noise, *, constants_only: bool) -> JaxStep:
        """One step in float64 with noise."""
        run = ModelRun(self.flat, wide=True, perturbation=Perturbation(noise, constants_only))
        results = run([state[name] for name in self.names], batch)
        return self.as_step(results, {name: np.asarray(run.values[number]) for name, number in self.gradients.items()})

    def as_step(self, results: Sequence[Array], gradients: Mapping[str, Array]) -> JaxStep:
        """The results of a run as those of a step."""
        loss, *others = results
        count = len(self.names)
        returned = dict(zip(self.values, others[count:], strict=True))
        state = dict(zip(self.names, others[:count], strict=True))
        return JaxStep(float(loss), state, gradients, returned, self.without)


def _always(value: Any) -> Seen:
    """A function that makes a run use this value at a step, whatever the step computed."""
    return lambda run, there: value


def _with_paths(tree: Any) -> list[tuple[Any, Any]]:
    return list(jax.tree_util.tree_flatten_with_path(tree)[0])


def _name(path: Any) -> str:
    return str(jax.tree_util.keystr(path)).removesuffix(".value")


def _kind(value: Any) -> str:
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, tuple | list) else type(value).__name__


def _short(structure: Any) -> str:
    text = str(structure).removeprefix("PyTreeDef(").removesuffix(")")
    return text if len(text) < 90 else text[:87] + "..."
