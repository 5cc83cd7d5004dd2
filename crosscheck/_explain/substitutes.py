"""Rules of operations: JAX computes another one than PyTorch, forgets one, or leaves out a weight of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from crosscheck._explain.facts import Edit, Fact, digits
from crosscheck._explain.functions import Function
from crosscheck._explain.names import first_of, named, said
from crosscheck._explain.norms import NORMS, OWN
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.settings import with_argument
from crosscheck._explain.tables import (
    ALONG,
    AVERAGES,
    BINARY,
    COMPARE,
    COMPARISONS,
    COMPOSITES,
    FAMILIES,
    MASK,
    MAXIMA,
    MOVING,
    OF_A_NUMBER,
    OWN_PADDING,
    PADDING,
    POOL,
    REDUCE,
    RESIZED,
    SAID,
    UNARY,
    VERBS,
)
from crosscheck._graph.graph import Call, Leaf, Ref

CHOICES = ("takes the larger", "takes the smaller")
"""What does nothing where one operand is never beyond the other."""
SCALING = ("multiplies", "divides", "divides the other way round")
"""What does nothing with 1."""
DIVISORS: Mapping[str, tuple[str, str]] = {
    "the variance with divisor n - 1": ("the variance", "n - 1"),
    "the variance with divisor n": ("the variance", "n"),
    "the standard deviation with divisor n - 1": ("the standard deviation", "n - 1"),
    "the standard deviation with divisor n": ("the standard deviation", "n"),
}
"""What is divided, and by what."""
FEW = 64
"""So many numbers show which activation PyTorch computes."""
MOST_STEPS = 12
"""In more operations, nobody writes an activation."""
ELEMENTWISE = frozenset(
    {"add", "sub", "rsub", "mul", "div", "pow", "neg", "erf", "exp", "tanh", "sigmoid", "log1p", "clamp"}
)
"""What activations are written with."""
ARITHMETIC = frozenset(["add", "sub", "mul", "div"])
"""What scales and shifts the result of several operations that have a name together."""
FILL = 1e4
"""A sum with so large numbers is a mask."""


def same(x: Any) -> Any:
    """The value itself."""
    return x


def others(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another function of the same family."""
    call = segment.call(node)
    if call is None or call.name not in FAMILIES:
        return
    family = FAMILIES[call.name]
    makers = {id(UNARY): _of_one, id(BINARY): _of_two, id(COMPARE): _of_two, id(REDUCE): _of_axis}
    made = makers.get(id(family), _as_given)(segment, call)
    if made is None:
        return
    args, kwargs = made
    own = SAID.get(call.name, call.name)
    if family is REDUCE:
        own = {"std": "the standard deviation", "var": "the variance"}.get(call.name, own)
        own = {"select": f"element {call.args[2] if len(call.args) > 2 else 0}"}.get(
            call.name, f"the {own.removeprefix('the ')}"
        )
    elif family is POOL:
        own = "the maximum" if "max" in call.name else "the average"
    elif family is PADDING:
        own = OWN_PADDING[call.name.rpartition("_pad")[0]]
    tried = {**family, **_of_numbers(segment)} if family is UNARY else family
    for number, (name, function) in enumerate(tried.items()):
        if family is BINARY and ((1 in args and name in SCALING) or 0 in args):
            continue  # it would do nothing: the operation is forgotten
        if family is BINARY and name in CHOICES and not _chooses(segment, call, function):
            continue  # nor would it, where one operand is never beyond the other
        if family is UNARY and _does_nothing(segment, call, function):
            continue
        fact = Fact("other", torch=own, jax=name, where=said(segment, node), source=call.source)
        if family is BINARY:
            operands = (said(segment, x.node, 1) if isinstance(x, Ref) else f"{x:g}" for x in call.args[:2])
            fact = replace(fact, kind="binary", torch=VERBS[call.name], where=f" {' and '.join(operands)}")
        elif family is COMPARE:
            fact = replace(fact, kind="form", what="the comparison", torch=COMPARISONS[call.name])
        elif family is AVERAGES or family is MAXIMA:
            fact = replace(fact, kind="form", what="the windows of the adaptive pool", torch="overlapping")
        elif family is ALONG:
            what = f"{said(segment, call.args[0].node)} along axis {call.args[1]}"
            fact = replace(fact, kind="form", what=what, torch="by index")
        elif family is PADDING:
            fact = replace(fact, kind="setting", what="the padding", role="mode")
        elif call.name in NORMS:
            what, torch_way = OWN.get(name, (own, "as usual"))
            fact = replace(fact, kind="form", what=what, torch=torch_way)
        elif call.name in RESIZED:
            names = (_of_rank(way, call.name) for way in (RESIZED[call.name], name))
            fact = replace(fact, kind="form", what="the resize", **dict(zip(("torch", "jax"), names, strict=True)))
        elif call.name in ("std", "var") and name in DIVISORS and DIVISORS[name][1] == _divisor(call):
            fact = replace(fact, jax=DIVISORS[name][0])
        new = Call(name, function, args, kwargs, pick=None, schema=None)
        yield Edit({node: new}, fact, ("other", call.name, name), 1 + number * 1e-3)


def _of_numbers(segment: GraphSegment) -> dict[str, Function]:
    """The functions of one array that have a number of JAX's program."""
    numbers = [number for number in segment.jax.numbers if number not in (0.0, 1.0)]
    return {name.format(f"{number:.6g}"): make(number) for name, make in OF_A_NUMBER.items() for number in numbers}


def _chooses(segment: GraphSegment, call: Call, function: Function) -> bool:
    """Whether the larger or the smaller of two operands is now the one, now the other."""
    operands = [segment.values.get(operand.node) if isinstance(operand, Ref) else operand for operand in call.args[:2]]
    try:
        chosen = function(*operands)
        return all(bool((chosen != operand).any()) for operand in operands)
    except Exception:  # torch may refuse the operands in any way
        return False


def _does_nothing(segment: GraphSegment, call: Call, function: Function) -> bool:
    """Whether a function leaves a value as it is, as relu does with the results of a relu, or with a positive weight.

    The signs of other data are an accident of the inputs.
    """
    first = call.args[0]
    if not isinstance(first, Ref):
        return False
    value, made = segment.values[first.node], segment.call(first.node)
    steady = first.node not in segment.data or (made is not None and FAMILIES.get(made.name) is UNARY)
    return steady and isinstance(value, torch.Tensor) and not _has_both_signs(value) and torch.equal(function(value), value)


def _divisor(call: Call) -> str:
    """The divisor of a variance or deviation of torch."""
    return "n" if call.kwargs.get("correction", 1) == 0 or False in call.args[1:] else "n - 1"


def _of_rank(name: str, operation: str) -> str:
    """The name of a way to resize, for images: bilinear and bicubic."""
    return f"bi{name}" if "2d" in operation and name.startswith(("linear", "cubic")) else name


def _of_one(segment: GraphSegment, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    return call.args[:1], {}


def _of_two(segment: GraphSegment, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    return call.args[:2], {}


def _as_given(segment: GraphSegment, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    return call.args, {}


def _of_axis(segment: GraphSegment, call: Call) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    first = call.args[0]
    if not isinstance(first, Ref) or not isinstance(segment.values.get(first.node), torch.Tensor):
        return None
    place = 2 if call.name == "linalg_vector_norm" else 1
    dim = call.args[place] if len(call.args) > place and call.args[place] is not None else None
    dim = list(range(segment.values[first.node].ndim)) if dim is None else dim
    keepdim = bool(call.args[place + 1]) if len(call.args) > place + 1 and isinstance(call.args[place + 1], bool) else False
    return (first, dim), {"keepdim": (keepdim or bool(call.kwargs.get("keepdim", False))) and call.name != "select"}


def activations(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another activation where PyTorch computes one in several operations."""
    value, inside = segment.values.get(node), segment.before(node)
    if node not in segment.data or not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return
    few = slice(None, FEW)
    for other in sorted(inside - {node}, reverse=True):
        there = segment.values.get(other)
        if other not in segment.data or not isinstance(there, torch.Tensor) or there.shape != value.shape:
            continue
        between = [step for step in inside - {other} if other in segment.before(step)]
        path = {call.name for step in between if (call := segment.call(step)) is not None} - MOVING
        if not 1 < len(between) <= MOST_STEPS or not path <= ELEMENTWISE:
            continue
        x, y = there.flatten()[few], value.flatten()[few]
        apart = torch.stack([function(x) for function in UNARY.values()]) - y
        alike = (apart.abs() <= 1e-12 + 1e-9 * y.abs()).all(1)  # one comparison for all functions: this runs many times
        if not alike.any():
            continue
        own = list(UNARY)[int(alike.int().argmax())]
        for number, (name, function) in enumerate(UNARY.items()):
            if name != own:
                fact = Fact("other", torch=own, jax=name, where=said(segment, other), source=_source_of(segment, node))
                if {name, own} == {"gelu", "the tanh form of gelu"}:
                    forms = {"gelu": "exact", "the tanh form of gelu": "the tanh form"}
                    fact = Fact("form", "gelu", torch=forms[own], jax=forms[name], source=fact.source)
                new = Call(name, function, (Ref(other),))
                yield Edit({node: new}, fact, ("activation", own, name), 0.8 + number * 1e-3)


def _source_of(segment: GraphSegment, node: int) -> str:
    call = segment.call(node)
    return call.source if call is not None else ""


def missing(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """JAX forgets operations: where PyTorch uses a result, JAX uses a value from which PyTorch computes that result."""
    call, value = segment.call(node), segment.values.get(node)
    if call is None or not isinstance(value, torch.Tensor):
        return
    inside = segment.before(node)
    for other in sorted(inside - {node}, reverse=True):
        there = segment.values.get(other)
        direct = Ref(other) in call.args
        on_data = (other in segment.data) == (node in segment.data) or (direct and call.name in ("mul", "div"))
        node_there = segment.graph.nodes[other]
        constant = isinstance(node_there, Leaf) and not node_there.name and other not in segment.given
        if not on_data or constant or not isinstance(there, torch.Tensor) or there.dtype != value.dtype:
            continue
        moves = call.name in ("transpose", "permute") and Ref(other) in call.args
        if there.shape != value.shape and not moves:
            continue
        between = [step for step in inside - {other} if other in segment.before(step)]
        path = [made.name for step in between if (made := segment.call(step)) is not None and made.name not in MOVING]
        composite = any(names <= set(path) for names in COMPOSITES)
        fact = Fact("missing", _forgotten(segment, node, other, call, path), where=said(segment, node), source=call.source)
        if isinstance(node_there, Leaf) and not path:  # PyTorch transposes the weight
            fact = Fact("order", where=said(segment, other), jax="transposed", source=call.source)
        yield Edit(
            {node: Call("same", same, (Ref(other),))},
            fact,
            ("missing", *path),
            (1 if composite else max(len(path), 1))
            - 0.1 * (FAMILIES.get(call.name) is not UNARY or _has_both_signs(there))  # relu is the identity on one side
            + 0.01 * len(path)
            + 0.2 * (node not in segment.data),
        )


def _has_both_signs(value: Any) -> bool:
    return bool((value < 0).any() and (value > 0).any())


def _forgotten(segment: GraphSegment, node: int, other: int, call: Call, path: Sequence[str]) -> str:
    """What the result lacks, in words."""
    if not path:
        return f"to move axes: {call.name}" if call.name in ("transpose", "permute") else call.name
    names, composite = next((item for item in COMPOSITES.items() if item[0] <= set(path)), (frozenset[str](), ""))
    if len(path) > 1:
        others = [SAID.get(name, name) for name in path if not composite or name not in names | ARITHMETIC]
        return f"{first_of([*filter(None, [composite]), *others])} there" if others else composite
    left = [operand for operand in segment.operands(node) if operand != other]
    name = path[0]
    if name == "add" and left:
        if float(segment.values[left[0]].abs().max()) >= FILL:
            return MASK
        if left[0] not in segment.data:
            return f"the bias {said(segment, left[0])}"
        residual = left[0] in segment.graph.ancestors([other]) or other in segment.graph.ancestors([left[0]])
        return f"the residual, {said(segment, left[0])}" if residual else f"to add {said(segment, left[0])}"
    if name in ("mul", "div") and left:
        return f"to {'multiply with' if name == 'mul' else 'divide by'} {said(segment, left[0])}"
    if name in ("mul", "div", "add", "sub", "rsub"):
        numbers = [number for number in call.args if isinstance(number, (int, float))]
        verbs = {"mul": "to multiply with", "div": "to divide by", "add": "to add", "sub": "to subtract"}
        return f"{verbs[name]} {digits(numbers[0])}" if numbers and name in verbs else "1 - x"
    if name == "pow" and isinstance(call.args[-1], (int, float)):
        return f"the power {digits(call.args[-1])} of {said(segment, other)}"
    return composite or named(segment, node)


def without(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """A weight of an operation left out, or given as another argument, where torch allows that."""
    call = segment.call(node)
    if call is None or call.schema is None:
        return
    optional = [
        (k, argument.name) for k, argument in enumerate(call.schema.arguments) if str(argument.type) == "Optional[Tensor]"
    ]
    for place, name in optional:
        given = call.args[place] if place < len(call.args) else call.kwargs.get(name)
        if not isinstance(given, Ref):
            continue
        left = with_argument(call, place, name, None)
        fact = Fact("missing", f"the {name} {said(segment, given.node)}", source=call.source)
        yield Edit({node: left}, fact, ("without", call.name, name), 1.0)
        for other, also in optional:
            if other != place and not isinstance(call.args[other] if other < len(call.args) else None, Ref):
                what = f"{SAID.get(call.name, call.name)} takes {said(segment, given.node)}"
                fact = Fact("form", what, torch=f"as {name}", jax=f"as {also}", source=call.source)
                new = with_argument(left, other, also, given)
                yield Edit({node: new}, fact, ("argument", call.name, name, also), 1.1)
