"""The reason of another average of the weights: how much of it a step keeps, and of which weights it is made."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crosscheck._explain.facts import Fact, digits
from crosscheck._frameworks.programs import Array
from crosscheck._training.steps.departures import Departure, Moment, StepResults
from crosscheck._training.steps.quantities import relative_difference, size_of
from crosscheck._training.steps.reason import SAME_RATIO

SAME_SHARE = 1e-5
"""Shares of an average count as equal if their difference is below this: some decays are held in float32."""


def of_average(results: StepResults, departure: Departure) -> tuple[Fact, ...]:
    """What JAX does otherwise than PyTorch; nothing if neither average is a sum of itself and of the weights.

    At the first step, the average often equals the weights of before, and shows less: later steps are looked at before it.
    """
    known = [shares for moment in departure.moments if (shares := _shares(results, moment)) is not None]
    known.sort(key=lambda shares: shares[2], reverse=True)
    if not known or (known[0][2] == 1 and not all(side.any() for side in known[0][:2])):
        return ()
    torch_shares, jax_shares, _ = known[0]
    return tuple(_facts(torch_shares, jax_shares))


def _facts(torch_shares: Array, jax_shares: Array) -> Iterator[Fact]:
    """What differs in the shares that the weights after the step and those before it have in the new averages."""
    # what is left of 1 has the digits of a number near 1; adding 0 makes 0 of -0
    kept = [round(1 - float(shares.sum()), 12) + 0.0 for shares in (torch_shares, jax_shares)]
    for side, share in (("JAX", kept[1]), ("PyTorch", kept[0])):
        if abs(share - 1) <= SAME_SHARE:
            yield Fact("still average", role=side)
            return
    sources = [_source(shares) for shares in (torch_shares, jax_shares)]
    if sources[0] != sources[1]:
        yield Fact("averaged", torch=sources[0], jax=sources[1])
    if abs(kept[0] - kept[1]) > SAME_SHARE:
        yield Fact("average kept", torch=digits(*kept), jax=digits(kept[1], kept[0]))


def _source(shares: Array) -> str:
    after, before = np.abs(shares) > SAME_SHARE
    return "after and before" if after and before else "before" if before else "after"


def _shares(results: StepResults, moment: Moment) -> tuple[Array, Array, int] | None:
    """For each side, the shares of the weights after and before the step in the new average, and how many can be told apart.

    None if they do not make the averages.
    """
    context, partners = moment.context, results.partners
    weights = partners.of_weights(context.torch.weights.wide), partners.of_weights(context.before)
    averages = partners.of_slots(context.torch.slots.wide)
    columns, moved = [], []
    for leaf in (name for _, name in moment.wrong):
        owner, _ = partners.slots[leaf]
        kept = np.asarray(context.state[leaf], np.float64)
        columns.append(np.stack([(arrays[owner] - kept).ravel() for arrays in weights], axis=1))
        moved.append(np.stack([(arrays[leaf] - kept).ravel() for arrays in (averages, moment.made.state)], axis=1))
    matrix, moves = np.concatenate(columns), np.concatenate(moved)
    if not np.isfinite(matrix).all() or not np.isfinite(moves).all():
        return None
    shares, _, rank, _ = np.linalg.lstsq(matrix, moves, rcond=SAME_SHARE)
    largest = max(size_of(moves), size_of(matrix))
    explains = relative_difference(matrix @ shares, moves, largest) <= SAME_RATIO
    return (shares[:, 0], shares[:, 1], int(rank)) if rank and explains else None
