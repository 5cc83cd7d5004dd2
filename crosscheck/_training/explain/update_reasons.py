"""The reason of another update: clipping, or the schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch.optim import lr_scheduler

from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._training.optimizers.schedule_edits import argument_of
from crosscheck._training.steps.departures import Departure, Moment, StepResults
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
from crosscheck._training.steps.steps import CONSTANT, FLOOR, with_torchs_gradients

LINEAR = ("exp_avg", "momentum_buffer")
"""The state of torch's optimisers that is linear in the gradients."""
ROUGHLY = 0.3
"""A factor that differs from 1 by a millionth is known only to this share of the difference, with constants in float32."""
FEWEST_RATES = 2
"""So many rates of JAX show how it grows."""
ADDED = 1e-6
"""The number that torch adds to a norm before it divides by it; optax does not."""


def of_clipping(results: StepResults, departure: Departure) -> Reason | None:
    """The change of the gradients between the backward pass and the optimiser."""
    context = departure.context
    torch_step = context.torch
    names = [name for name in torch_step.gradients.wide if name in torch_step.given.wide]
    pairs = [(torch_step.gradients.wide[name], torch_step.given.wide[name]) for name in names]
    ratio = ratio_of(pairs)
    optax_pairs = _given_to_optax(results, departure.moments[0])
    factor = ratio_of(optax_pairs)
    if factor is not None and abs(factor - 1) <= CONSTANT:
        return None
    if factor is None and (most := _cut(results, departure, optax_pairs)) is not None:
        return Reason(CLIPPING, (Fact("cut off", jax=f"{most:.6g}"),))
    # torch gives its optimiser unchanged gradients
    if not any(relative_difference(gradient, other, size_of(gradient)) > FLOOR for gradient, other in pairs):
        if factor is None:
            return None
        if steady(results, departure) and (why := as_sum(factor)):
            return Reason(GRADIENTS, (Fact("given", jax=f"{factor:.6g}", near=why),))
        return Reason(CLIPPING, (Fact("given", jax=f"{factor:.6g}", near="as clipping does"),))
    if factor is not None and ratio is not None and abs(factor * ratio - 1) > SAME_RATIO:
        if (norms := _norms(results, departure)) is not None:
            jax_norm, torch_norm = norms
            return Reason(CLIPPING, (Fact("norm", torch=f"{torch_norm:.4g}", jax=f"{jax_norm:.4g}"),))
        added = abs((factor - 1) * _norm(context.torch.gradients.wide) / ADDED - 1) <= ROUGHLY
        facts = (Fact("added to the norm", torch=f"{ADDED:g}"), Fact("clipped otherwise", jax=f"{factor:.9g}"))
        return Reason(CLIPPING, facts if added else facts[1:])
    other = with_torchs_gradients(results, context, torch_step.given.wide)
    if other is None or not _right(departure, other):
        return None
    fact = Fact("not reset") if ratio is None else Fact("clipped in PyTorch", torch=f"{ratio:.6g}")
    return Reason(CLIPPING, (fact,))


def _right(departure: Departure, other: JaxStep) -> bool:
    """Whether a step of JAX gives torch's results for everything that was wrong."""
    again = quantities(departure.context, other)
    wrong = {quantity: tensor for quantity, tensor in departure.wrong.items() if quantity[0] in (WEIGHTS, SLOTS)}
    return all(again[quantity].error <= explained(tensor.error) for quantity, tensor in wrong.items())


def steady(results: StepResults, departure: Departure) -> bool:
    """Whether JAX's optimiser seems to get the same multiple of torch's gradients at each step."""
    factors = [ratio_of(_given_to_optax(results, moment)) for moment in departure.moments]
    known = [factor for factor in factors if factor is not None]
    return len(known) == len(factors) and float(np.ptp(known)) <= SAME_RATIO * abs(known[0])


def _given_to_optax(results: StepResults, moment: Moment) -> list[tuple[Array, Array]]:
    """By parameter, torch's gradients and those that JAX's optimiser seems to get, if its state is linear in them."""
    context, judged = moment.context, moment.judged
    given = results.partners.of_gradients(context.torch.given.wide)
    pairs = []
    for leaf, (owner, key) in results.partners.slots.items():
        if key in LINEAR and (SLOTS, leaf) in judged and given[owner].any():
            torch_slot, jax_slot = judged[SLOTS, leaf].torch, judged[SLOTS, leaf].jax
            weight = _weight(given[owner], torch_slot, np.asarray(context.state[leaf], np.float64))
            if weight is None:
                return []
            pairs.append((given[owner], given[owner] + (jax_slot - torch_slot) / weight))
    return pairs


def _weight(gradient: Array, slot: Array, kept: Array) -> float | None:
    """The weight w of the gradient in slot = b kept + w gradient, by least squares."""
    columns = np.stack([kept.ravel(), gradient.ravel()], axis=1)
    coefficients, *_ = np.linalg.lstsq(columns, slot.ravel(), rcond=None)
    return (
        float(coefficients[1])
        if coefficients[1] and relative_difference(columns @ coefficients, slot.ravel(), size_of(slot)) <= SAME_RATIO
        else None
    )


def _cut(results: StepResults, departure: Departure, pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """The size at which JAX clips each number of the gradients, if it does."""
    raw = results.partners.of_gradients(departure.context.torch.gradients.wide)
    owners = [owner for leaf, (owner, key) in results.partners.slots.items() if key in LINEAR and raw[owner].any()]
    if len(owners) != len(pairs) or not pairs:
        return None
    most = max(size_of(jax_gradient) for _, jax_gradient in pairs)
    cut = all(
        relative_difference(np.clip(raw[owner], -most, most), jax_gradient, most) <= SAME_RATIO
        for owner, (_, jax_gradient) in zip(owners, pairs, strict=True)
    )
    return most if cut and any(size_of(raw[owner]) > most for owner in owners) else None


def _norm(gradients: Mapping[str, Array]) -> float:
    """The norm of all gradients together."""
    return float(np.sqrt(sum(float(np.sum(gradient**2)) for gradient in gradients.values())))


def _norms(results: StepResults, departure: Departure) -> tuple[float, float] | None:
    """The norms to which JAX and PyTorch clip; None if one of them does not clip to one norm, or both to the same."""
    norms = []
    for moment in departure.moments:
        factor = ratio_of(_given_to_optax(results, moment))
        if factor is None:
            return None
        given = _norm(moment.context.torch.given.wide)
        norms.append((factor * given, given, _norm(moment.context.torch.gradients.wide)))
    jax_norm, torch_norm, _ = (max(side_norms) for side_norms in zip(*norms, strict=True))
    clipped = all(
        abs(triple[side] - min(most, triple[2])) <= SAME_RATIO * triple[2]
        for triple in norms
        for side, most in ((0, jax_norm), (1, torch_norm))
    )
    both = norms[0][0] < (1 - SAME_RATIO) * norms[0][2] and norms[0][1] < (1 - SAME_RATIO) * norms[0][2]
    return (jax_norm, torch_norm) if clipped and both and abs(jax_norm - torch_norm) > SAME_RATIO * torch_norm else None


def of_schedule(results: StepResults, departure: Departure) -> Reason | None:
    """The learning rate, if the optimiser's state agrees and each parameter moves by the same factor further."""
    context = departure.context
    if any(kind == SLOTS for moment in departure.moments for kind, _ in moment.wrong):
        return None
    if not context.torch.rates:
        return None
    ratios: list[tuple[int, float]] = []
    for moment in departure.moments:
        moves = list(moment.moves.values())
        if not max(moment.context.torch.rates.values()) and not any(torch_move.any() for torch_move, _ in moves):
            continue  # PyTorch's rate is 0, as at the first step of a warm-up: no factor gives JAX's moves
        ratio = ratio_of(moves)
        left, error = (
            max(size_of(torch_move * by - jax_move) for torch_move, jax_move in moves) for by in (ratio or 0.0, 1.0)
        )
        if ratio is None or left > MUCH * error:
            return _of_rates(results, departure)
        ratios.append((moment.context.number, ratio))
    if not ratios:
        return Reason(SCHEDULE, (Fact("no rate"),))
    jax_rates = {step: max(results.rates[step - 1].values()) * ratio for step, ratio in ratios}
    why = _of_scheduler(results, jax_rates) or _of_warm_up(results, ratios)
    return Reason(SCHEDULE, (_of_rate(results, *ratios[0]), *why))


def _of_scheduler(results: StepResults, jax_rates: Mapping[int, float]) -> tuple[Fact, ...]:
    """The argument with which PyTorch's schedule gives JAX's rates at these steps, and its own at the steps before."""
    schedulers = [scheduler for scheduler in results.torch.objects if isinstance(scheduler, lr_scheduler.LRScheduler)]
    torch_rates = [max(rates.values(), default=0.0) for rates in results.rates[: max(jax_rates)]]
    wanted = np.array([jax_rates.get(step + 1, rate) for step, rate in enumerate(torch_rates)])
    return argument_of(schedulers[0], torch_rates, wanted, min(jax_rates) - 1) if len(schedulers) == 1 else ()


def _of_rates(results: StepResults, departure: Departure) -> Reason | None:
    """Other learning rates for some parameters, if the moves of each parameter are the same multiple at all steps."""
    each: list[dict[str, float]] = []
    for moment in departure.moments:
        ratios = {name: ratio_of([moves]) for name, moves in moment.moves.items() if moves[0].any()}
        each.append({name: ratio for name, ratio in ratios.items() if ratio is not None})
        if len(each[-1]) < len(ratios):
            return None
    if len(each) < FEWEST_RATES or any(step_ratios.keys() != each[0].keys() for step_ratios in each):
        return None
    if any(abs(step_ratios[name] / each[0][name] - 1) > SAME_RATIO for step_ratios in each for name in step_ratios):
        return None
    rates = departure.context.torch.rates
    both: dict[str, tuple[float, float]] = {}
    for name, ratio in each[0].items():
        owner = results.partners.owners(name)[0]
        if owner in rates:
            both[owner] = rates[owner], rates[owner] * ratio
    wrong = {owner: pair for owner, pair in both.items() if abs(pair[1] / pair[0] - 1) > SAME_RATIO}
    if not wrong:
        return None
    owner, (torch_rate, jax_rate) = next(iter(wrong.items()))
    alike = [name for name, pair in wrong.items() if np.allclose(pair, (torch_rate, jax_rate), rtol=SAME_RATIO)]
    named = " and ".join(alike[:2]) + (f" and {len(alike) - 2} more" if len(alike) > 2 else "")
    fact = Fact("rate of", named, torch=f"{torch_rate:.6g}", jax=f"{jax_rate:.6g}")
    return Reason(OPTIMISER, (fact, *_of_order(list(both.values()))))


def _of_order(rates: Sequence[tuple[float, float]]) -> tuple[Fact, ...]:
    """What it means that both sides have the same learning rates for other parameters; nothing if they do not."""
    pairs = sorted({(float(f"{torch_rate:.4g}"), float(f"{jax_rate:.4g}")) for torch_rate, jax_rate in rates})
    torch_rates, jax_rates = zip(*pairs, strict=True)
    if len(set(torch_rates)) < len(torch_rates) or sorted(torch_rates) != sorted(jax_rates):
        return ()
    return (Fact("rates", jax="in reverse order" if list(jax_rates) == sorted(jax_rates, reverse=True) else "exchanged"),)


def _of_warm_up(results: StepResults, ratios: Sequence[tuple[int, float]]) -> tuple[Fact, ...]:
    """What it means that one side's rate grows by the same number at each step, and the other's by another one."""
    first = ratios[0][0]
    if first < 2 or [step for step, _ in ratios] != list(range(first, first + len(ratios))) or len(ratios) < FEWEST_RATES:
        return ()
    torch_rates = [max(results.rates[step - 1].values()) for step in range(first - 1, first + len(ratios))]
    jax_rates = [torch_rates[0], *(rate * ratio for rate, (_, ratio) in zip(torch_rates[1:], ratios, strict=True))]
    grows = [np.diff(rates) for rates in (torch_rates, jax_rates)]
    steady = [bool(growth[0] > 0 and np.allclose(growth, growth[0], rtol=1e-3)) for growth in grows]
    apart = float(grows[1][0] - grows[0][0])
    if not (grows[0][0] > 0 and grows[1][0] > 0) or abs(apart) <= 1e-3 * grows[0][0] or not steady[apart < 0]:
        return ()
    which = "longer" if apart < 0 else "shorter"
    return (Fact("warm-up", which, torch=f"{grows[0][0]:.6g}", jax=f"{grows[1][0]:.6g}"),)


def _of_rate(results: StepResults, step: int, ratio: float) -> Fact:
    """A learning rate of JAX that is ``ratio`` times PyTorch's at a step."""
    rate = max(results.rates[step - 1].values())
    other = rate * ratio
    digits = 6 if abs(ratio - 1) > SAME_RATIO else 9
    where = ""
    for by, which in ((-1, "before"), (1, "after")):
        number = step - 1 + by
        if 0 <= number < len(results.rates) and results.rates[number]:
            near = max(results.rates[number].values())
            if abs(other - near) <= SAME_RATIO * near and abs(near - rate) > SAME_RATIO * rate:
                where += f": that of the step {which}"
    return Fact("rate", torch=f"{rate:.{digits}g}", jax=f"{other:.{digits}g}", where=where)
