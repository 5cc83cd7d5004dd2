"""Operations that one side computes in fewer digits than the other, between the landmarks before and one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._explain.facts import Fact
from crosscheck._explain.names import listed
from crosscheck._models.engine import ModelResults
from crosscheck._models.explain.reruns import steps_before

FUNCTIONS = ("cos", "sin", "tan", "exp", "exp2", "log", "tanh", "erf", "rsqrt", "sqrt", "log1p", "expm1", "cumsum")
"""Operations with the same name in both frameworks, those first whose results show few digits of their operands."""
OTHERS: Mapping[str, str] = {
    "logistic": "sigmoid",
    "integer_pow": "pow",
    "pow": "pow",
    "reduce_sum": "sum",
    "reduce_max": "amax",
    "dot_general": "mm",
    "bmm": "mm",
    "mean": "sum",
    **{name: name for name in (*FUNCTIONS, "sigmoid", "sum", "amax", "mm", "mul", "div", "add", "sub")},
}
"""For the operations of both sides, a name that both share."""
SAID = {"mm": "matrix products", "mul": "products", "div": "quotients", "add": "sums", "sub": "differences"}
MOST_SAID = 3
OTHER = {"torch": "jax", "jax": "torch"}


def in_fewer_digits(results: ModelResults, at: int, side: str) -> tuple[Fact, ...]:
    """The operations before a landmark that a side computes in fewer digits than the other does; empty if there are none."""
    torch, jax = _dtypes(_of_torch(results, at)), _dtypes(_of_jax(results, at))
    own, other = (torch, jax) if side == "torch" else (jax, torch)
    fewer = [name for name in own.keys() & other.keys() if max(map(_digits, own[name])) < min(map(_digits, other[name]))]
    fewer.sort(key=lambda name: (name not in FUNCTIONS, FUNCTIONS.index(name) if name in FUNCTIONS else 0, name))
    functions = [name for name in fewer if name in FUNCTIONS] or fewer
    if not functions:
        return ()
    chosen = [name for name in functions if (own[name], other[name]) == (own[functions[0]], other[functions[0]])]
    who = "PyTorch" if side == "torch" else "JAX"
    names = listed([SAID.get(name, name) for name in chosen[:MOST_SAID]])
    dtypes = {side: max(own[chosen[0]], key=_digits), OTHER[side]: min(other[chosen[0]], key=_digits)}
    return (Fact("precision", names, who, torch=dtypes["torch"], jax=dtypes["jax"]),)


def _dtypes(operations: Iterator[tuple[str, str]]) -> dict[str, set[str]]:
    """The dtypes in which each operation of floats is computed."""
    dtypes: dict[str, set[str]] = defaultdict(set)
    for name, dtype in operations:
        if name in OTHERS and dtype in FORMATS:
            dtypes[OTHERS[name]].add(dtype)
    return dtypes


def _digits(dtype: str) -> int:
    return FORMATS[dtype].precision


def _of_torch(results: ModelResults, at: int) -> Iterator[tuple[str, str]]:
    """The operations of torch that lead to a landmark from the landmarks before."""
    operations = results.torch.operations
    own = results.landmarks[at].operation
    given = {landmark.operation for k, landmark in enumerate(results.landmarks) if k not in results.located.left} - {own}
    left, seen = [own], set[int]()
    while left:
        index = left.pop()
        if index is None or index in seen or index in given:
            continue
        seen.add(index)
        yield operations[index].name, operations[index].dtype
        left += operations[index].inputs


def _of_jax(results: ModelResults, at: int) -> Iterator[tuple[str, str]]:
    for step in steps_before(results, at):
        yield step.operation.name, str(results.flat.avals[step.outputs[0]].dtype)
