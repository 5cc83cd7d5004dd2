"""The reason of a departure: the data, the model, the loss, clipping, the schedule or the optimiser; what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from crosscheck._explain.facts import Fact, digits
from crosscheck._explain.names import first_of, listed
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._models import engine
from crosscheck._models.explain.faults import faults
from crosscheck._records.errors import UsageError
from crosscheck._training.explain.average_reasons import of_average
from crosscheck._training.explain.data import ignored_data, other_data
from crosscheck._training.explain.microbatches import of_parts
from crosscheck._training.explain.option_reasons import of_optimizer
from crosscheck._training.explain.update_reasons import of_clipping, of_schedule, steady
from crosscheck._training.steps.departures import Departure, StepResults
from crosscheck._training.steps.jax_steps import LOSS, Named
from crosscheck._training.steps.quantities import GRADIENTS, STATISTICS, WEIGHTS, JudgedTensor, relative_difference, size_of
from crosscheck._training.steps.reason import AVERAGE, DATA, MODEL, OPTIMISER, SAME_RATIO, Reason, ratio_of
from crosscheck._training.steps.steps import FLOOR


def reason(results: StepResults, departure: Departure, jax_batches: Sequence[Inputs], seed: int) -> Reason:
    """Find out why the two differ."""
    if departure.cause == "inaccurate":
        by_itself = departure.stage in (LOSS, GRADIENTS, STATISTICS, AVERAGE)
        return Reason(departure.stage if by_itself else OPTIMISER)
    if departure.stage == LOSS:
        if other := other_data(departure, jax_batches):
            return Reason(DATA, other)
        if ignored := ignored_data(results, departure, jax_batches):
            return Reason(MODEL, ignored)
        if of_loss := _of_loss(departure):
            return of_loss
        if parts := of_parts(results, departure):
            return Reason(LOSS, parts)
        return _of_model(results, departure, seed)
    if departure.stage == GRADIENTS:
        return Reason(GRADIENTS, (_of_gradients(results, departure),))
    if departure.stage == STATISTICS:
        return Reason(STATISTICS, _of_statistics(results, departure))
    if departure.stage == AVERAGE:
        return Reason(AVERAGE, of_average(results, departure))
    if frozen := _frozen(results, departure):
        return Reason(OPTIMISER, (frozen,))
    sums = [results.partners.sums.get(results.partners.parameter(name)) for _, name in departure.wrong]
    if all(sums):
        names = " + ".join(next(addition for addition in sums if addition is not None).names)
        return Reason(OPTIMISER, (Fact("summed", names),))
    clipping = of_clipping(results, departure)
    if clipping is not None:
        # an option, such as dampening, may change gradients as clipping does, but by the same factor at each step
        option = of_optimizer(results, departure) if steady(results, departure) else None
        return option if option is not None and option.facts else clipping
    return of_schedule(results, departure) or of_optimizer(results, departure)


def _frozen(results: StepResults, departure: Departure) -> Fact | None:
    """That JAX changes parameters which PyTorch leaves as they are, if it changes no others otherwise."""
    wrong = [name for kind, name in departure.wrong if kind == WEIGHTS]
    if (
        not wrong
        or len(wrong) < len(departure.wrong)
        or any(results.partners.is_trained(leaf, results.trained) for leaf in wrong)
    ):
        return None
    return Fact("frozen", first_of([owner for leaf in wrong for owner in results.partners.owners(leaf)]))


# the loss and the model


def _of_loss(departure: Departure) -> Reason | None:
    context = departure.context
    ratio = context.jax.loss / context.torch.loss[1] if context.torch.loss[1] else 0.0
    for value, kind in ((ratio, "loss times"), (1 / ratio if ratio else 0.0, "loss divided")):
        whole = round(value) if np.isfinite(value) else 0
        if whole > 1 and abs(value / whole - 1) <= FLOOR:
            sizes = [leaf.shape[0] for leaf in context.jax_batch.leaves if leaf.ndim]
            sizes += [leaf.size for leaf in context.jax_batch.leaves]
            return Reason(LOSS, (Fact(kind, jax=str(whole), near="as a sum is of a mean" if whole in sizes else ""),))
    return None


def _of_model(results: StepResults, departure: Departure, seed: int) -> Reason:
    """The layer that ``compare_models`` finds in the forward pass of that step."""
    context = departure.context
    module = results.torch.forward()
    used = results.jax.loss_program(context.jax_batch)[0].names
    params = Named({name: context.state[name] for name in used})
    loss = results.jax.loss(context.state)
    task = engine.ModelTask(module, loss, params, context.batch, context.jax_batch, order=0, seed=seed)
    try:
        with results.torch.unchanged():
            results.torch.restore(context.torch_state)
            located = faults(engine.run(task))
    except UsageError:
        return Reason(MODEL)
    if not located:
        return Reason(MODEL)
    first = located[0]
    place = Fact("first", where=first.torch or first.operation)
    more = tuple(Fact("more", str(len(located) - 1)) for _ in located[1:2])
    words = f"{place.words()}: {first.explanation}" if first.torch else f"{first.explanation} ({first.operation})"
    text = "; ".join([words, *(fact.words() for fact in more)])
    return Reason(MODEL if first.torch else LOSS, (place, *first.facts, *more), text)


# gradients and statistics


def _of_gradients(results: StepResults, departure: Departure) -> Fact:
    wrong = {name: tensor for (kind, name), tensor in departure.wrong.items() if kind == GRADIENTS}
    nothing = [name for name, tensor in wrong.items() if not tensor.jax.any()]
    if nothing and len(nothing) == len(wrong):
        return Fact("zero gradients", str(len(nothing)), "JAX", where="stop_gradient")
    if wrong and all(not tensor.torch.any() for tensor in wrong.values()):
        return Fact("zero gradients", str(len(wrong)), "PyTorch", where="detach()")
    ratio = ratio_of([(tensor.torch, tensor.jax) for tensor in wrong.values()])
    if ratio is not None and abs(ratio - 1) > SAME_RATIO:
        return Fact("gradients times", jax=f"{ratio:.6g}")
    return _untied(results, wrong) or Fact("other gradients", str(len(wrong)))


def _untied(results: StepResults, wrong: Mapping[str, JudgedTensor]) -> Fact | None:
    """That JAX has parameters of its own where PyTorch has one tensor in several places, if that explains the gradients."""
    tied = {owner: [leaf for leaf in wrong if results.partners.owners(leaf) == (owner,)] for owner in results.trained}
    tied = {owner: leaves for owner, leaves in tied.items() if len(leaves) > 1}
    if sum(map(len, tied.values())) < len(wrong) or not wrong:
        return None
    for owner, leaves in tied.items():
        alone = [replace(results.partners, places={leaf: results.partners.places[leaf]}, sums={}) for leaf in leaves]
        torch_gradient = alone[0].in_torch({leaves[0]: wrong[leaves[0]].torch})[owner]
        jax_gradients = [
            partners.in_torch({leaf: wrong[leaf].jax})[owner] for partners, leaf in zip(alone, leaves, strict=True)
        ]
        if relative_difference(np.sum(jax_gradients, axis=0), torch_gradient, size_of(torch_gradient)) > FLOOR:
            return None
    owner, leaves = next(iter(tied.items()))
    return Fact("untied", torch=owner, jax=listed(leaves))


def _of_statistics(results: StepResults, departure: Departure) -> tuple[Fact, ...]:
    """The momentum, or another variance, that would give JAX's numbers."""
    context = departure.context
    before = results.partners.of_weights(context.before)
    pairs = [(tensor.torch - before[name], tensor.jax - before[name]) for (_, name), tensor in departure.wrong.items()]
    for side, moves in (("JAX", [jax_move for _, jax_move in pairs]), ("PyTorch", [torch_move for torch_move, _ in pairs])):
        if not any(move.any() for move in moves):
            return (Fact("still statistics", role=side),)
    if (ratio := ratio_of(pairs)) is not None:
        return (_of_momentum(results, departure, ratio),)
    if ratios := _per_tensor(pairs):
        return (Fact("each statistic", f"{min(ratios):.6g}", jax=f"{max(ratios):.6g}"),)
    return _of_variance(results, departure)


def _of_momentum(results: StepResults, departure: Departure, ratio: float) -> Fact:
    """What JAX keeps of the statistics, where it moves them ``ratio`` times as far towards those of the batch."""
    moved = {_momentum(results, leaf) for _, leaf in departure.wrong}
    momentum = moved.pop() if len(moved) == 1 else None
    if momentum is None or not 0 <= (kept := 1 - momentum * ratio) <= 1:
        return Fact("statistics times", jax=f"{ratio:.6g}")
    modules = {results.partners.owners(leaf)[0].rpartition(".")[0] for _, leaf in departure.wrong}
    where = f"{modules.pop()}: " if len(modules) == 1 else ""
    usual = 1 - momentum
    return Fact("statistics kept", torch=digits(usual, kept), jax=digits(kept, usual), where=where)


def _momentum(results: StepResults, leaf: str) -> float | None:
    """The momentum of the module that has this statistic, as torch defines it: how far it moves."""
    (name, *_) = results.partners.owners(leaf)
    momentum = getattr(results.torch.model.get_submodule(name.rpartition(".")[0]), "momentum", None)
    return momentum if isinstance(momentum, float) else None


def _of_variance(results: StepResults, departure: Departure) -> tuple[Fact, ...]:
    """Whether JAX divides by n, where PyTorch divides by n - 1."""
    counts = set()
    for (_, leaf), tensor in departure.wrong.items():
        momentum = _momentum(results, leaf)
        if momentum is None:
            return ()
        kept = (1 - momentum) * results.partners.of_weights(departure.context.before)[leaf]
        ratio = ratio_of([(tensor.torch - kept, tensor.jax - kept)])
        if ratio is None or not 0 < ratio < 1:
            return ()
        count = 1 / (1 - ratio)
        if abs(count / round(count) - 1) > SAME_RATIO:
            return ()
        counts.add(round(count))
    which = ", ".join(f"n = {count:,}" for count in sorted(counts))
    return (Fact("variance", which),)


def _per_tensor(pairs: Sequence[tuple[Array, Array]]) -> list[float]:
    ratios = [ratio_of([pair]) for pair in pairs]
    return [ratio for ratio in ratios if ratio is not None] if None not in ratios else []
