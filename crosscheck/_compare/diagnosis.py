"""The additions to a disagreement in a report: which known function a side is, the simplest input, a snippet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from crosscheck._arithmetic.formats import FloatArray
from crosscheck._compare.diagnose.budget import COMPILING, FOR_IDENTITIES, Paid, SearchBudget, SpentError, cost_of
from crosscheck._compare.diagnose.identify import identify
from crosscheck._compare.diagnose.snippet import snippet
from crosscheck._compare.diagnose.where import where
from crosscheck._compare.diagnose.worst import FaultKind, Simplest, simplest
from crosscheck._compare.how.how import cast, how
from crosscheck._compare.judge.comparisons import Judged, Request, first_line
from crosscheck._compare.work import at_any_number, measures
from crosscheck._dictionary.citing import cited
from crosscheck._explain.facts import Fact
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Directions, Inputs
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.records import Activation
from crosscheck._records.worded import Worded
from crosscheck._shadow.base import Lifted
from crosscheck._shadow.programs import lift_jax, lift_torch
from crosscheck._verdict.accept import Accepted, declared
from crosscheck._verdict.causes import NOT_JUDGED
from crosscheck._verdict.records import Comparison, Diagnosis, Identity

Found = TypeVar("Found")

BY_OTHER_FUNCTIONS = ("special", "definition")
"""The causes with which different functions disagree. For these, it is searched how the functions differ."""


def diagnose(
    request: Request,
    failing: Sequence[Judged],
    decisive: Comparison,
    cause: str,
    side: str | None,
    catalogue: Mapping[str, Activation],
) -> Diagnosis:
    """Diagnose what fails; ``decisive`` is the reported comparison, with its cause and side."""
    judged = next((candidate for candidate in failing if candidate.record is decisive), None)
    if judged is None or cause not in decisive.uncovered:  # nothing was compared
        return Diagnosis()
    notes: list[str] = []
    budget = SearchBudget()

    def tried(what: str, find: Callable[[], Found], otherwise: Found) -> Found:
        """An exception in a diagnosis becomes a note: it does not change the verdict.

        Warnings are ignored: the user's functions run at inputs that the user did not give, such as a single element.
        """
        try:
            with warnings.catch_warnings(action="ignore"):
                return find()
        except Exception as error:  # the user's functions may raise anything at other inputs
            raised = f"{type(error).__name__}: {first_line(error)}"
            notes.append(Worded(Fact("not found", what, where=raised).words(), "not found", what, raised))
            return otherwise

    identities: dict[str, Identity | None] = {}
    if judged.x is not None or len(request.inputs.floats) == 1:
        identities = tried("which function it is", lambda: identities_of(request, catalogue, budget), identities)
    differently = (
        tried("how they differ", lambda: how(request, judged, budget), None) if cause in BY_OTHER_FUNCTIONS else None
    )
    if cause == "inaccurate" and side in FRAMEWORKS:
        differently = tried("a cast to fewer digits", lambda: cast(request, judged, budget, FRAMEWORKS.index(side)), None)
    given = Simplest(None, request.inputs, judged, unfinished=False)
    simpler = tried("a simpler input", lambda: simplest(FaultKind(request, judged, cause, side), budget), given)
    point = simpler.judged.record.uncovered[cause].worst
    if entry := tried("the entry of the dictionary", lambda: cited(request.torch, request.jax), None):
        notes.append(Worded(f"the dictionary says of them: {entry}", "dictionary"))
    if simpler.unfinished:
        words = (
            f"the search for a simpler input was stopped after {simpler.evaluations:,} evaluations; this is the best so far"
        )
        notes.append(Worded(words, "stopped"))
    nowhere = tuple[Fact, ...]()
    places = tried("where they differ", lambda: _places(request, judged, cause, side), nowhere)
    return Diagnosis(
        identities=identities,
        how=differently.words if differently else None,
        facts=differently.facts if differently else (),
        where=", ".join(place.words() for place in places),
        places=places,
        recognised=tried("a known deviation", lambda: _recognised(failing, identities, catalogue), ()),
        worst=simpler.worst,
        inputs=dict(zip(simpler.inputs.names, simpler.inputs.leaves, strict=True)),
        point=point,
        snippet=tried("a snippet", lambda: snippet(request, simpler.inputs, simpler.judged, point), None),
        notes=tuple(notes),
    )


def identities_of(request: Request, catalogue: Mapping[str, Activation], budget: SearchBudget) -> dict[str, Identity | None]:
    """Which function of the catalogue each side is; empty where neither is one."""
    identities = {
        side: identity_of(side, function, request.inputs, catalogue, request.seed, budget.part(FOR_IDENTITIES / 2))
        for side, function in (("torch", request.torch), ("jax", request.jax))
    }
    return identities if any(identities.values()) else {}


def identity_of(
    framework: str,
    function: Callable[..., Any],
    inputs: Inputs,
    catalogue: Mapping[str, Activation],
    seed: int,
    budget: SearchBudget | None = None,
) -> Identity | None:
    """The function of the catalogue that a function of one float array is; the other inputs keep their values."""
    (at,) = inputs.floats
    side = FRAMEWORKS.index(framework)
    measure = measures(function, function, "cpu")[side]
    available = budget or SearchBudget()

    def lift(x: FloatArray) -> Lifted:
        given = inputs.with_leaf(at, x)
        work = at_any_number(measure, inputs, at, x.size) if x.ndim == 1 else measure(given)
        if work is None:
            raise SpentError("at more elements it may not end")
        if framework == "torch":
            lifted: Lifted = lift_torch(TorchProgram(function, given, "cpu"), 0)
        else:
            available.pay(COMPILING * work.operations)
            lifted = lift_jax(JaxProgram(function, given, "cpu", ("jit",)), 0, Directions())
        return Paid(lifted, cost_of(side, work), available)

    return identify(lift, catalogue, inputs.fmt, seed)


def _places(request: Request, judged: Judged, cause: str, side: str | None) -> tuple[Fact, ...]:
    record = judged.record
    if record.diagnosed is not None:  # elements that were not judged may differ too
        return ()
    of = record.wrt or record.output  # a derivative has the shape of the input that it is taken by
    return where(judged.show(cause, side), of, judged.x, request.inputs.fmt)


def _recognised(
    failing: Sequence[Judged], identities: Mapping[str, Identity | None], catalogue: Mapping[str, Activation]
) -> tuple[str, ...]:
    names = {name for identity in identities.values() if identity is not None for name in (identity.name, *identity.also)}
    known = [d for name in sorted(names & catalogue.keys()) for d in catalogue[name].deviations]
    accepted = Accepted(tuple(acceptance for d in known for acceptance in declared(d)))
    ids: list[str] = []
    for judged in failing:
        record = judged.record
        codes = np.where(judged.failing, judged.codes, NOT_JUDGED)
        ids += accepted.used(codes, judged.x, record.order, record.dtype, record.mode)
    return tuple(dict.fromkeys(ids))
