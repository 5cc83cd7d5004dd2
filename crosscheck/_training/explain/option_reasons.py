"""The reason of another update: an option of torch's optimiser that would give JAX's results."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from itertools import islice
from typing import Any

import numpy as np
import torch

from crosscheck._explain.facts import Fact
from crosscheck._explain.names import first_of
from crosscheck._frameworks.programs import Array
from crosscheck._shadow.torch.lift import TorchLifted
from crosscheck._training.optimizers.optimizer_calls import calls
from crosscheck._training.optimizers.optimizer_edits import edits
from crosscheck._training.optimizers.optimizer_judge import MOST_TRIED, fitting, options_of, other_values, said
from crosscheck._training.steps.departures import Departure, Moment, StepResults
from crosscheck._training.steps.quantities import GRADIENTS, SLOTS, WEIGHTS, Context, relative_difference
from crosscheck._training.steps.reason import CLIPPING, OPTIMISER, SAME_RATIO, Reason, as_sum, explained, ratio_of

CHOSEN = "chosen by crosscheck"
"""The key of a group of parameters whose options are changed."""
FEW = 3
"""Options are tried on so many arrays first: a model has hundreds of arrays, and there are hundreds of options to try."""


def of_optimizer(results: StepResults, departure: Departure) -> Reason:
    """The options of torch's optimiser that would give JAX's results, changed one or two at a time."""
    if len(results.torch.optimizers) != 1 or departure.cause == "special":
        return Reason(OPTIMISER)
    with results.torch.unchanged():
        trial = _Trial(results, departure)
        if trial.sums():
            return Reason(CLIPPING, (Fact("accumulated"),))
        times = trial.times()
        # a factor that is no whole number may be that of an option, such as dampening
        facts = () if times and as_sum(times) else trial.facts()
        if times is not None and not facts and abs(times) <= SAME_RATIO:
            return Reason(OPTIMISER, (Fact("no step"),))
        if times is not None and not facts:
            return Reason(GRADIENTS, (Fact("given", jax=f"{times:.6g}", near=as_sum(times)),))
        return Reason(OPTIMISER, facts)


class _Trial:
    """Runs torch's optimiser on the gradients of some steps again, with other options."""

    def __init__(self, results: StepResults, departure: Departure) -> None:
        self.results, self.steps = results, results.torch
        self.moments = departure.moments
        self.optimizer = self.steps.optimizers[0]
        self.summed, self.factor = False, 1.0
        self.limit = explained(self.error((), self.moments))

    def sums(self) -> bool:
        """Whether both would agree if torch's optimiser got the sum of all gradients so far."""
        self.summed = True
        try:
            return self.error((), self.moments) <= self.limit
        finally:
            self.summed = False

    def times(self) -> float | None:
        """The factor of the gradients that would make both agree, as of a sum in place of a mean; None if none does."""
        both = []
        try:
            for self.factor in (1.0, 2.0):  # a step of SGD is linear in its gradients
                weights, _ = self._made(self.moments[0].context, (), None, set(self.steps.parameters), None)
                both.append(self.results.partners.of_weights({**self.moments[0].context.before, **weights}))
        except Exception:  # the optimiser may raise anything
            return None
        finally:
            self.factor = 1.0
        wrong = [name for kind, name in self.moments[0].wrong if kind == WEIGHTS and name in both[0]]
        judged = self.moments[0].judged
        pairs = [(both[1][name] - both[0][name], judged[WEIGHTS, name].jax - both[0][name]) for name in wrong]
        ratio = ratio_of(pairs)
        if ratio is None:
            return None
        self.factor = 1 + ratio
        near = min((round(self.factor), 1 / max(round(1 / self.factor), 1)), key=lambda factor: abs(factor - self.factor))
        if abs(near - self.factor) <= SAME_RATIO * abs(self.factor):
            self.factor = near
        try:
            return self.factor if self.error((), self.moments) <= self.limit else None
        finally:
            self.factor = 1.0

    def facts(self) -> tuple[Fact, ...]:
        """The change that would make both agree; nothing if none does."""
        for facts, edit in edits(self.optimizer):
            if self.error((), self.moments, edit=edit) <= self.limit:
                return facts
        few = self._few()
        changes = fitting(
            dict(options_of(self.optimizer)),
            self.limit,
            lambda changes: self.error(changes, self.moments[:1], few=few),
            lambda changes: self.error(changes, self.moments) <= self.limit,
        )
        return said(changes, self.optimizer.param_groups[0]) if changes else self._in_one_group()

    def _few(self) -> list[str]:
        """The smallest of JAX's parameters that are wrong, or whose state is."""
        partners = self.results.partners
        wrong = {partners.parameter(name) for kind, name in self.moments[0].wrong if kind in (WEIGHTS, SLOTS)}
        return sorted(wrong, key=lambda leaf: (partners.places[leaf].size, leaf))[:FEW]

    def _in_one_group(self) -> tuple[Fact, ...]:
        """The same for an option of one group of parameters, if there are several."""
        groups = self.optimizer.param_groups
        for number in range(len(groups) if len(groups) > 1 else 0):
            options = {name: groups[number][name] for name, _ in options_of(self.optimizer)}
            for change in other_values(options):
                if self.error([change], self.moments, number) <= self.limit:
                    return said([change], groups[number], f"for its group {number + 1} of parameters")
        return self._of_wrong() or self._of_calls()

    def _of_wrong(self) -> tuple[Fact, ...]:
        """The same for those parameters alone that are wrong, as where JAX's weight decay leaves out biases."""
        partners = self.results.partners
        # a bias that begins at 0 is not decayed at the first step
        every = [quantity for moment in self.moments for quantity in moment.wrong]
        wrong = {partners.parameter(name) for kind, name in every if kind in (WEIGHTS, SLOTS)}
        names = [name for leaf in sorted(wrong) for name in partners.owners(leaf)]
        if not 0 < len(names) < len(self.steps.parameters):
            return ()
        few, groups = self._few(), self.optimizer.param_groups
        chosen = {self.steps.parameters[name] for name in names}
        number = next((k for k, group in enumerate(groups) if chosen & set(group["params"])), 0)
        options = {name: groups[number][name] for name, _ in options_of(self.optimizer)}
        others = [(name, group[name]) for group in groups for name in options if group[name] != options[name]]
        for change in dict.fromkeys((*others, *other_values(options))):
            if self._fits(few, [change], frozenset(names)):
                return said([change], groups[number], f"for {first_of(names)}")
        return ()

    def _of_calls(self) -> tuple[Fact, ...]:
        """A call in the step of PyTorch's optimiser that JAX forgets, or one of its numbers."""
        context, few = self.moments[0].context, self._few()
        owners = {name for leaf in few for name in self.results.partners.owners(leaf)}
        every = calls(self.optimizer, lambda edit: self._made(context, (), None, owners, edit))
        return next(((fact,) for fact, edit in islice(every, MOST_TRIED) if self._fits(few, edit=edit)), ())

    def _fits(
        self,
        few: Sequence[str],
        changes: Sequence[tuple[str, Any]] = (),
        group: frozenset[str] | None = None,
        edit: Callable[[Any], None] | None = None,
    ) -> bool:
        """Whether both would agree: for a few arrays at the first step, then for all."""
        screened = self.error(changes, self.moments[:1], group, few, edit) <= self.limit
        return screened and self.error(changes, self.moments, group, edit=edit) <= self.limit

    def error(
        self,
        changes: Sequence[tuple[str, Any]],
        moments: Sequence[Moment],
        group: int | frozenset[str] | None = None,
        few: Sequence[str] = (),
        edit: Callable[[Any], None] | None = None,
    ) -> float:
        """The difference between torch, with these options in one group of parameters or in all, and JAX at these steps.

        ``edit`` changes torch's optimiser in another way.
        If ``few`` names parameters of JAX, the others stay as they are, and are not looked at.
        """
        largest = 0.0
        partners = self.results.partners
        owners = {name for leaf in few for name in partners.owners(leaf)} or set(self.steps.parameters)
        for moment in moments:
            try:
                weights, slots = self._made(moment.context, changes, group, owners, edit)
            except Exception:  # the optimiser may raise anything at an option
                return np.inf
            made = partners.of_weights({**moment.context.before, **weights}) | partners.of_slots(slots)
            for (kind, name), tensor in moment.judged.items():
                if kind in (WEIGHTS, SLOTS) and name in made and (not few or partners.parameter(name) in few):
                    largest = max(largest, relative_difference(made[name], tensor.jax, tensor.size))
        return largest

    def _made(
        self,
        context: Context,
        changes: Sequence[tuple[str, Any]],
        chosen: int | frozenset[str] | None,
        owners: Set[str],
        edit: Callable[[Any], None] | None,
    ) -> tuple[dict[str, Array], dict[tuple[str, str], Array]]:
        """The parameters and the optimiser's state after the step, of these parameters of torch."""
        self.steps.restore(context.torch_state)
        given = dict(context.torch.given.wide)
        if self.summed:
            given = {name: gradient + context.summed.get(name, 0.0) for name, gradient in given.items()}
        given = {name: self.factor * gradient for name, gradient in given.items()}
        names = [name for name in self.steps.parameters if name in given and name in owners]
        groups, step = self.optimizer.param_groups, self.optimizer.step
        held = [dict(group) for group in groups]
        if isinstance(chosen, frozenset):
            self.optimizer.param_groups = [part for group in groups for part in self._split(group, chosen)]
        if edit is not None:
            edit(self.optimizer)
        slots: list[tuple[str, str]] = []

        def program(*gradients: Any) -> list[Any]:
            for name, parameter in self.steps.parameters.items():
                parameter.grad = gradients[names.index(name)] if name in names else None
            for number, group in enumerate(self.optimizer.param_groups):
                if chosen in (None, number) or group.get(CHOSEN):
                    group.update(changes)
            self.optimizer.step()
            kept = {slot: tensor for slot, tensor in self.steps.slots() if slot[0] in owners}
            slots[:] = kept
            return [*(self.steps.parameters[name].detach() for name in names), *kept.values()]

        try:
            with torch.no_grad():
                wide = TorchLifted(program, self.steps.dtype).run([given[name] for name in names])
        finally:
            self.optimizer.step, self.optimizer.param_groups = step, groups
            for group, options_held in zip(self.optimizer.param_groups, held, strict=True):
                group.update(options_held)
        return dict(zip(names, wide, strict=False)), dict(zip(slots, wide[len(names) :], strict=True))

    def _split(self, group: dict[str, Any], chosen: Set[str]) -> list[dict[str, Any]]:
        """A group of parameters in two: the others, and the chosen ones."""
        names = self.steps.names
        parts = [
            [parameter for parameter in group["params"] if (names.get(parameter) in chosen) is among]
            for among in (False, True)
        ]
        return [{**group, "params": part, CHOSEN: among} for among, part in enumerate(parts) if part]
