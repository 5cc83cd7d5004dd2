"""Find the arrays in a JAX model to which it applies a weight, by comparing their values with those of torch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, permutations

import numpy as np
from scipy.optimize import linear_sum_assignment

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.values.distances import distance
from crosscheck._models.values.layouts import AxesView
from crosscheck._models.values.names import tokens
from crosscheck._models.values.uses import Use

FOUND = 1e-5
"""Arrays count as the same up to this, relative to the root mean square: a float32 table may have made one of them."""
NEAR = 1e-2
"""Operands that differ by less than this, relatively, are the same quantity, computed by another function."""
MOST_ORDERS = 24
"""The most orders of axes that are tried."""
RANDOM_SUMS = 3
"""So many random sums of a feature tell it from others: of thousands of features, two may have nearly the same sum."""
MOST_ALIKE = 4096
"""The order of more features is not searched for."""
MORE_ALIKE = 0.1
"""Another order of features counts if it makes their mean correlation so much larger."""
MOST_APART = 1e4
"""The largest number of an array is at most this many times its median; otherwise it hides the others."""
PRODUCTS = ("product", "convolution")


@dataclass(frozen=True)
class Rows:
    """How one matrix follows from another: ``other[rows][:, inputs]``; None means the same order."""

    rows: Array | None
    inputs: Array | None


@dataclass(frozen=True)
class Data:
    """Data that a weight multiplies, as rows times features, with what tells it from other data, found once.

    Attributes:
        rows: Its numbers.
    """

    rows: Array

    @cached_property
    def length(self) -> float:
        """The root mean square."""
        return size_of(self.rows)

    @cached_property
    def marks(self) -> Array:
        """Three numbers of each row, which another order of features does not change: the last is its largest size."""
        rows = self.rows
        sizes = np.abs(rows)
        return np.stack([rows.sum(1), sizes.sum(1), sizes.max(1, initial=0.0)], axis=1)


@dataclass
class Product:
    """A weight of torch that multiplies data, with all the data that it multiplies.

    Attributes:
        name: The name of the weight; for a computed weight, the names of those that it is computed from.
        order: The number of its first use.
        matrix: Its values, inputs times outputs.
        kind: ``product`` or ``convolution``.
        operands: The data that it multiplies.
        results: The results, before a bias is added.
        bias: The name of the weight that is added next, or of which a part is added.
        added: What is added: the numbers of that weight, or of its part, as one row.
    """

    name: str
    order: int
    matrix: Array
    kind: str
    operands: list[Data]
    results: list[Array]
    bias: str | None
    added: Array | None

    @cached_property
    def data(self) -> Data:
        """All the data, one below the other."""
        return self.operands[0] if len(self.operands) == 1 else Data(np.concatenate([own.rows for own in self.operands]))


def products(torch: TorchRecord) -> list[Product]:
    """Every weight that multiplies data; one that is used several times is listed once."""
    by_key: dict[tuple[str, int, bytes], Product] = {}
    made = {use.operation.index for use in torch.uses if use.kind in PRODUCTS}
    added: dict[int, tuple[str, Array]] = {}
    for use in torch.uses:
        if use.kind == "sum" and use.origin is not None:
            added.setdefault(_moved_from(torch, use.origin, made), (use.names[0], use.matrices[0]))
    for use in torch.uses:
        if use.kind not in PRODUCTS or use.operand is None or use.given is None:
            continue
        result = use.result.matrix(torch.values[use.operation.index].wide)
        matrix, *others = use.matrices
        bias: tuple[str | None, Array | None] = (None, None)
        if others and others[0].shape[1] == result.shape[1]:
            bias = use.names[1], others[0]
            result = result - others[0].astype(np.float64)
        elif len(use.names) == 1:
            bias = added.get(use.operation.index, bias)
        key = (use.names[0], matrix.shape[1], matrix.flat[:64].tobytes())
        product = by_key.setdefault(key, Product(use.names[0], use.index, matrix, use.kind, [], [], *bias))
        product.operands.append(Data(use.operand.matrix(use.given.wide)))
        product.results.append(result)
    return list(by_key.values())


def _moved_from(torch: TorchRecord, operation: int, wanted: set[int]) -> int:
    """The operation that made these numbers; later operations only copied them."""
    maker = operation
    while maker not in wanted and len(torch.operations[maker].inputs) == 1:
        before = torch.operations[maker].inputs[0]
        if before not in torch.values or torch.values[before].wide.size != torch.values[maker].wide.size:
            break
        maker = before
    return maker if maker in wanted else operation


def align(given: Data, whole: Data) -> Rows | None:
    """How the rows of data of JAX are rows of torch's; None if they are not."""
    if whole.rows.shape[1] != given.rows.shape[1]:
        return None
    limit = FOUND * max(whole.length, 1e-30)
    if whole.rows.shape == given.rows.shape:
        if not math.isclose(given.length, whole.length, rel_tol=1e-3):
            return None
        if _close(whole.marks[:, -1], given.marks[:, -1], limit) and _close(whole.rows, given.rows, limit):
            return Rows(None, None)
    filled = given.marks[:, -1] > limit
    if not filled.any():
        return Rows(np.zeros(len(filled), np.int64), None) if (whole.marks[:, -1] <= limit).any() else None
    rows = np.full(len(filled), -1, np.int64)
    rows[filled] = _nearest(given.marks[filled], whole.marks)
    if not _close(whole.marks[rows[filled], -1], given.marks[filled, -1], limit):
        return None
    wanted, taken = given.rows[filled], whole.rows[rows[filled]]
    if _close(taken, wanted, limit):
        return Rows(rows, None)
    sums = np.random.default_rng(0).normal(size=(RANDOM_SUMS, len(taken)))
    inputs = _nearest((sums @ wanted).T, (sums @ taken).T)
    if len(set(inputs.tolist())) == len(inputs) and _close(taken[:, inputs], wanted, limit):
        return Rows(rows, inputs)
    return None


def alike(array: Array, expected: Array) -> bool:
    """Whether two arrays hold the same numbers, in any order."""
    if array.size != expected.size:
        return False
    limit = FOUND * max(size_of(expected), 1e-30)
    # the largest and the least show most differences, and are found much faster than an order
    if not all(abs(end(array, initial=0.0) - end(expected, initial=0.0)) <= limit for end in (np.max, np.min)):
        return False
    if array.shape == expected.shape and _close(array, expected, limit):  # mostly, the order is the same
        return True
    return _close(np.sort(array, axis=None), np.sort(expected, axis=None), limit)


def telling(array: Array) -> bool:
    """Whether the numbers differ enough in size to identify an array; they do not if a mask made some of them huge."""
    sizes = np.abs(array[array != 0])
    return bool(sizes.size and np.isfinite(sizes).all() and sizes.max() <= MOST_APART * np.median(sizes))


def size_of(array: Array) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def _close(first: Array, second: Array, limit: float) -> bool:
    return bool((np.abs(first - second) <= limit).all())


def _nearest(wanted: Array, among: Array) -> Array:
    """The nearest row to each row, searched for around those that are nearest in one number.

    One number does not do: after a norm or a softmax, all rows have the same sum, or the same sum of squares.
    """
    best = np.zeros(len(wanted), np.int64)
    least = np.full(len(wanted), np.inf)
    for numbers, wanted_numbers in zip(among.T, wanted.T, strict=True):
        order = np.argsort(numbers, kind="stable")
        at = np.searchsorted(numbers[order], wanted_numbers)
        for shift in (-2, -1, 0, 1, 2):
            candidates = order[(at + shift).clip(0, len(order) - 1)]
            apart = np.abs(among[candidates] - wanted).max(1)
            better = apart < least
            best[better], least[better] = candidates[better], apart[better]
    return best


def near(view: AxesView, value: Array, among: Sequence[Product]) -> Array | None:
    """The operand of torch that an array of JAX nearly equals, with the axes of that array."""
    length = size_of(value)
    for product in among:
        for operand in product.operands:
            if operand.rows.size != value.size or not math.isclose(operand.length, length, rel_tol=NEAR):
                continue
            for order in islice(permutations(range(len(view.rows))), MOST_ORDERS):
                matrix = view.matrix(value, order)
                if matrix.shape == operand.rows.shape and distance(matrix, operand.rows) < NEAR:
                    return view.array(operand.rows, order)
    return None


def in_order_of(matrix: Array, operand: Array) -> Array:
    """torch's operand, with its features in the order in which JAX has them.

    JAX computes another function of the same features here. How a feature varies from row to row shows which one it is.
    torch's order stays if no other one makes the features more alike than its own does, and than chance makes them.
    """
    count = matrix.shape[1]
    if not 0 < count <= MOST_ALIKE or not np.isfinite([matrix, operand]).all():
        return operand
    likeness = _variations(matrix).T @ _variations(operand)
    # about the largest of so many numbers, if they are as large as all are here: larger where few rows differ
    by_chance = math.sqrt(2 * math.log(count) * np.square(likeness).mean())
    least = max(by_chance, np.diag(likeness).mean()) + MORE_ALIKE
    if likeness.max(1).mean() > least:  # no order has more
        order = linear_sum_assignment(likeness, maximize=True)[1]
        if likeness[np.arange(count), order].mean() > least:
            return operand[:, order]
    return operand


def _variations(matrix: Array) -> Array:
    """How each feature varies from row to row: with a mean of 0 and a length of 1."""
    apart = matrix - matrix.mean(0)
    lengths = np.linalg.norm(apart, axis=0)
    return apart / np.where(lengths > 0, lengths, 1.0)


def convolved(view: AxesView, value: Array, given: Array, made: Sequence[tuple[Product, Array, Array]]) -> Array | None:
    """torch's result of a convolution of the data that JAX convolves, with JAX's axes; None if JAX has it, or another size.

    ``made`` is what JAX's weight consists of: weights of torch, and which of their outputs are which of JAX's.
    """
    corrected = None
    for product, torch_columns, jax_columns in made:
        pairs = zip(product.operands, product.results, strict=True)
        results = [result[:, torch_columns] for operand, result in pairs if align(Data(given), operand) is not None]
        matrix = view.matrix(value)
        if len(results) != 1 or alike(matrix[:, jax_columns], results[0]) or len(matrix) != len(results[0]):
            continue
        expected = results[0]
        orders = islice(permutations(range(len(view.rows))), MOST_ORDERS)
        order = min(orders, key=lambda axes: distance(view.matrix(value, axes)[:, jax_columns], expected))
        matrix = view.matrix(value, order).copy()
        matrix[:, jax_columns] = expected
        value = corrected = view.array(matrix, order)
    return corrected


@dataclass(frozen=True)
class OtherWeight:
    """A weight of torch that is not the matrix of a product: a scale, a bias, a running statistic, a table.

    Attributes:
        name: Its name.
        role: ``weight``, ``bias``, ``mean`` or ``var`` if the operation shows it, ``table`` for an embedding.
        order: The number of its first use.
        use: The first use.
        slot: The position of the weight among those of the use.
    """

    name: str
    role: str | None
    order: int
    use: Use
    slot: int


def rows(torch: TorchRecord) -> list[OtherWeight]:
    """Every weight that is not the matrix of a product."""
    by_name: dict[str, OtherWeight] = {}
    matrices: dict[str, int] = defaultdict(int)
    for use in torch.uses:
        for slot, names in enumerate(use.names):
            if use.kind in PRODUCTS and slot == 0 and "+" not in names:
                matrices[names] += 1
                continue
            for name in names.split("+"):
                if name not in by_name or (by_name[name].role is None and "+" not in names):
                    stated = [
                        word for word in tokens(name) if word in ("mean", "var")
                    ]  # without a scale, the slots are different
                    role = stated[-1] if stated else None if "+" in names else _role(use.kind, slot)
                    by_name[name] = OtherWeight(name, role, use.index, use, slot)
    return [row for row in by_name.values() if row.name not in matrices or row.role == "table"]


def _role(kind: str, slot: int) -> str | None:
    if kind == "norm":
        return ("weight", "bias", "mean", "var")[slot] if slot < 4 else None
    if kind in PRODUCTS:
        return "bias"
    return {"scale": "weight", "sum": "bias", "gather": "table"}.get(kind)
