"""The reason of another update: clipping, or the schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch.optim import lr_scheduler

from crosscheck._frameworks.programs import Array
from crosscheck._training.optimizers.schedule_edits import argument_of
from crosscheck._training.steps.jax_steps import JaxStep
from crosscheck._training.steps.quantities import GRADIENTS, SLOTS, WEIGHTS, quantities, relative_difference, size_of
from crosscheck._training.steps.reason import (
    CLIPPING,
    MUCH,
    OPTIMISER,
    SAME_RATIO,
    SCHEDULE,
    Reason,
    as_sum,
    explained,
    ratio_of,
)
from crosscheck._training.steps.steps import CONSTANT, FLOOR, Departure, Moment, StepResults, with_torchs_gradients

LINEAR = ("exp_avg", "momentum_buffer")
"""The state of torch's optimisers that is linear in the gradients."""
ROUGHLY = 0.3
"""A factor that differs from 1 by a millionth is known only to this share of the difference, with constants in float32."""
FEWEST_RATES = 2
"""So many rates of JAX show how it grows."""
ADDED = 1e-6
"""The number that torch adds to a norm before it divides by it; optax does not."""


def of_clipping(found: StepResults, departure: Departure) -> Reason | None:
    """The change of the gradients between the backward pass and the optimiser."""
    context = departure.context
    mine = context.torch
    names = [name for name in mine.gradients.wide if name in mine.given.wide]
    pairs = [(mine.gradients.wide[name], mine.given.wide[name]) for name in names]
    ratio = ratio_of(pairs)
    theirs = _given_to_optax(found, departure.moments[0])
    factor = ratio_of(theirs)
    if factor is not None and abs(factor - 1) <= CONSTANT:
        return None
    if factor is None and (most := _cut(found, departure, theirs)) is not None:
        return Reason(CLIPPING, f"JAX cuts each number of the gradients off at {most:.6g}, PyTorch does not")
    # torch gives its optimiser unchanged gradients
    if not any(relative_difference(one, other, size_of(one)) > FLOOR for one, other in pairs):
        if factor is None:
            return None
        if steady(found, departure) and (why := as_sum(factor)):
            return Reason(GRADIENTS, f"JAX gives its optimiser {factor:.6g} times PyTorch's{why}")
        return Reason(CLIPPING, f"JAX gives its optimiser {factor:.6g} times PyTorch's gradients, as clipping does")
    if factor is not None and ratio is not None and abs(factor * ratio - 1) > SAME_RATIO:
        words = f"the gradients that JAX gives its optimiser are {factor:.9g} times PyTorch's"
        if (norms := _norms(found, departure)) is not None:
            theirs_at, mine_at = norms
            return Reason(CLIPPING, f"JAX clips the gradients to a norm of {theirs_at:.4g}, PyTorch to {mine_at:.4g}")
        added = abs((factor - 1) * _norm(context.torch.gradients.wide) / ADDED - 1) <= ROUGHLY
        return Reason(CLIPPING, f"PyTorch adds {ADDED:g} to the norm that it divides by: {words}" if added else words)
    other = with_torchs_gradients(found, context, mine.given.wide)
    if other is None or not _right(found, departure, other):
        return None
    what = "other gradients than those of this step's backward passes, as without zero_grad()"
    if ratio is not None:
        what = f"{ratio:.6g} times the gradients, as clipping does"
    return Reason(CLIPPING, f"PyTorch gives its optimiser {what}, and JAX those themselves")


def _right(found: StepResults, departure: Departure, other: JaxStep) -> bool:
    """Whether a step of JAX gives torch's results for everything that was wrong."""
    again = quantities(found.partners, departure.context, other)
    wrong = {quantity: one for quantity, one in departure.wrong.items() if quantity[0] in (WEIGHTS, SLOTS)}
    return all(again[quantity].error <= explained(one.error) for quantity, one in wrong.items())


def steady(found: StepResults, departure: Departure) -> bool:
    """Whether JAX's optimiser seems to get the same multiple of torch's gradients at each step."""
    factors = [ratio_of(_given_to_optax(found, moment)) for moment in departure.moments]
    known = [one for one in factors if one is not None]
    return len(known) == len(factors) and float(np.ptp(known)) <= SAME_RATIO * abs(known[0])


def _given_to_optax(found: StepResults, moment: Moment) -> list[tuple[Array, Array]]:
    """By parameter, torch's gradients and those that JAX's optimiser seems to get, if its state is linear in them."""
    context = moment.context
    judged = quantities(found.partners, context, moment.made)
    given = found.partners.of_gradients(context.torch.given.wide)
    pairs = []
    for leaf, (owner, key) in found.partners.slots.items():
        if key in LINEAR and (SLOTS, leaf) in judged and given[owner].any():
            mine, theirs = judged[SLOTS, leaf].mine, judged[SLOTS, leaf].theirs
            weight = _weight(given[owner], mine, np.asarray(context.state[leaf], np.float64))
            if weight is None:
                return []
            pairs.append((given[owner], given[owner] + (theirs - mine) / weight))
    return pairs


def _weight(gradient: Array, mine: Array, kept: Array) -> float | None:
    """The weight w of the gradient in mine = b kept + w gradient, by least squares."""
    columns = np.stack([kept.ravel(), gradient.ravel()], axis=1)
    found, *_ = np.linalg.lstsq(columns, mine.ravel(), rcond=None)
    return (
        float(found[1])
        if found[1] and relative_difference(columns @ found, mine.ravel(), size_of(mine)) <= SAME_RATIO
        else None
    )


def _cut(found: StepResults, departure: Departure, pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """The size at which JAX clips each number of the gradients, if it does."""
    raw = found.partners.of_gradients(departure.context.torch.gradients.wide)
    owners = [owner for leaf, (owner, key) in found.partners.slots.items() if key in LINEAR and raw[owner].any()]
    if len(owners) != len(pairs) or not pairs:
        return None
    most = max(size_of(theirs) for _, theirs in pairs)
    cut = all(
        relative_difference(np.clip(raw[owner], -most, most), theirs, most) <= SAME_RATIO
        for owner, (_, theirs) in zip(owners, pairs, strict=True)
    )
    return most if cut and any(size_of(raw[owner]) > most for owner in owners) else None


def _norm(gradients: Mapping[str, Array]) -> float:
    """The norm of all gradients together."""
    return float(np.sqrt(sum(float(np.sum(one**2)) for one in gradients.values())))


def _norms(found: StepResults, departure: Departure) -> tuple[float, float] | None:
    """The norms to which JAX and PyTorch clip; None if one of them does not clip to one norm, or both to the same."""
    norms = []
    for moment in departure.moments:
        factor = ratio_of(_given_to_optax(found, moment))
        if factor is None:
            return None
        given = _norm(moment.context.torch.given.wide)
        norms.append((factor * given, given, _norm(moment.context.torch.gradients.wide)))
    theirs, mine, _ = (max(one) for one in zip(*norms, strict=True))
    clipped = all(
        abs(one[side] - min(most, one[2])) <= SAME_RATIO * one[2] for one in norms for side, most in ((0, theirs), (1, mine))
    )
    both = norms[0][0] < (1 - SAME_RATIO) * norms[0][2] and norms[0][1] < (1 - SAME_RATIO) * norms[0][2]
    return (theirs, mine) if clipped and both and abs(theirs - mine) > SAME_RATIO * mine else None


def of_schedule(found: StepResults, departure: Departure) -> Reason | None:
    """The learning rate, if the optimiser's state agrees and each parameter moves by the same factor further."""
    context = departure.context
    if any(kind == SLOTS for moment in departure.moments for kind, _ in moment.wrong):
        return None
    if not context.torch.rates:
        return None
    ratios: list[tuple[int, float]] = []
    for moment in departure.moments:
        judged = quantities(found.partners, moment.context, moment.made)
        before = found.partners.of_weights(moment.context.before)
        weights = {name: one for (kind, name), one in judged.items() if kind == WEIGHTS}
        moves = [(one.mine - before[name], one.theirs - before[name]) for name, one in weights.items()]
        if not max(moment.context.torch.rates.values()) and not any(mine.any() for mine, _ in moves):
            continue  # PyTorch's rate is 0, as at the first step of a warm-up: no factor gives JAX's moves
        ratio = ratio_of(moves)
        left, error = (max(size_of(mine * by - theirs) for mine, theirs in moves) for by in (ratio or 0.0, 1.0))
        if ratio is None or left > MUCH * error:
            return _of_rates(found, departure)
        ratios.append((moment.context.number, ratio))
    if not ratios:
        return Reason(SCHEDULE, "PyTorch's learning rate is 0, and JAX moves the parameters")
    theirs = {step: max(found.rates[step - 1].values()) * ratio for step, ratio in ratios}
    why = _of_scheduler(found, theirs) or _of_warm_up(found, ratios)
    return Reason(SCHEDULE, _of_rate(found, *ratios[0]) + why)


def _of_scheduler(found: StepResults, theirs: Mapping[int, float]) -> str:
    """The argument with which PyTorch's schedule gives JAX's rates at these steps, and its own at the steps before."""
    schedulers = [one for one in found.torch.objects if isinstance(one, lr_scheduler.LRScheduler)]
    mine = [max(rates.values(), default=0.0) for rates in found.rates[: max(theirs)]]
    wanted = np.array([theirs.get(step + 1, rate) for step, rate in enumerate(mine)])
    return argument_of(schedulers[0], mine, wanted, min(theirs) - 1) if len(schedulers) == 1 else ""


def _of_rates(found: StepResults, departure: Departure) -> Reason | None:
    """Other learning rates for some parameters, if the moves of each parameter are the same multiple at all steps."""
    each: list[dict[str, float]] = []
    for moment in departure.moments:
        judged = quantities(found.partners, moment.context, moment.made)
        before = found.partners.of_weights(moment.context.before)
        ratios = {
            name: ratio_of([(one.mine - before[name], one.theirs - before[name])])
            for (kind, name), one in judged.items()
            if kind == WEIGHTS and (one.mine != before[name]).any()
        }
        each.append({name: one for name, one in ratios.items() if one is not None})
        if len(each[-1]) < len(ratios):
            return None
    if len(each) < FEWEST_RATES or any(one.keys() != each[0].keys() for one in each):
        return None
    if any(abs(one[name] / each[0][name] - 1) > SAME_RATIO for one in each for name in one):
        return None
    rates = departure.context.torch.rates
    both: dict[str, tuple[float, float]] = {}
    for name, ratio in each[0].items():
        owner = found.partners.owners(name)[0]
        if owner in rates:
            both[owner] = rates[owner], rates[owner] * ratio
    wrong = {owner: pair for owner, pair in both.items() if abs(pair[1] / pair[0] - 1) > SAME_RATIO}
    if not wrong:
        return None
    owner, (mine, theirs) = next(iter(wrong.items()))
    alike = [name for name, pair in wrong.items() if np.allclose(pair, (mine, theirs), rtol=SAME_RATIO)]
    named = " and ".join(alike[:2]) + (f" and {len(alike) - 2} more" if len(alike) > 2 else "")
    words = f"JAX's learning rate of {named} is {theirs:.6g}, PyTorch's {mine:.6g}"
    return Reason(OPTIMISER, words + _of_order(list(both.values())))


def _of_order(rates: Sequence[tuple[float, float]]) -> str:
    """What it means that both sides have the same learning rates for other parameters; empty if they do not."""
    pairs = sorted({(float(f"{mine:.4g}"), float(f"{theirs:.4g}")) for mine, theirs in rates})
    mine, theirs = zip(*pairs, strict=True)
    if len(set(mine)) < len(mine) or sorted(mine) != sorted(theirs):
        return ""
    return ": the rates are in reverse order" if list(theirs) == sorted(theirs, reverse=True) else ": rates are exchanged"


def _of_warm_up(found: StepResults, ratios: Sequence[tuple[int, float]]) -> str:
    """What it means that one side's rate grows by the same number at each step, and the other's by another one."""
    first = ratios[0][0]
    if first < 2 or [step for step, _ in ratios] != list(range(first, first + len(ratios))) or len(ratios) < FEWEST_RATES:
        return ""
    mine = [max(found.rates[step - 1].values()) for step in range(first - 1, first + len(ratios))]
    theirs = [mine[0], *(rate * ratio for rate, (_, ratio) in zip(mine[1:], ratios, strict=True))]
    grows = [np.diff(rates) for rates in (mine, theirs)]
    steady = [bool(one[0] > 0 and np.allclose(one, one[0], rtol=1e-3)) for one in grows]
    apart = float(grows[1][0] - grows[0][0])
    if not (grows[0][0] > 0 and grows[1][0] > 0) or abs(apart) <= 1e-3 * grows[0][0] or not steady[apart < 0]:
        return ""
    which = "longer" if apart < 0 else "shorter"
    return f"; it grows by {grows[1][0]:.6g} a step, PyTorch's by {grows[0][0]:.6g}: JAX's warm-up is {which}"


def _of_rate(found: StepResults, step: int, ratio: float) -> str:
    """Words for a learning rate of JAX that is ``ratio`` times PyTorch's at a step."""
    rate = max(found.rates[step - 1].values())
    other = rate * ratio
    digits = 6 if abs(ratio - 1) > SAME_RATIO else 9
    words = f"JAX's learning rate is {other:.{digits}g}, PyTorch's {rate:.{digits}g}"
    for by, which in ((-1, "before"), (1, "after")):
        number = step - 1 + by
        if 0 <= number < len(found.rates) and found.rates[number]:
            near = max(found.rates[number].values())
            if abs(other - near) <= SAME_RATIO * near and abs(near - rate) > SAME_RATIO * rate:
                words += f": that of the step {which}"
    return words
