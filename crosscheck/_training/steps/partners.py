"""Match the arrays of JAX's state with the tensors of torch's training: parameters, statistics, the optimiser's state."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np

from crosscheck._arithmetic.formats import widen
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.pair.pairing import pair
from crosscheck._models.pair.sums import Sum
from crosscheck._models.pair.weights import BY_NAME, account
from crosscheck._models.record import jax_uses
from crosscheck._models.record.torch_recording import record
from crosscheck._models.report.records import WeightMatch
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.run.places import TorchPlaces
from crosscheck._models.values.names import likeness
from crosscheck._models.values.uses import WEIGHT
from crosscheck._records.errors import UsageError
from crosscheck._training.steps.jax_steps import JaxStep, JaxSteps
from crosscheck._training.steps.torch_steps import AVERAGE, Slot, TorchStep, TorchSteps

SLOTS = {
    "mu": ("exp_avg",),
    "nu": ("exp_avg_sq", "exp_inf", "square_avg"),
    "nu_max": ("max_exp_avg_sq",),
    "trace": ("momentum_buffer",),
    "sum_of_squares": ("sum",),
    "e_g": ("square_avg",),
    "e_x": ("acc_delta",),
    "momentum": ("momentum_buffer", "exp_avg"),
}
"""optax's names for the state of torch's optimisers."""
STEP_OF_PATH = re.compile(r"\[[^\]]*\]|\.\w+")
"""One step of a path of JAX, such as ``['w']`` or ``.mu``."""
AFTER = "both hold the same values after the first step"
ALIKE = 1e-6
"""Two arrays are the same quantity if their relative difference is below this after a step from the same state."""


@dataclass
class Partners:
    """The arrays of JAX's state whose numbers torch has too.

    Attributes:
        weights: A record for every weight of both models, as in ``compare_models``.
        places: For each array of JAX, the place of each of its numbers in torch's weights.
        shapes: The shapes of torch's weights, by name.
        buffers: The names of the weights that are not trained, but change.
        used: The arrays of JAX on which the loss depends.
        sums: The arrays of JAX that are sums of two weights; for these, ``places`` are those of the first weight.
        slots: For each array of JAX in the optimiser's state, the array of its parameter, and its name in torch's optimiser;
            likewise for each array in an average of the weights.
        starts: For each array of JAX with another start, the relative difference from torch's numbers.
    """

    weights: tuple[WeightMatch, ...]
    places: dict[str, Array]
    shapes: Mapping[str, tuple[int, ...]]
    buffers: frozenset[str]
    used: frozenset[str]
    sums: Mapping[str, Sum] = field(default_factory=dict)
    slots: dict[str, tuple[str, str]] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)

    def of_weights(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays of torch's weights, as JAX holds them; NaN where torch has no such number."""
        arrays = self._arranged(given, np.nan, self.places)
        more = self._arranged(given, np.nan, {leaf: addition.second for leaf, addition in self.sums.items()})
        return arrays | {leaf: arrays[leaf] + array for leaf, array in more.items()}

    def of_gradients(self, given: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients by torch's weights, as JAX holds them; 0 where torch has none. For a sum, that by one summand."""
        return self._arranged(given, 0.0, self.places)

    def in_torch(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """The numbers of JAX's arrays, as torch holds its weights; NaN where JAX has no such number."""
        arrays = {name: np.full(shape, np.nan) for name, shape in self.shapes.items()}
        for leaf, where in self.places.items():
            for name, mask, own in self._empty.split(where):
                arrays[name].reshape(-1)[own] = np.asarray(state[leaf], np.float64)[mask]
        return arrays

    def _arranged(self, given: Mapping[str, Array], missing: float, where: Mapping[str, Array]) -> dict[str, Array]:
        filled = {name: given.get(name, np.full(shape, missing)) for name, shape in self.shapes.items()}
        places = TorchPlaces({name: np.asarray(array, np.float64) for name, array in filled.items()})
        return {leaf: places.numbers(own) for leaf, own in where.items()}

    def of_slots(self, given: Mapping[Slot, Array]) -> dict[str, Array]:
        """The state of torch's optimiser, as JAX holds it."""
        by_key: dict[str, dict[str, Array]] = defaultdict(dict)
        for (name, key), array in given.items():
            if array.shape == self.shapes.get(name):
                by_key[key][name] = array
        arranged = {key: self._arranged(arrays, np.nan, self.places) for key, arrays in by_key.items()}
        slots = {leaf: arranged[key][owner] for leaf, (owner, key) in self.slots.items() if key in arranged}
        return {leaf: array for leaf, array in slots.items() if not np.isnan(array).any()}

    def parameter(self, leaf: str) -> str:
        """The array of JAX itself; of one in the optimiser's state, that of its parameter."""
        return self.slots.get(leaf, (leaf, ""))[0]

    def owners(self, leaf: str) -> tuple[str, ...]:
        """The tensors of torch whose numbers an array of JAX holds."""
        owner, key = self.slots.get(leaf, (leaf, ""))
        names = (
            self.sums[owner].names if owner in self.sums else [name for name, *_ in self._empty.split(self.places[owner])]
        )
        return tuple(f"{key} of {name}" if key else name for name in names)

    def is_average(self, leaf: str) -> bool:
        """Whether an array of JAX is of an average of the weights."""
        return self.slots.get(leaf, ("", ""))[1].startswith(AVERAGE)

    def is_of_buffers(self, leaf: str) -> bool:
        """Whether an array of JAX holds numbers of buffers alone, as of statistics; parameters may be frozen."""
        return self.buffers.issuperset(self.owners(leaf))

    def is_trained(self, leaf: str, trained: Collection[str]) -> bool:
        """Whether an array of JAX holds numbers of these parameters of torch."""
        return not set(self.owners(leaf)).isdisjoint(trained)

    @property
    def _empty(self) -> TorchPlaces:
        return TorchPlaces({name: np.zeros(shape) for name, shape in self.shapes.items()})

    def place(self, name: str) -> Array:
        """The places of the numbers of a tensor of torch."""
        return self._empty.of(name)


def partners(torch: TorchSteps, jax: JaxSteps, batch: Inputs, jax_batch: Inputs) -> Partners:
    """Match the parameters, by the operations of the first step's forward pass."""
    jax.program(jax_batch)  # this raises UsageError if the step cannot be traced
    with torch.unchanged():
        recorded = record(TorchProgram(torch.forward(), batch, "cpu"), ("loss",))
    model, flat = jax.loss_program(jax_batch)
    weights = ModelRun(flat, wide=True)
    weights(model.weights, jax_batch.leaves, only=WEIGHT)
    uses = jax_uses.uses(flat, weights.values.__getitem__)
    pairs = pair(recorded.uses, recorded.operations, [use for _, use, _ in uses], [step.operation for step in flat.steps])
    accounted = account(recorded, model, flat, uses, pairs)
    places = {leaf: indices for leaf, indices in accounted.places.items() if (indices >= 0).all()}
    shapes = {name: array.shape for name, array in recorded.weights.items()}
    buffers = frozenset(name for name, _ in torch.model.named_buffers())
    matching = Partners(accounted.matches, places, shapes, buffers, frozenset(model.names), accounted.sums)
    if not places:
        _by_name(matching, recorded.weights, dict(zip(model.names, model.weights, strict=True)))
    places |= {leaf: addition.first for leaf, addition in accounted.sums.items()}
    for leaf, array in matching.of_weights(torch.weights()).items():
        apart = _apart(widen(jax.start[leaf]), array)
        if apart and leaf not in matching.sums:  # a sum has been rounded
            matching.starts[leaf] = apart
    return matching


def _by_name(matching: Partners, torch_weights: Mapping[str, Array], jax_weights: Mapping[str, Array]) -> None:
    """Pair parameters whose numbers differ at the start: each with that of its shape whose name is most similar.

    Raises:
        UsageError: If an array has no such partner, or two that are equally likely.
    """
    left = [name for name in torch_weights if name not in matching.buffers]
    for leaf, array in (jax_weights or {"": np.empty(0)}).items():
        alike = sorted(
            (name for name in left if torch_weights[name].shape == array.shape), key=lambda name: -likeness(name, leaf)
        )
        if not alike or (len(alike) > 1 and likeness(alike[0], leaf) == likeness(alike[1], leaf)):
            raise UsageError(
                "jax_state: none of its arrays that the loss depends on holds the numbers of a parameter of torch; both "
                "trainings must start from the same weights: copy torch's first, as copy_weights does"
            )
        name = alike[0]
        left.remove(name)
        matching.places[leaf] = matching.place(name)
        others = (weight for weight in matching.weights if name != weight.torch and leaf != weight.jax)
        matching.weights = (
            *others,
            WeightMatch(name, leaf, "the same", BY_NAME, _apart(widen(array), widen(torch_weights[name]))),
        )


def others(
    matching: Partners, torch_step: TorchStep, jax_step: JaxStep, before: Mapping[Slot, Array], state: Mapping[str, Array]
) -> None:
    """Match what the forward pass does not use, by the results of the first step: statistics, and the optimiser's state.

    ``before`` are torch's averages before that step, and ``state`` is JAX's state.
    """
    _statistics(matching, torch_step, jax_step)
    keys = {key for _, key in torch_step.slots.wide}
    left: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for leaf, array in jax_step.state.items():
        if leaf in matching.places or array.dtype.kind != "f":
            continue
        owner, group, field_name = _of_parameter(matching, leaf, array.shape)
        known = {key: _slot(matching, owner, key, torch_step.slots.wide) for key in keys} if owner else {}
        named = [key for key in SLOTS.get(field_name, ()) if key in known]
        same = [key for key, slot in known.items() if slot is not None and _apart(array, slot) <= ALIKE]
        if chosen := [key for key in named if key in same] or named[:1] or (same if len(same) == 1 else []):
            matching.slots[leaf] = (owner, chosen[0])
        elif owner:
            left[group].append((leaf, owner))
    # an average that is wrong equals none of torch's after a step, and its name is the user's own: it is known by its start
    for average in {key for _, key in before} - {key for _, key in matching.slots.values()}:
        for pairs in left.values():
            known = {leaf: _slot(matching, owner, average, before) for leaf, owner in pairs}
            if all(slot is not None and _apart(widen(state[leaf]), slot) <= ALIKE for leaf, slot in known.items()):
                matching.slots |= {leaf: (owner, average) for leaf, owner in pairs if leaf not in matching.slots}


def _of_parameter(matching: Partners, leaf: str, shape: tuple[int, ...]) -> tuple[str, str, str]:
    """The parameter's array whose path has the most similar end, the path before that end, and its part such as ``mu``."""
    parts = STEP_OF_PATH.findall(leaf)
    ends: dict[str, int] = {}
    for owner, places in matching.places.items():
        pairs = zip(reversed(parts), reversed(STEP_OF_PATH.findall(owner)), strict=False)
        ends[owner] = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) if places.shape == shape else 0
    longest = max(ends.values(), default=0)
    alike = [owner for owner, length in ends.items() if length == longest]
    if not longest or len(alike) != 1:
        return "", "", ""
    before = parts[: len(parts) - longest]
    words = [part.strip("[]'\".") for part in before]
    return alike[0], "".join(before), next((part for part in reversed(words) if part in SLOTS), "")


def _slot(matching: Partners, owner: str, key: str, slots: Mapping[Slot, Array]) -> Array | None:
    return replace(matching, slots={owner: (owner, key)}).of_slots(slots).get(owner)


def _statistics(matching: Partners, torch_step: TorchStep, jax_step: JaxStep) -> None:
    """Match buffers that the step changes: with the array of JAX that has become equal, otherwise by name."""
    left = [name for name in matching.shapes if name in matching.buffers and not _has_place(matching, name)]
    free = [leaf for leaf, array in jax_step.state.items() if leaf not in matching.places and array.dtype.kind == "f"]
    for near in (True, False):
        for name in list(left):
            array = torch_step.weights.wide[name]
            alike = [leaf for leaf in free if jax_step.state[leaf].shape == array.shape]
            if near:
                alike = [leaf for leaf in alike if _apart(jax_step.state[leaf], array) <= ALIKE]
            scored = sorted(alike, key=lambda leaf: -likeness(name, leaf))
            if scored and (near or likeness(name, scored[0]) > 0):
                matching.places[scored[0]] = matching.place(name)
                matching.weights = _listed(matching.weights, name, scored[0], AFTER if near else BY_NAME)
                free.remove(scored[0])
                left.remove(name)


def _listed(weights: tuple[WeightMatch, ...], name: str, leaf: str, how: str) -> tuple[WeightMatch, ...]:
    """The records of all weights, with a partner for this buffer."""
    match = WeightMatch(name, leaf, "the same", how, 0.0)
    return tuple(match if weight.torch == match.torch else weight for weight in weights if weight.jax != leaf)


def _has_place(matching: Partners, name: str) -> bool:
    own = matching.place(name)
    return any(np.isin(own.flat[:1], where).any() for where in matching.places.values())


def _apart(left: Array, right: Array) -> float:
    apart, size = float(np.abs(left - right).max(initial=0.0)), float(np.abs(right).max(initial=0.0))
    return 0.0 if not apart else apart / size if size else np.inf


def said(leaf: str, owners: tuple[str, ...]) -> str:
    """The name of a tensor in a report: torch's name, and JAX's."""
    return f"{' + '.join(owners)} ({leaf})" if owners else leaf
