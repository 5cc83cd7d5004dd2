"""The reason of a departure: the data, the model, the loss, clipping, the schedule or the optimiser; what differs."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._models import engine
from crosscheck._models.faults import faults
from crosscheck._records.errors import UsageError
from crosscheck._shadow.torch_lift import TorchLifted
from crosscheck._training.data import other_data
from crosscheck._training.jax_steps import LOSS, JaxStep
from crosscheck._training.optimizer_judge import MOST_CHANGES, MOST_TRIED, NEAREST, options_of, other_values
from crosscheck._training.quantities import GRADIENTS, SLOTS, STATISTICS, WEIGHTS, Context, far, quantities, size_of
from crosscheck._training.steps import CONSTANT, FLOOR, Departure, Found, Moment, with_torchs_gradients

DATA, MODEL, CLIPPING, SCHEDULE, OPTIMISER = "data", "model", "clipping", "schedule", "optimiser"
LINEAR = ("exp_avg", "momentum_buffer")
"""The state of torch's optimisers that is linear in the gradients."""
SAME_RATIO = 1e-4
"""Ratios count as equal if their relative difference is below this; one so near to a whole number counts as that."""
ROUGHLY = 0.3
"""A factor that differs from 1 by a millionth is known only to this share of the difference, with constants in float32."""
NEARLY = 1e-5
MUCH = 0.1
"""An explanation must leave an error below this, and at most this share of the difference."""
FEW = 3
"""Options are tried on so many arrays first: a model has hundreds of arrays, and there are hundreds of options to try."""
ADDED = 1e-6
"""The number that torch adds to a norm before it divides by it; optax does not."""


@dataclass(frozen=True)
class Reason:
    """The part of a training that is at fault, and what differs; empty if that was not found."""

    stage: str
    words: str


def reason(found: Found, departure: Departure, jax_batches: Sequence[Inputs], seed: int) -> Reason:
    """Find out why the two differ."""
    if departure.cause == "inaccurate":
        return Reason(departure.stage if departure.stage in (LOSS, GRADIENTS, STATISTICS) else OPTIMISER, "")
    if departure.stage == LOSS:
        other = other_data(departure, jax_batches)
        return Reason(DATA, other) if other else _of_loss(departure) or _of_model(found, departure, seed)
    if departure.stage == GRADIENTS:
        return Reason(GRADIENTS, _of_gradients(departure))
    if departure.stage == STATISTICS:
        return Reason(STATISTICS, _of_statistics(found, departure))
    sums = [found.partners.sums.get(found.partners.parameter(name)) for _, name in departure.wrong]
    if all(sums):
        names = " + ".join(next(one for one in sums if one is not None).names)
        return Reason(OPTIMISER, f"JAX trains the sum of {names}, PyTorch both of them: together they move twice as far")
    clipping = _of_clipping(found, departure)
    if clipping is not None:
        # an option, such as dampening, may change gradients as clipping does, but by the same factor at each step
        option = _of_optimizer(found, departure) if _steady(found, departure) else None
        return option if option is not None and option.words else clipping
    return _of_schedule(found, departure) or _of_optimizer(found, departure)


# the loss and the model


def _of_loss(departure: Departure) -> Reason | None:
    context = departure.context
    ratio = context.jax.loss / context.torch.loss[1] if context.torch.loss[1] else 0.0
    for value, words in ((ratio, "{} times PyTorch's"), (1 / ratio if ratio else 0.0, "PyTorch's divided by {}")):
        whole = round(value) if np.isfinite(value) else 0
        if whole > 1 and abs(value / whole - 1) <= FLOOR:
            sizes = [leaf.shape[0] for leaf in context.jax_batch.leaves if leaf.ndim]
            sizes += [leaf.size for leaf in context.jax_batch.leaves]
            as_sum = ", as a sum is of a mean" if whole in sizes else ""
            return Reason(LOSS, f"JAX's loss is {words.format(whole)}{as_sum}")
    return None


def _of_model(found: Found, departure: Departure, seed: int) -> Reason:
    """The layer that ``compare_models`` finds in the forward pass of that step."""
    context = departure.context
    kept = found.torch.state()
    found.torch.restore(context.torch_state)
    module = found.torch.forward()
    used = found.jax.loss_program(context.jax_batch)[0].names
    params = {name: context.state[name] for name in used}
    loss = found.jax.loss(context.state)
    try:
        compared = engine.run(module, loss, params, context.batch, context.jax_batch, order=0, seed=seed)
        located = faults(compared)
    except UsageError:
        return Reason(MODEL, "")
    finally:
        found.torch.restore(kept)
    if not located:
        return Reason(MODEL, "")
    first = replace(located[0], explanation=_named(located[0].explanation, used))
    where = first.torch
    more = f"; and in {len(located) - 1} more places" if len(located) > 1 else ""
    if not where:
        return Reason(LOSS, f"{first.explanation} ({first.operation}){more}")
    return Reason(MODEL, f"first in {where}: {first.explanation}{more}")


def _named(words: str, names: Sequence[str]) -> str:
    """The text with JAX's names of arrays: in the compared tree they are keys, in brackets."""
    for name in names:
        words = words.replace(f"[{name!r}]", name)
    return words


# gradients and statistics


def _of_gradients(departure: Departure) -> str:
    wrong = {name: one for (kind, name), one in departure.wrong.items() if kind == GRADIENTS}
    nothing = [name for name, one in wrong.items() if not one.theirs.any()]
    if nothing and len(nothing) == len(wrong):
        return f"JAX's are zero in {len(nothing)} parameters, as with stop_gradient, and PyTorch's are not"
    if wrong and all(not one.mine.any() for one in wrong.values()):
        return f"PyTorch's are zero in {len(wrong)} parameters, as with detach(), and JAX's are not"
    ratio = _ratio([(one.mine, one.theirs) for one in wrong.values()])
    if ratio is not None and abs(ratio - 1) > SAME_RATIO:
        return f"JAX's are {ratio:.6g} times PyTorch's"
    return f"in {len(wrong)} parameters, though the loss is the same"


def _of_statistics(found: Found, departure: Departure) -> str:
    """The momentum, or another variance, that would give JAX's numbers."""
    context = departure.context
    before = found.partners.of_weights(context.before)
    pairs = [(one.mine - before[name], one.theirs - before[name]) for (_, name), one in departure.wrong.items()]
    if all(not theirs.any() for _, theirs in pairs):
        return "JAX leaves them as they are, as in evaluation, and PyTorch changes them"
    if all(not mine.any() for mine, _ in pairs):
        return "PyTorch leaves them as they are, as in evaluation, and JAX changes them"
    if (ratio := _ratio(pairs)) is not None:
        return f"JAX's move {ratio:.6g} times as far as PyTorch's: the momentum is another"
    if ratios := _per_tensor(pairs):
        return f"JAX's move by another factor in each, from {min(ratios):.6g} to {max(ratios):.6g}"
    return _of_variance(found, departure)


def _of_variance(found: Found, departure: Departure) -> str:
    """Whether JAX divides by n, where PyTorch divides by n - 1."""
    counts = set()
    for (_, leaf), one in departure.wrong.items():
        (name, *_) = found.partners.owners(leaf)
        momentum = getattr(found.torch.model.get_submodule(name.rpartition(".")[0]), "momentum", None)
        if not isinstance(momentum, float):
            return ""
        kept = (1 - momentum) * found.partners.of_weights(departure.context.before)[leaf]
        ratio = _ratio([(one.mine - kept, one.theirs - kept)])
        if ratio is None or not 0 < ratio < 1:
            return ""
        count = 1 / (1 - ratio)
        if abs(count / round(count) - 1) > SAME_RATIO:
            return ""
        counts.add(round(count))
    which = ", ".join(f"n = {count:,}" for count in sorted(counts))
    return f"JAX divides the variance by n, PyTorch by n - 1, with {which}"


def _per_tensor(pairs: Sequence[tuple[Array, Array]]) -> list[float]:
    ratios = [_ratio([one]) for one in pairs]
    return [one for one in ratios if one is not None] if None not in ratios else []


# the update


def _of_clipping(found: Found, departure: Departure) -> Reason | None:
    """The change of the gradients between the backward pass and the optimiser."""
    context = departure.context
    mine = context.torch
    names = [name for name in mine.gradients.wide if name in mine.given.wide]
    pairs = [(mine.gradients.wide[name], mine.given.wide[name]) for name in names]
    ratio = _ratio(pairs)
    theirs = _given_to_optax(found, departure.moments[0])
    factor = _ratio(theirs)
    if factor is not None and abs(factor - 1) <= CONSTANT:
        return None
    if factor is None and (most := _cut(found, departure, theirs)) is not None:
        return Reason(CLIPPING, f"JAX cuts each number of the gradients off at {most:.6g}, PyTorch does not")
    # torch gives its optimiser unchanged gradients
    if not any(far(one, other, size_of(one)) > FLOOR for one, other in pairs):
        if factor is None:
            return None
        return Reason(CLIPPING, f"JAX gives its optimiser {factor:.6g} times PyTorch's gradients, as clipping does")
    if factor is not None and ratio is not None and abs(factor * ratio - 1) > SAME_RATIO:
        words = f"the gradients that JAX gives its optimiser are {factor:.9g} times those that PyTorch gives its own"
        norm = float(np.sqrt(sum(float(np.sum(raw**2)) for raw, _ in pairs)))
        added = abs((factor - 1) * norm / ADDED - 1) <= ROUGHLY
        return Reason(CLIPPING, words + (f": PyTorch adds {ADDED:g} to the norm that it divides by" if added else ""))
    other = with_torchs_gradients(found, context, mine.given.wide)
    if other is None or not _right(found, departure, other):
        return None
    what = "other gradients than those of this step's backward passes, as without zero_grad()"
    if ratio is not None:
        what = f"{ratio:.6g} times the gradients, as clipping does"
    return Reason(CLIPPING, f"PyTorch gives its optimiser {what}, and JAX those themselves")


def _right(found: Found, departure: Departure, other: JaxStep) -> bool:
    """Whether a step of JAX gives torch's results for everything that was wrong."""
    again = quantities(found.partners, departure.context, other)
    wrong = {quantity: one for quantity, one in departure.wrong.items() if quantity[0] in (WEIGHTS, SLOTS)}
    return all(again[quantity].error <= _explained(one.error) for quantity, one in wrong.items())


def _explained(error: float) -> float:
    """The largest error that an explanation may leave."""
    return min(NEARLY, MUCH * error)


def _steady(found: Found, departure: Departure) -> bool:
    """Whether JAX's optimiser seems to get the same multiple of torch's gradients at each step."""
    factors = [_ratio(_given_to_optax(found, moment)) for moment in departure.moments]
    known = [one for one in factors if one is not None]
    return len(known) == len(factors) and float(np.ptp(known)) <= SAME_RATIO * abs(known[0])


def _given_to_optax(found: Found, moment: Moment) -> list[tuple[Array, Array]]:
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
    return float(found[1]) if found[1] and far(columns @ found, mine.ravel(), size_of(mine)) <= SAME_RATIO else None


def _cut(found: Found, departure: Departure, pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """The size at which JAX clips each number of the gradients, if it does."""
    raw = found.partners.of_gradients(departure.context.torch.gradients.wide)
    owners = [owner for leaf, (owner, key) in found.partners.slots.items() if key in LINEAR and raw[owner].any()]
    if len(owners) != len(pairs) or not pairs:
        return None
    most = max(size_of(theirs) for _, theirs in pairs)
    cut = all(
        far(np.clip(raw[owner], -most, most), theirs, most) <= SAME_RATIO
        for owner, (_, theirs) in zip(owners, pairs, strict=True)
    )
    return most if cut and any(size_of(raw[owner]) > most for owner in owners) else None


def _of_schedule(found: Found, departure: Departure) -> Reason | None:
    """The learning rate, if the optimiser's state agrees and each parameter moves by the same factor further."""
    context = departure.context
    if any(kind == SLOTS for moment in departure.moments for kind, _ in moment.wrong):
        return None
    ratios = []
    for moment in departure.moments:
        judged = quantities(found.partners, moment.context, moment.made)
        before = found.partners.of_weights(moment.context.before)
        weights = {name: one for (kind, name), one in judged.items() if kind == WEIGHTS}
        moves = [(one.mine - before[name], one.theirs - before[name]) for name, one in weights.items()]
        ratio = _ratio(moves)
        left, error = (max(size_of(mine * by - theirs) for mine, theirs in moves) for by in (ratio or 0.0, 1.0))
        ratios.append(ratio if left <= MUCH * error else None)
    ratio = ratios[0]
    if ratio is None or None in ratios or not context.torch.rates:
        return None
    rate = max(context.torch.rates.values())
    other = rate * ratio
    digits = 6 if abs(ratio - 1) > SAME_RATIO else 9
    words = f"JAX's learning rate is {other:.{digits}g}, PyTorch's {rate:.{digits}g}"
    for by, which in ((-1, "before"), (1, "after")):
        number = context.number - 1 + by
        if 0 <= number < len(found.rates) and found.rates[number]:
            near = max(found.rates[number].values())
            if abs(other - near) <= SAME_RATIO * near and abs(near - rate) > SAME_RATIO * rate:
                words += f": that of the step {which}"
    return Reason(SCHEDULE, words)


def _of_optimizer(found: Found, departure: Departure) -> Reason:
    """The options of torch's optimiser that would give JAX's results, changed one or two at a time."""
    if len(found.torch.optimizers) != 1 or departure.cause == "special":
        return Reason(OPTIMISER, "")
    kept = found.torch.state()
    try:
        trial = _Trial(found, departure)
        if trial.sums():
            return Reason(CLIPPING, "JAX gives its optimiser the sum of all gradients so far, PyTorch those of this step")
        return Reason(OPTIMISER, trial.words())
    finally:
        found.torch.restore(kept)


class _Trial:
    """Runs torch's optimiser on the gradients of some steps again, with other options."""

    def __init__(self, found: Found, departure: Departure) -> None:
        self.found, self.steps = found, found.torch
        self.moments = departure.moments
        self.theirs = [quantities(found.partners, one.context, one.made) for one in self.moments]
        self.optimizer = self.steps.optimizers[0]
        self.summed = False
        self.limit = _explained(self.error((), self.moments))

    def sums(self) -> bool:
        """Whether both would agree if torch's optimiser got the sum of all gradients so far."""
        self.summed = True
        try:
            return self.error((), self.moments) <= self.limit
        finally:
            self.summed = False

    def words(self) -> str:
        """The change that would make both agree; empty if none does."""
        changes = dict(options_of(self.optimizer))
        few = self._few()
        nearest: list[tuple[tuple[str, Any], ...]] = [()]
        tried = 0
        for _ in range(MOST_CHANGES):
            errors: dict[tuple[tuple[str, Any], ...], float] = {}
            for base in nearest:
                for change in other_values({name: one for name, one in changes.items() if name not in dict(base)}):
                    tried += 1
                    if tried > MOST_TRIED:
                        return self._in_one_group()
                    errors[*base, change] = self.error((*base, change), self.moments[:1], few=few)
            for best in sorted(errors, key=errors.__getitem__)[:NEAREST]:
                if errors[best] <= self.limit and self.error(best, self.moments) <= self.limit:
                    return self._said(best)
            nearest = sorted(errors, key=errors.__getitem__)[:NEAREST]
        return self._in_one_group()

    def _few(self) -> list[str]:
        """The smallest of JAX's parameters that are wrong, or whose state is."""
        partners = self.found.partners
        wrong = {partners.parameter(name) for kind, name in self.moments[0].wrong if kind in (WEIGHTS, SLOTS)}
        return sorted(wrong, key=lambda leaf: (partners.places[leaf].size, leaf))[:FEW]

    def _in_one_group(self) -> str:
        """The same for an option of one group of parameters, if there are several."""
        groups = self.optimizer.param_groups
        for number in range(len(groups) if len(groups) > 1 else 0):
            options = {name: groups[number][name] for name, _ in options_of(self.optimizer)}
            for change in other_values(options):
                if self.error([change], self.moments, number) <= self.limit:
                    return self._said([change], number)
        return ""

    def _said(self, changes: Sequence[tuple[str, Any]], group: int | None = None) -> str:
        own = self.optimizer.param_groups[group or 0]
        said = "; ".join(f"{name}: {value!r} in JAX, {own[name]!r} in PyTorch" for name, value in changes)
        return said if group is None else f"{said}, for its group {group + 1} of parameters"

    def error(
        self,
        changes: Sequence[tuple[str, Any]],
        moments: Sequence[Moment],
        group: int | None = None,
        few: Sequence[str] = (),
    ) -> float:
        """The difference between torch, with these options in one group of parameters or in all, and JAX at these steps.

        If ``few`` names parameters of JAX, the others stay as they are, and are not looked at.
        """
        largest = 0.0
        partners = self.found.partners
        owners = {name for leaf in few for name in partners.owners(leaf)} or set(self.steps.parameters)
        for moment, theirs in zip(moments, self.theirs, strict=False):
            try:
                weights, slots = self._made(moment.context, changes, group, owners)
            except Exception:  # the optimiser may raise anything at an option
                return np.inf
            made = partners.of_weights({**moment.context.before, **weights}) | partners.of_slots(slots)
            for (kind, name), one in theirs.items():
                if kind in (WEIGHTS, SLOTS) and name in made and (not few or partners.parameter(name) in few):
                    largest = max(largest, far(made[name], one.theirs, one.size))
        return largest

    def _made(
        self, context: Context, changes: Sequence[tuple[str, Any]], chosen: int | None, owners: Set[str]
    ) -> tuple[dict[str, Array], dict[tuple[str, str], Array]]:
        """The parameters and the optimiser's state after the step, of these parameters of torch."""
        self.steps.restore(context.torch_state)
        given = dict(context.torch.given.wide)
        if self.summed:
            given = {name: one + context.summed.get(name, 0.0) for name, one in given.items()}
        names = [name for name in self.steps.parameters if name in given and name in owners]
        held = [dict(group) for group in self.optimizer.param_groups]
        slots: list[tuple[str, str]] = []

        def program(*gradients: Any) -> list[Any]:
            for name, one in self.steps.parameters.items():
                one.grad = gradients[names.index(name)] if name in names else None
            for number, group in enumerate(self.optimizer.param_groups):
                if chosen in (None, number):
                    group.update(changes)
            self.optimizer.step()
            kept = {slot: one for slot, one in self.steps.slots() if slot[0] in owners}
            slots[:] = kept
            return [*(self.steps.parameters[name].detach() for name in names), *kept.values()]

        try:
            with torch.no_grad():
                wide = TorchLifted(program, self.steps.dtype).run([given[name] for name in names])
        finally:
            for group, options_held in zip(self.optimizer.param_groups, held, strict=True):
                group.update(options_held)
        return dict(zip(names, wide, strict=False)), dict(zip(slots, wide[len(names) :], strict=True))


def _ratio(pairs: Sequence[tuple[Array, Array]]) -> float | None:
    """The factor from the first to the second of each pair, if all have the same; otherwise None."""
    if not pairs:
        return None
    a, b = (np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
    square = float(a @ a)
    if not square or not np.isfinite(square):
        return None
    ratio = float(a @ b) / square
    return ratio if ratio and far(ratio * a, b, size_of(b)) <= SAME_RATIO else None
