"""Landmarks: the places where both models hold the same quantity, if the port is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import prod
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._frameworks.programs import Array
from crosscheck._models.pair.pairing import WeightPair, in_order
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.values.distances import distance
from crosscheck._models.values.layouts import AxesView
from crosscheck._models.values.uses import DATA, MOVES, Operation, Use, Values
from crosscheck._shadow.jax_equations import is_float

MOST_AXES = 5
CLOSE = 1e-3
"""Another order of axes is used if it brings the relative difference of two arrays below this."""
JUMPS = {name: name for name in ("argmax", "argmin", "ceil", "floor", "round", "sign")}
JUMPS |= dict.fromkeys(("gt", "ge", "lt", "le"), "compare")
"""Operations whose results rounding may move by a whole number, in torch and in JAX."""
CLEARLY = 0.25
"""It is also used if it brings the difference below this share of that in every other order."""


@dataclass(frozen=True)
class Landmark:
    """A place where both models hold the same quantity.

    Attributes:
        name: The name of the weight, or of the operation.
        path: The module of torch.
        step: The step of JAX.
        place: The position among the operands of that step; -1 for its result.
        operation: The operation of torch that gives the value; None for an input.
        expected: torch's value there, as rows times features of JAX's array.
        view: Which axes of JAX's array are rows, and which are features.
        fixed: Whether the axes are known, as for outputs. Otherwise the axes of rows may have another order in JAX.
        strong: Whether both sides must agree here. Scaled or summed values may come in another order of operations.
        known: The features that torch has too; None for all.
        steady: The numbers that are compared, as a mask of rows times features; None for all.
        beside: The operations of torch whose results it also holds, if JAX has several joined.
    """

    name: str
    path: str
    step: int
    place: int
    operation: int | None
    expected: Values
    view: AxesView
    strong: bool
    fixed: bool = False
    known: BoolArray | None = None
    steady: BoolArray | None = None
    beside: tuple[int, ...] = ()

    @property
    def row_sizes(self) -> tuple[int, ...]:
        """The sizes of the axes that are rows."""
        return tuple(self.view.shape[axis] for axis in self.view.rows)

    def compared(self, matrix: Array) -> Array:
        """The features that both sides have; as one row if some of their numbers are left out."""
        if not self.view.features:
            matrix = matrix.reshape(-1, self.view.shape[-1] if self.view.shape else 1)
        matrix = matrix if self.known is None else matrix[:, self.known]
        return matrix if self.steady is None else matrix[self.steady][None]


def landmarks(
    torch: TorchRecord,
    flat: JaxProgramFlat,
    jax_uses: Sequence[tuple[Step, Use, int]],
    pairs: Sequence[WeightPair],
    ends: Sequence[Landmark] = (),
    *,
    jumps: bool = False,
) -> list[Landmark]:
    """Every landmark, in JAX's order: operands and results of paired uses, sums between them, and outputs.

    With ``jumps``, also the results of operations that jump, such as ``floor``.
    """
    by_torch: dict[tuple[int, int], list[WeightPair]] = defaultdict(list)
    for pair in pairs:
        by_torch[pair.torch].append(pair)
    marks: dict[tuple[int, int], Landmark] = {}
    pieces: dict[tuple[int, int], list[tuple[Use, WeightPair, int]]] = defaultdict(list)
    for use in torch.uses:
        for pair in by_torch[use.index, 0]:
            step, other, position = jax_uses[pair.jax[0]]
            if use.operand is not None and use.given is not None and other.operand is not None and use.kind == other.kind:
                expected = _operand(use, pair)
                if expected is not None and expected.wide.shape == other.operand.size:
                    key = (step.operation.index, position)
                    path, strong = use.operation.path, use.kind not in ("scale", "sum")
                    marks[key] = Landmark(use.names[0], path, *key, use.origin, expected, other.operand, strong)
        for pair in _results(use, by_torch, jax_uses):
            step, _, position = jax_uses[pair.jax[0]]
            product = jax_uses[by_torch[use.index, 0][0].jax[0]][0] if by_torch[use.index, 0] else step
            made = _summed(torch, use.operation.index, _sums_since(flat, product, step.inputs[position]))
            if made is not None:
                end = _end_of_norm(flat, step, product) if use.kind == "norm" else step
                pieces[end.operation.index, -1].append((use, pair, made))
    for key, some in pieces.items():
        _, other, _ = jax_uses[some[0][1].jax[0]]
        expected = _joined(torch, other.result, some)
        if expected is not None:
            use, _, made = some[0]
            known = np.isin(np.arange(other.result.size[1]), np.concatenate([pair.jax_features for _, pair, _ in some]))
            marks[key] = Landmark(
                use.names[0],
                torch.operations[made].path,
                *key,
                made,
                expected,
                other.result,
                strong=use.kind not in ("scale", "sum", "other") and made == use.operation.index,
                known=None if known.all() else known,
                beside=tuple(made for _, _, made in some[1:]),
            )
    for landmark in _unmarked(torch, flat, jax_uses, pairs, set(marks), jumps=jumps):
        marks[landmark.step, landmark.place] = landmark
    marks |= {(landmark.step, landmark.place): landmark for landmark in ends}
    return [marks[key] for key in sorted(marks, key=lambda key: (key[0], key[1] == -1, key[1]))]


def _operand(use: Use, pair: WeightPair) -> Values | None:
    assert use.operand is not None
    assert use.given is not None
    matrices = []
    for array in (use.given.narrow, use.given.wide):
        matrix = _part(use.operand.matrix(array), pair)
        if pair.inputs is not None:
            if len(pair.inputs) % matrix.shape[1]:
                return None
            if use.kind == "convolution":  # the inputs of its weight are channels times space
                return None
            matrix = matrix[:, pair.inputs]
        matrices.append(matrix)
    return Values(*matrices)


def _part(matrix: Array, pair: WeightPair) -> Array:
    number, of = pair.part
    if len(matrix) % of:
        return matrix
    size = len(matrix) // of
    return matrix[number * size : (number + 1) * size]


def _results(
    use: Use, by_torch: Mapping[tuple[int, int], list[WeightPair]], jax_uses: Sequence[tuple[Step, Use, int]]
) -> list[WeightPair]:
    """The pairs at which JAX has the result of a use in torch: those of the weight that is applied last."""
    slots = range(len(use.names))
    if use.kind == "norm":  # its bias comes last in JAX, if none of its weights has the place of another one
        given = [by_torch.get((use.index, slot), []) for slot in slots]
        sure = [[pair for pair in some if pair.how != "order"] for some in given]
        if any(sure[1:2]):  # the scale may be computed from several weights, and have the place of another one
            bias = {number for pair in sure[1] for number in jax_uses[pair.jax[0]][0].outputs}
            after = [[pair for pair in some if bias & set(jax_uses[pair.jax[0]][0].inputs)] for some in given]
            given = [known + later for known, later in zip(sure, after, strict=True)]
        last = max(given, key=lambda some: max((pair.jax[0] for pair in some), default=-1))
        return last if given[1:2] != [[]] else sure[0]  # what is computed from several weights may be added later
    for slot in slots:
        # If the numbers differ, a later result may still be the same: one side adds two biases, the other their sum.
        alike = [pair for pair in by_torch.get((use.index, slot), []) if pair.part[0] == 0 and pair.how != "order"]
        covered = sum(len(pair.torch_features) for pair in alike)
        if covered < use.matrices[slot].shape[1]:
            return []
    last, main = by_torch.get((use.index, slots[-1]), []), by_torch.get((use.index, 0), [])
    if len(last) == len(main) == 1:  # the matrix shows which outputs are which; a bias may have a wrong order
        return [replace(last[0], torch_features=main[0].torch_features, jax_features=main[0].jax_features)]
    return last


def _end_of_norm(flat: JaxProgramFlat, last: Step, scale: Step) -> Step:
    """The step of JAX that makes the result of a norm, whose weights are applied at two steps, ``last`` at the later one.

    JAX may scale the inverse deviation, and Keras computes ``x * inv + (bias - mean * inv)``. The end is the first step
    after which nothing else is needed that was computed from the scaled values.
    """
    uses = {number: step.operation.index for step in flat.steps for number in step.inputs if isinstance(number, int)}
    shape = flat.avals[last.outputs[0]].shape
    begin, end = scale.operation.index, last.operation.index + (scale is last and _is_spread(flat, scale))
    parts: set[int] = set()
    for step in flat.steps[begin:]:
        index = step.operation.index
        given = parts.intersection(number for number in step.inputs if isinstance(number, int))
        if given or index in (begin, last.operation.index):
            parts = {number for number in parts if uses.get(number, -1) > index}
            if index >= end and not parts:
                return step if flat.avals[step.outputs[0]].shape == shape else last
            parts.update(step.outputs)
    return last


def _is_spread(flat: JaxProgramFlat, step: Step) -> bool:
    """Whether the data at a step are fewer numbers than its result, such as one deviation for each row."""
    left = list(step.inputs)
    while left:
        number = left.pop()
        if isinstance(number, int) and flat.kinds[number] == DATA and number in flat.maker:
            if prod(flat.avals[number].shape) < prod(flat.avals[step.outputs[0]].shape):
                return True
            maker = flat.steps[flat.maker[number]]
            left += maker.inputs if maker.operation.name in MOVES else ()
    return False


def _sums_since(flat: JaxProgramFlat, product: Step, number: Any) -> int:
    """The sums with other data on the way from a product to a value: as in ``(x + y @ w) + b``; 0 without such a way."""
    left, seen = [(number, 0)], set[Any]()
    while left:
        number, sums = left.pop()
        maker = flat.maker.get(number, -1) if isinstance(number, int) and number not in seen else -1
        seen.add(number)
        if maker == product.operation.index:
            return sums
        step = flat.steps[maker]
        if maker > product.operation.index and (step.operation.name == "add" or step.operation.name in MOVES):
            data = [operand for operand in step.inputs if isinstance(operand, int) and flat.kinds[operand] == DATA]
            left += [(operand, sums + (len(data) > 1)) for operand in data]
    return 0


def _summed(torch: TorchRecord, operation: int, sums: int) -> int | None:
    """The operation of torch that follows another one after so many sums with other data; None if it is not the only one."""
    for _ in range(sums):
        shape = torch.values[operation].wide.shape
        after = [follower for follower in torch.operations[operation + 1 :] if operation in follower.inputs]
        if len(after) != 1 or after[0].name != "add" or torch.values[after[0].index].wide.shape != shape:
            return None
        operation = after[0].index
    return operation


def _joined(torch: TorchRecord, view: AxesView, pieces: Sequence[tuple[Use, WeightPair, int]]) -> Values | None:
    """What JAX's array must hold, made of the results of one or several operations of torch; 0 where torch has nothing."""
    values = [(use.result, pair, torch.values[made]) for use, pair, made in pieces]
    narrow = _whole(view, [(pair, result.matrix(value.narrow)) for result, pair, value in values])
    wide = _whole(view, [(pair, result.matrix(value.wide)) for result, pair, value in values])
    return None if narrow is None or wide is None else Values(narrow, wide)


def _whole(view: AxesView, pieces: Sequence[tuple[WeightPair, Array]]) -> Array | None:
    rows, features = view.size
    whole = np.zeros((rows, features), pieces[0][1].dtype)
    for pair, array in pieces:
        matrix = _part(array, pair)
        fits = matrix.shape[0] == rows and pair.jax_features.max(initial=0) < features
        if not fits or pair.torch_features.max(initial=0) >= matrix.shape[1]:
            return None
        if len(pair.torch_features) != len(pair.jax_features):  # one side adds the products that the other side keeps
            return None
        chosen = (pair.jax_features, pair.torch_features)
        if len(pieces) == 1 and matrix.shape == whole.shape and all(_are_all(indices, features) for indices in chosen):
            return matrix  # the usual case, which needs no copy
        whole[:, pair.jax_features] = matrix[:, pair.torch_features]
    return whole


def _are_all(chosen: Array, count: int) -> bool:
    """Whether all features are chosen, in order."""
    return np.array_equal(chosen, np.arange(count))


def _unmarked(
    torch: TorchRecord,
    flat: JaxProgramFlat,
    jax_uses: Sequence[tuple[Step, Use, int]],
    pairs: Sequence[WeightPair],
    taken: set[tuple[int, int]],
    *,
    jumps: bool,
) -> Iterator[Landmark]:
    """Sums of data, such as residuals, and jumps: between the same uses, if both sides have the same number of them."""
    anchors = in_order(
        (torch.uses[pair.torch[0]].operation.index, jax_uses[pair.jax[0]][0].operation.index) for pair in pairs
    )
    torch_gaps: dict[tuple[str, int], list[Operation]] = defaultdict(list)
    jax_gaps: dict[tuple[str, int], list[Step]] = defaultdict(list)
    for operation in torch.operations:
        if name := _in_torch(torch, operation):
            torch_gaps[name, sum(anchor < operation.index for anchor, _ in anchors)].append(operation)
    for step in flat.steps:
        if name := _in_jax(flat, step):
            jax_gaps[name, sum(anchor < step.operation.index for _, anchor in anchors)].append(step)
    for (name, gap), operations in torch_gaps.items():
        steps = jax_gaps[name, gap]
        if len(steps) != len(operations) or (name != "sum" and not jumps):
            continue
        for operation, step in zip(operations, steps, strict=True):
            values = torch.values[operation.index]
            fits = prod(flat.avals[step.outputs[0]].shape) == values.wide.size
            if fits and (step.operation.index, -1) not in taken:
                landmark = whole(name, operation.path, (flat, step), operation.index, values, end=False)
                yield replace(landmark, strong=name != "sum")


def _in_torch(torch: TorchRecord, operation: Operation) -> str:
    """Whether an operation of torch is a sum of data, or a jump, which has a name; otherwise the text is empty."""
    if operation.kind != DATA or operation.index not in torch.values:
        return ""
    given = [torch.values[index].wide for index in operation.inputs if index in torch.values]
    value = torch.values[operation.index].wide
    if operation.name == "add":
        both = sum(torch.operations[index].kind == DATA for index in operation.inputs) > 1
        return "sum" if both and value.size > 1 and value.dtype == np.float64 else ""
    if not any(array.dtype == np.float64 for array in given):
        return ""
    is_cast = operation.name == "_to_copy" and value.dtype.kind in "iu"
    return "cast" if is_cast else JUMPS.get(operation.name, "")


def _in_jax(flat: JaxProgramFlat, step: Step) -> str:
    """The same of a step of JAX."""
    if step.operation.kind != DATA:
        return ""
    given = [flat.avals[number] for number in step.inputs if isinstance(number, int) and flat.kinds[number] == DATA]
    out = flat.avals[step.outputs[0]]
    if step.operation.name == "add":
        same = [aval.shape for aval in given] == [out.shape, out.shape] and step.inputs[0] != step.inputs[1]
        return "sum" if same and prod(out.shape) > 1 else ""
    if not any(is_float(aval) for aval in given):
        return ""
    is_cast = step.operation.name == "convert_element_type" and out.dtype.kind in "iu"
    return "cast" if is_cast else JUMPS.get(step.operation.name, "")


def whole(
    name: str, path: str, at: tuple[JaxProgramFlat, Step], operation: int | None, values: Values, *, end: bool
) -> Landmark:
    """A landmark at a result that no weight describes: its axes are torch's, or those of images with channels last."""
    flat, step = at
    shape = tuple(flat.avals[step.outputs[0]].shape)
    order = axes_of(shape, values.wide.shape)
    expected = Values(*(reordered(array, shape, order).reshape(-1, 1) for array in (values.narrow, values.wide)))
    return Landmark(name, path, step.operation.index, -1, operation, expected, AxesView(shape, ()), strong=end, fixed=end)


def axes_of(shape: tuple[int, ...], like: tuple[int, ...]) -> tuple[int, ...] | None:
    """The axis of torch's array for each of JAX's axes: images have channels last in JAX."""
    if shape == like or len(shape) != len(like) or len(like) < 2:
        return None
    last = (0, *range(2, len(like)), 1)
    return last if tuple(like[axis] for axis in last) == shape else None


def orders_of(shape: tuple[int, ...], like: tuple[int, ...]) -> list[tuple[int, ...] | None]:
    """Every possible order of torch's axes in JAX, their own order first; only that if axes are joined or split."""
    if len(shape) != len(like) or len(like) > MOST_AXES:
        return [None]
    fitting = [order for order in permutations(range(len(like))) if tuple(like[axis] for axis in order) == shape]
    return [None if order == tuple(range(len(like))) else order for order in fitting]


def reordered(array: Array, shape: tuple[int, ...], order: tuple[int, ...] | None) -> Array:
    """An array of torch with JAX's axes."""
    return np.ascontiguousarray(array if order is None else array.transpose(order)).reshape(shape)


def row_order(landmark: Landmark, array: Array, expected: Array) -> tuple[bool, tuple[int, ...] | None]:
    """Whether JAX's array fits torch's, and the order of the axes of its rows: None for their own order.

    An array whose numbers differ fits in the order in which they differ far less than in any other.
    """
    rows = landmark.view.rows
    expected = landmark.compared(expected)

    def apart(order: tuple[int, ...] | None) -> float:
        return distance(landmark.compared(landmark.view.matrix(array, order)), expected)

    own = apart(None)
    if landmark.fixed or own < CLOSE:
        return True, None
    candidates: list[tuple[float, tuple[int, ...] | None]] = [(own, None)]
    if 1 < len(rows) <= MOST_AXES:
        for order in list(permutations(range(len(rows))))[1:]:
            candidates.append((apart(order), order))
            if candidates[-1][0] < CLOSE:
                return True, order
    best, *others = sorted(candidates, key=lambda candidate: candidate[0])
    return bool(others) and best[0] < CLEARLY * others[0][0], best[1]
