"""``atlas`` and ``atlas_diff``: check the arguments, run ``verify`` and make the rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from crosscheck import _arguments
from crosscheck._arguments import known
from crosscheck._atlas.diff import compare
from crosscheck._atlas.diff_report import AtlasDiff
from crosscheck._atlas.records import AtlasRow, Coverage
from crosscheck._atlas.report import Atlas, read_atlas
from crosscheck._atlas.rows import declared_rows, set_beside, undeclared_row
from crosscheck._catalogue import activations
from crosscheck._frameworks.lacking import Lacking
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import IMPLEMENTATIONS, MODES, USUAL_MODES
from crosscheck._records.names import DTYPES, ORDERS
from crosscheck._records.records import Activation
from crosscheck._report.report import Report
from crosscheck._verdict.judged import ComparisonCauses
from crosscheck._verify.run.run import Progress
from crosscheck._verify.run.task import Plan
from crosscheck._verify.sightings.uncovered import uncovered
from crosscheck._verify.verify import QUICK, QUICK_DTYPES, THOROUGH, lacks, verified


@undisturbed(alone=True)
def atlas(
    what: str | Activation | Iterable[str | Activation] | None = None,
    *,
    dtypes: Sequence[str | Any] | None = None,
    modes: Sequence[str] | None = None,
    layout: bool | None = None,
    seed: int = 0,
    quick: bool = False,
    without: Iterable[str] = (),
    progress: Progress | None = None,
    processes: int = 1,
) -> Atlas:
    """Run ``verify``, and list every disagreement of the frameworks about activations in one table.

    All orders and implementations are run, on the CPU. Functions of rows are run at rows of every length, unless ``quick``.
    Each declared deviation is also run at every anchor of its regions, with all implementations.

    Args:
        what: The name or alias of an activation of the catalogue, a record, several of these, or None for the catalogue.
        dtypes: As in ``verify``.
        modes: As in ``verify``, but all modes by default, unless ``quick``. In modes other than ``eager`` and ``jit``, only
            the frameworks' functions are run: crosscheck's own have no disagreement there.
        layout: As in ``verify``, but True by default, unless ``quick``.
        seed: As in ``verify``.
        quick: As in ``verify``.
        without: As in ``verify``.
        progress: As in ``verify``.
        processes: As in ``verify``.

    Returns:
        The atlas.

    Raises:
        UsageError: If an argument has an unknown value.
        UnknownActivationError: If the catalogue has no activation of this name.
        SpecError: If a record contradicts its own definition.
        MissingFrameworkError: If neither framework can be imported. If one cannot, the atlas covers only the other.

    Examples:
        >>> import crosscheck
        >>> atlas = crosscheck.atlas("relu", dtypes=["float32"], quick=True)
        >>> [row.id for row in atlas.rows]
        ['relu-negative-zero', 'relu-gradient-at-nan']
    """
    chosen = _arguments.chosen(what)
    _arguments.flags(layout=False if layout is None else layout, quick=quick)
    dtypes = _arguments.dtypes((QUICK_DTYPES if quick else DTYPES) if dtypes is None else dtypes)
    modes = known("mode", (USUAL_MODES if quick else MODES) if modes is None else modes, MODES)
    layout = not quick if layout is None else layout
    skipped = {mode: why for mode in modes if (why := lacks(mode))}
    modes = tuple(mode for mode in modes if mode not in skipped)
    plan = Plan(
        dtypes=dtypes,
        orders=ORDERS,
        implementations=IMPLEMENTATIONS,
        modes=modes,
        natives_in=tuple(mode for mode in modes if mode not in USUAL_MODES),
        layout=layout,
        device="cpu",
        seed=_arguments.seed(seed),
        **(QUICK if quick else THOROUGH),
    )
    without = tuple(without)
    look = partial(_rows, plan=plan, without=without)
    report, rows = verified(chosen, plan, without=without, progress=progress, processes=processes, look=look)
    return Atlas(
        rows=set_beside([row for some in rows for row in some]),
        environment=report.environment,
        coverage=Coverage(tuple(activation.name for activation in chosen), dtypes, seed, quick, modes, layout),
        compared=report.compared,
        skipped={**report.skipped, **skipped},
    )


def _rows(
    activation: Activation,
    judged: Sequence[ComparisonCauses],
    report: Report,
    *,
    plan: Plan,
    without: Collection[str],
) -> list[AtlasRow]:
    plan = replace(plan, lacking=Lacking.of(report.environment))
    declared = declared_rows(activation, judged, report.deviations, report.findings, plan, without)
    undeclared = [undeclared_row(activation, disagreement, plan.lacking) for disagreement in uncovered(activation, report)]
    return [*declared, *undeclared]


def atlas_diff(
    old: str | Path | Atlas,
    new: str | Path | Atlas | None = None,
    *,
    progress: Progress | None = None,
    processes: int = 1,
) -> AtlasDiff:
    """Compare the disagreements of two environments: which ones vanished, appeared, grew or shrank.

    Only what both atlases cover is compared. The number of inputs that show a disagreement, and its largest error, are
    compared if both atlases have the same seed, and both or neither are ``quick``.

    Args:
        old: An atlas, or the path of the JSON that ``Atlas.to_json`` or ``crosscheck atlas --json`` wrote.
        new: The same. None makes an atlas of what ``old`` covers, in this environment.
        progress: As in ``verify``, for the atlas that is made.
        processes: As in ``verify``, for the atlas that is made.

    Returns:
        The differences.

    Raises:
        UsageError: If a file is missing, cut short, has another schema or is not an atlas, if an atlas compared nothing, or
            if the two have nothing in common.

    Examples:
        >>> import crosscheck
        >>> old = crosscheck.atlas("relu", dtypes=["float32"], quick=True)
        >>> crosscheck.atlas_diff(old).changed
        False
    """
    before = old if isinstance(old, Atlas) else read_atlas(_arguments.path("old", old), "old")
    if new is None:
        covered = before.coverage
        here = [name for name in covered.functions if name in activations]
        if not here:
            raise UsageError("old: it covers no function of this catalogue; make one with crosscheck atlas --json")
        after = atlas(
            here,
            dtypes=covered.dtypes,
            modes=covered.modes,
            layout=covered.layout,
            seed=covered.seed,
            quick=covered.quick,
            progress=progress,
            processes=processes,
        )
    else:
        after = new if isinstance(new, Atlas) else read_atlas(_arguments.path("new", new), "new")
    for what, given in (("old", before), ("new", after)):
        if given.compared < 1:
            raise UsageError(f"{what}: this atlas compared nothing, so no change can be found; make it again")
    if not all({*getattr(before.coverage, what)} & {*getattr(after.coverage, what)} for what in ("functions", "dtypes")):
        raise UsageError("old, new: got two atlases that have no function and dtype in common, so nothing can be compared")
    changes, notes = compare(before, after)
    return AtlasDiff(changes, notes, before.environment, after.environment, before.summary, after.summary)
