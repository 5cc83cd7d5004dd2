"""Rules of arguments: JAX has another number, axis, padding or order than PyTorch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations, product
from typing import Any

import torch
import torch.nn.functional as F

from crosscheck._explain.facts import Edit, Fact, digits
from crosscheck._explain.names import said
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.tables import COMPARISONS, FAMILIES, MOVING, PADDING, POOL, ROLES, SAID, USUAL
from crosscheck._graph.graph import Call, Ref, refs

SMALL = 1e-3
"""Of the usual numbers, those up to this are epsilons."""
MOST_GROUPS = 64
"""So many groups of a norm are tried at most."""
NEUTRAL = {"pow": 1, "mul": 1, "div": 1, "add": 0, "sub": 0}
NOTHING = {(operation, form) for operation, number in NEUTRAL.items() for form in (f"{number}", f"{number:.1f}")}
"""With these numbers an operation does nothing: it is forgotten."""
AMONG = {"reduction": ("mean", "sum", "none"), "mode": ("nearest", "bilinear", "bicubic", "nearest-exact")}
"""The texts that an argument may be."""
NEVER = frozenset(["dtype", "layout", "device", "pin_memory", "memory_format", "implicit", "half_to_float", "output_mask"])
"""Arguments that no port confuses, or that are no part of the mathematics."""


def settings(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another value of an argument that is no array."""
    call = segment.call(node)
    if call is None or call.schema is None:
        return
    value = segment.values.get(node)
    rank = value.ndim if isinstance(value, torch.Tensor) else 4
    for place, argument in enumerate(call.schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        old = call.args[place] if place < len(call.args) else call.kwargs.get(argument.name, default)
        scaled = argument.name == "alpha" and call.name in ("add", "sub", "rsub", "addmm") and old == 1
        if (
            argument.name in NEVER
            or scaled
            # PyTorch ends the process without statistics of its own, or with another number of batched axes
            or argument.name == "self_num_batch_dims"
            or (argument.name == "training" and call.schema.overload_name == "no_stats")
            or isinstance(old, (Ref, Call))
            or (old is None and argument.name != "correction")
        ):
            continue
        for new, likely in _other(segment, call.name, argument.name, old, rank):
            if (call.name, str(new)) in NOTHING:
                continue
            yield Edit(
                {node: with_argument(call, place, argument.name, new)},
                _setting(segment, node, call.name, argument.name, old, new),
                ("setting", call.name, argument.name, str(new)),
                1.0 if likely else 1.3,
            )
    if call.name == "convolution":
        yield from (_croppings if call.args[6] else _paddings)(segment, node, call)
    if FAMILIES.get(call.name) is POOL and len(call.args) > 3:
        yield from _before_and_behind(node, call, 3, -math.inf if "max" in call.name else 0.0)
    if call.name == "slice":
        yield from _slices(segment, node, call)


def starts(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """As many numbers one after the other, from another one on."""
    call = segment.call(node)
    if call is None or call.name != "arange" or not all(isinstance(argument, (int, float)) for argument in call.args):
        return
    start, end, *step = call.args if len(call.args) > 1 else (0, *call.args)
    for new in dict.fromkeys((0, 1, *(start + by for by in (-2, -1, 1, 2)), *(-start, *segment.jax.numbers))):
        first = int(new) if isinstance(start, int) and float(new).is_integer() else new
        if first != start:
            # the operation that has an end alone takes no start
            edited = replace(call, function=torch.arange, args=(first, end - start + first, *step), schema=None)
            fact = Fact("setting", "arange", "start", f"{start:.6g}", f"{first:.6g}", source=call.source)
            yield Edit({node: edited}, fact, ("arange", str(new)), 0.9)


def repetitions(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """What is along an axis repeated as a whole, or each of it, where PyTorch does the other: a new axis, expanded."""
    call = segment.call(node)
    if call is None or call.name != "unsqueeze" or not isinstance(segment.values.get(node), torch.Tensor):
        return
    rank = segment.values[node].ndim
    old = call.args[1] % rank
    for user in segment.users.get(node, ()):
        expand = segment.call(user)
        if expand is None or expand.name != "expand" or len(expand.args[1]) != rank:
            continue
        for new in (old - 1, old + 1):
            if not 0 <= new < rank:
                continue
            sizes = [size for axis, size in enumerate(expand.args[1]) if axis != old]
            sizes.insert(new, expand.args[1][old])
            ways = ("as repeat_interleave", "as tile") if new < old else ("as tile", "as repeat_interleave")
            fact = Fact("form", "the repetition", "", *ways, said(segment, node), call.source)
            edits = {node: with_argument(call, 1, "dim", new), user: with_argument(expand, 1, "size", sizes)}
            yield Edit(edits, fact, ("repetition", str(new)), 0.9)


def divisors(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """A number of elements in place of a divisor that PyTorch counts, as the sum of a mask."""
    call = segment.call(node)
    second = call.args[1] if call is not None and call.name == "div" and len(call.args) > 1 else None
    there = segment.values.get(second.node) if isinstance(second, Ref) else None
    if call is None or not isinstance(second, Ref) or not isinstance(there, torch.Tensor) or there.numel() != 1:
        return
    shapes = (value.shape for k in segment.before(node) if isinstance(value := segment.values.get(k), torch.Tensor))
    counts = {size for shape in shapes for size in (*shape, shape.numel()) if size > 1}
    for count in sorted(counts):
        fact = Fact(
            "form",
            "the divisor",
            torch=said(segment, second.node),
            jax=f"{count}, a number of elements,",
            source=call.source,
        )
        new = replace(call, args=(call.args[0], float(count), *call.args[2:]))
        yield Edit({node: new}, fact, ("divisor", str(count)), 0.9)


def of_functions(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another value of an argument of a function that consists of several operations, such as label smoothing."""
    call = segment.graph.functions.get(node)
    if call is None or not all(operand in segment.values or operand in segment.given for operand in refs(call)):
        return
    signature = inspect.signature(call.function)
    bound = signature.bind(*call.args, **call.kwargs)
    for name, parameter in signature.parameters.items():
        default = parameter.default if parameter.default is not parameter.empty else None
        old = bound.arguments.get(name, default)
        if old is None or isinstance(old, (Ref, Call)) or name in ("size_average", "reduce"):
            continue
        others = [default, *(value for value, _ in _other(segment, call.name, name, old, 4))]
        for new in dict.fromkeys(value for value in others if value is not None and value != old):
            bound = signature.bind(*call.args, **call.kwargs)
            bound.arguments[name] = new
            edited = replace(call, args=bound.args, kwargs=bound.kwargs)
            role = ROLES.get(name, name)
            fact = Fact("setting", call.name, role, _shown(old, new), _shown(new, old), source=call.source)
            yield Edit({node: edited}, fact, ("function", call.name, name, str(new)), 0.9)


def merged(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Two axes merged the other way round, such as heads and the numbers of a head."""
    call, value = segment.call(node), segment.values.get(node)
    first = call.args[0] if call is not None and call.name in ("view", "_unsafe_view", "reshape") else None
    there = segment.values.get(first.node) if isinstance(first, Ref) else None
    if call is None or not isinstance(value, torch.Tensor) or not isinstance(there, torch.Tensor):
        return
    assert isinstance(first, Ref)
    made = segment.call(first.node)
    while made is not None and made.name == "clone":
        made = segment.call(next(refs(made), -1))
    if made is not None and made.name == "expand":  # it repeats what is along these axes
        return
    shape = list(there.shape)
    for axis in range(there.ndim - 1):
        whole = [*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]]
        sizes = shape[axis : axis + 2]
        if min(sizes) > 1 and (whole == list(value.shape) or _ends(whole, value)):
            turned = Call("transpose", torch.transpose, (first, axis, axis + 1))
            new = Call("reshape", torch.reshape, (turned, list(value.shape)))
            sides = f": as {sizes[1]} x {sizes[0]}, PyTorch {sizes[0]} x {sizes[1]}" if sizes[0] != sizes[1] else ""
            axes = f"the axes {axis - there.ndim} and {axis + 1 - there.ndim} of {said(segment, first.node)}"
            fact = Fact("order", where=axes, jax=f"merged in the other order{sides}", source=call.source)
            yield Edit({node: new}, fact, ("merged", str(axis - there.ndim)), 0.95)


def _ends(whole: list[int], value: Any) -> bool:
    """Whether a shape ends as that of a value of as many numbers, whose first axes are merged too."""
    return whole[-1:] == list(value.shape[-1:]) and value.ndim < len(whole)


def scales(segment: GraphSegment, node: int) -> Iterator[Edit]:
    """Another factor of a product, where PyTorch has parts of it in both operands, as attention has."""
    call = segment.call(node)
    if call is None or call.name not in ("bmm", "mm") or not all(isinstance(operand, Ref) for operand in call.args[:2]):
        return
    factors = [_factor(segment, operand.node) for operand in call.args[:2]]
    own = factors[0] * factors[1]
    if 1.0 in factors or own == 0:
        return
    for factor in {
        1.0,
        *(abs(number) for number in segment.jax.numbers if number),
        *(1 / abs(number) for number in segment.jax.numbers if number),
    }:
        if abs(factor - own) > 1e-9 * own:
            fact = Fact("form", "the product's scale", torch=_scale(own), jax=_scale(factor), source=call.source)
            new = Call("mul", torch.mul, (call, factor / own))
            yield Edit({node: new}, fact, ("scale", _scale(factor)), 0.9)


def scaled_product(segment: GraphSegment, node: int) -> int | None:
    """The product that has the factor of this multiplication in one operand, and another one in the other."""
    call = segment.call(node)
    left = [node] if call is not None and call.name == "mul" and isinstance(call.args[1], (int, float)) else []
    while left:
        for user in segment.users.get(left.pop(), ()):
            call = segment.call(user)
            if call is not None and call.name in ("bmm", "mm"):
                operands = [operand for operand in call.args[:2] if isinstance(operand, Ref)]
                return user if all(_factor(segment, operand.node) != 1.0 for operand in operands) else None
            if call is not None and call.name in MOVING:
                left.append(user)
    return None


def _factor(segment: GraphSegment, node: int) -> float:
    """The number with which a value was multiplied on the way."""
    call = segment.call(node)
    while call is not None:
        if call.name == "mul" and isinstance(call.args[1], (int, float)):
            return float(call.args[1])
        inside = list(refs(call))
        if call.name not in MOVING or not inside:
            return 1.0
        call = segment.call(inside[0])
    return 1.0


def _scale(factor: float) -> str:
    return f"1 / {1 / factor:.6g}" if 0 < factor < 1 else f"{factor:.6g}"


def with_argument(call: Call, place: int, name: str, new: Any) -> Call:
    if place < len(call.args):
        return replace(call, args=(*call.args[:place], new, *call.args[place + 1 :]))
    return replace(call, kwargs={**call.kwargs, name: new})


def _other(segment: GraphSegment, operation: str, argument: str, old: Any, rank: int) -> Iterator[tuple[Any, bool]]:
    """Other values of an argument, and whether each is a likely one."""
    numbers = segment.jax.numbers
    if isinstance(old, bool):
        yield not old, True
    elif operation == "addmm" and argument == "beta":
        yield 0, True
    elif isinstance(old, str):
        among = AMONG.get(argument, ("none", "tanh"))
        yield from ((text, True) for text in among if text != old)
    elif isinstance(old, float) or (type(old) is int and argument in ("alpha", "beta", "scale", "input_scale")):
        # 0 last: it stands in most programs, as in max(0, variance), and is close to a tiny epsilon
        yield from ((number, True) for number in sorted(numbers, key=lambda number: number == 0) if number != old)
        yield from ((1 / number, True) for number in numbers if number not in (0.0, old))
        small = argument == "eps" or operation in ("add", "sub")  # elsewhere a small number is as good as none
        yield from ((number, False) for number in USUAL if number not in {old, *numbers} and (small or number > SMALL))
    elif isinstance(old, int) or old is None:
        if argument.startswith("dim"):
            # counted from the end: the operation of a weight norm does not check another axis from the start
            yield from ((axis, True) for axis in range(-rank, 0) if axis % rank != (old or 0) % rank)
        elif argument == "other":
            yield from ((number, True) for number in numbers if number != old)
        elif argument == "group":
            yield from ((groups, True) for groups in range(1, MOST_GROUPS + 1) if groups != old)
        else:
            near = [0] if old is None else [old - 1, old + 1, 0, 1, -1, 2, -old]
            yield from ((number, True) for number in dict.fromkeys(near) if number != old)
    elif isinstance(old, (list, tuple)) and old and all(type(number) is int for number in old):
        if operation == "permute":
            yield from ((list(order), True) for order in permutations(old) if list(order) != list(old) and len(old) <= 5)
            return
        axes = argument == "dim"
        # counted as the call counts them: for an axis from the end, the operation of a Fourier transform ends the process
        every, taken = range(rank) if min(old) >= 0 else range(-rank, 0), {axis % rank for axis in old} if rank else set()
        if not axes and len(old) > 1:  # the numbers of all axes at once: their order, their signs
            yield from ((new, True) for new in (list(old[::-1]), [-number for number in old]) if new != list(old))
        for place in range(len(old)):
            for new in every if axes else (old[place] - 1, old[place] + 1):
                if not axes or new % rank not in taken:
                    yield [*old[:place], new, *old[place + 1 :]], True
        if not axes and len(old) > 1:
            yield from (([number + d for number in old], True) for d in (1, -1))


def _setting(segment: GraphSegment, node: int, operation: str, argument: str, old: Any, new: Any) -> Fact:
    call = segment.call(node)
    what, source = SAID.get(operation, operation), call.source if call else ""
    if argument == "correction":
        divisors = {0: "n", 1: "n - 1", None: "n - 1"}
        torch_divisor, jax_divisor = (divisors.get(correction, f"n - {correction}") for correction in (old, new))
        return Fact(
            "setting",
            {"std": "the standard deviation", "var": "the variance"}.get(operation, what),
            "divisor",
            torch_divisor,
            jax_divisor,
        )
    if argument == "beta" and new == 0 and call is not None:
        return Fact("missing", f"the bias {said(segment, next(refs(call)))}", source=source)
    if operation in COMPARISONS and argument == "other":
        sign = COMPARISONS[operation]
        return Fact(
            "form", "the bound of a mask or window", torch=f"{sign} {old:.6g}", jax=f"{sign} {new:.6g}", source=source
        )
    if argument == "training":
        ways = ("the running statistics", "those of the batch")
        return Fact("form", what, torch=ways[old], jax=ways[new], source=source)
    if argument == "approximate":
        forms = {"none": "exact", "tanh": "the tanh form"}
        return Fact("form", what, torch=forms[old], jax=forms[new], source=source)
    if operation in ("add", "sub", "rsub", "mul", "div", "pow") and argument in ("other", "exponent", "self"):
        roles = {"add": "the number added", "sub": "the number subtracted", "mul": "the factor", "div": "the divisor"}
        role = "epsilon" if operation == "add" and 0 < abs(old) < 1e-2 else ""
        of_power = "the base" if argument == "self" else "the exponent"
        role = role or roles.get(operation, of_power if operation == "pow" else "the number")
        return Fact("form", role, torch=digits(old, new), jax=digits(new, old), where=said(segment, node), source=source)

    role = ROLES.get(argument, argument)
    return Fact("setting", what, role, _shown(old, new), _shown(new, old), said(segment, node), source)


def _paddings(segment: GraphSegment, node: int, call: Call) -> Iterator[Edit]:
    """Other padding before and behind, as of ``SAME``, and another dilation with the padding that keeps the size."""
    rank = len(call.args[4])
    windows = [(size - 1) // 2 for size in segment.values[next(refs(call.args[1]))].shape[2:]]
    for rate in range(1, 5):
        dilation, padding = [rate] * rank, [rate * size for size in windows]
        if dilation != list(call.args[5]):
            args = (*call.args[:4], padding, dilation, *call.args[6:])
            said_ = (
                f"{tuple(call.args[5])} with padding {tuple(call.args[4])}",
                f"{tuple(dilation)} with padding {tuple(padding)}",
            )
            fact = Fact("setting", "the convolution", "dilation", *said_)
            yield Edit({node: replace(call, args=args)}, fact, ("dilation", str(rate)), 1.2)
    widths = [width for size in reversed(call.args[4]) for width in (size, size)]
    for mode, pad in PADDING.items() if any(widths) else ():
        if mode != "zeros":
            args = (Call("pad", pad, (call.args[0], widths)), *call.args[1:4], [0] * rank, *call.args[5:])
            fact = Fact("setting", "the padding", "mode", "zeros", mode, source=call.source)
            yield Edit({node: replace(call, args=args)}, fact, ("padding", mode), 1.1)
    yield from _before_and_behind(node, call, 4)


def _before_and_behind(node: int, call: Call, place: int, fill: float = 0.0) -> Iterator[Edit]:
    """Other padding before than behind, where the argument at a place is the padding."""
    rank = len(call.args[place])
    for before, behind in product(range(4), repeat=2):
        if before != behind:
            padded = Call("pad", partial(F.pad, value=fill), (call.args[0], [before, behind] * rank))
            args = (padded, *call.args[1:place], [0] * rank, *call.args[place + 1 :])
            own = " x ".join(f"({width}, {width})" for width in call.args[place])
            fact = Fact("padding", torch=own, jax=" x ".join([f"({before}, {behind})"] * rank), source=call.source)
            yield Edit({node: replace(call, args=args)}, fact, ("padding", str(before), str(behind)), 1.1)


def _croppings(segment: GraphSegment, node: int, call: Call) -> Iterator[Edit]:
    """Other padding before and behind of a transposed convolution: JAX leaves out other numbers at its ends."""
    rank = len(call.args[4])
    value = segment.values.get(node)
    windows = segment.values[next(refs(call.args[1]))].shape[2:]
    if not isinstance(value, torch.Tensor):
        return
    own, more = list(call.args[4]), list(call.args[7])
    whole = replace(call, args=(*call.args[:4], [0] * rank, call.args[5], True, [0] * rank, *call.args[8:]))
    for shift in (-2, -1, 1, 2):
        ends = [(padding + shift, padding - plus - shift) for padding, plus in zip(own, more, strict=True)]
        cuts = [-width for pair in reversed(ends) for width in pair]
        new = Call("pad", F.pad, (whole, cuts))
        sizes = zip(windows, call.args[5], ends, own, more, strict=True)
        both = [
            ((d * (k - 1) - p, d * (k - 1) - p + plus), (d * (k - 1) - before, d * (k - 1) - behind))
            for k, d, (before, behind), p, plus in sizes
        ]
        torch_widths, jax_widths = (
            " x ".join(f"({pair[0]}, {pair[1]})" for pair in side) for side in zip(*both, strict=True)
        )
        fact = Fact("padding", torch=torch_widths, jax=jax_widths, source=call.source)
        yield Edit({node: new}, fact, ("cropping", str(shift)), 1.1)


def _slices(segment: GraphSegment, node: int, call: Call) -> Iterator[Edit]:
    """As many entries from another place on."""
    first, dim, start, end = (*call.args, *(None,) * 4)[:4]
    there = segment.values.get(first.node) if isinstance(first, Ref) else None
    if not isinstance(there, torch.Tensor) or dim is None or segment.values.get(node) is None:
        return
    size, start = there.shape[dim], start or 0
    end = min(size if end is None else end, size)
    start, end = (index + size if index < 0 else index for index in (start, end))
    for by in (-1, 1, -2, 2):
        if start + by >= 0 and end + by <= size:
            fact = Fact("form", "the first index", torch=str(start), jax=str(start + by), source=call.source)
            new = replace(call, args=(first, dim, start + by, end + by, *call.args[4:]))
            yield Edit({node: new}, fact, ("slice", str(by)), 1.1)


def _shown(value: Any, other: Any) -> str:
    return digits(value, other) if isinstance(value, float) and isinstance(other, float) else str(value)
