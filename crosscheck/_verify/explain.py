"""``explain``: an activation, and each disagreement about it, in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crosscheck._arguments import activation_of
from crosscheck._catalogue import activations, formulas_of
from crosscheck._frameworks.lacking import Lacking
from crosscheck._frameworks.settings import undisturbed
from crosscheck._recorded.files import by_name
from crosscheck._records.deviations import Deviation
from crosscheck._records.records import Activation
from crosscheck._report.report import Report
from crosscheck._verdict.environments import Environment, examined_here, regions_here, seen_here
from crosscheck._verdict.judged import ALONE
from crosscheck._verdict.records import Comparison
from crosscheck._verify.sightings.explanation import Disagreement, Explanation
from crosscheck._verify.sightings.reproduce import Source
from crosscheck._verify.sightings.sight import Sought, runnable_implementations, sight
from crosscheck._verify.sightings.uncovered import Uncovered, sight_uncovered, uncovered
from crosscheck._verify.verify import verify


def explain(what: str | Activation) -> str:
    """Explain an activation: its definition and derivatives, and each disagreement of the frameworks about it.

    The activation is verified first, which takes some seconds.

    Args:
        what: A name or alias of the catalogue, or a record.

    Returns:
        The text. For each disagreement, declared or not, it has an input, all results there, the cause, and a snippet that
        reproduces it.

    Raises:
        UsageError: If ``what`` is not a name or a record.
        UnknownActivationError: If the catalogue has no activation of this name.

    Examples:
        >>> import crosscheck
        >>> print(crosscheck.explain("linear").splitlines()[1])
        The identity, the activation of a linear layer: x.
    """
    return str(explanation(what))


@undisturbed()
def explanation(what: str | Activation, *, progress: Callable[[str, str, float], None] | None = None) -> Explanation:
    activation = activation_of(what)
    return explained(activation, verify(activation, progress=progress))


@undisturbed()
def explained(activation: Activation, report: Report) -> Explanation:
    """The disagreements in a report on one activation, each run again at one input."""
    with formulas_of(activation):
        declared = [
            disagreement for deviation in activation.deviations if (disagreement := _declared(activation, deviation, report))
        ]
        undeclared = [_undeclared(activation, disagreement) for disagreement in uncovered(activation, report)]
        return Explanation(activation, _source(activation), report, (*declared, *undeclared))


def _declared(activation: Activation, deviation: Deviation, report: Report) -> Disagreement | None:
    """A declared deviation at the first anchor of its first region, preferably of a region observed in this environment.

    None if no implementation of it can be run here.
    """
    here, lacking = Environment.of(report.environment, "cpu"), Lacking.of(report.environment)
    in_use = [region for region in regions_here(deviation, here) if region.anchors] or [
        region for region in deviation.regions if region.anchors
    ]
    run = [
        region for region in in_use if any(runnable_implementations(deviation, lacking, dtype) for dtype in region.dtypes)
    ]
    if not run:
        return None
    examined = [region for region in run if examined_here(region, here)] or run
    region = next((region for region in examined if seen_here(deviation, here, region)), examined[0])
    anchor, dtypes = (
        region.anchors[0],
        [dtype for dtype in region.dtypes if runnable_implementations(deviation, lacking, dtype)],
    )
    dtype = "float32" if "float32" in dtypes else dtypes[0]
    implementations = runnable_implementations(deviation, lacking, dtype)
    on_record = by_name()
    seen_in = [name for name, record in on_record.items() if deviation.id in record.deviations]
    return Disagreement(
        id=deviation.id,
        cause=deviation.cause,
        implementations=implementations,
        order=region.order,
        sighting=sight(activation, Sought.at(activation, deviation, implementations, region, anchor, dtype)),
        seen=deviation.id in report.deviations,
        looked_for=any(
            comparison.mode in deviation.modes_of(region) and (deviation.cause != "layout" or comparison.against == ALONE)
            for comparison in report.comparisons
        ),
        seen_in=tuple(seen_in),
        not_seen_in=tuple(name for name, record in on_record.items() if record.by and seen_in and name not in seen_in),
        declared_results=dict(anchor.results),
        reason=deviation.reason,
        link=deviation.link,
        bug=deviation.bug,
    )


def _undeclared(activation: Activation, disagreement: Uncovered) -> Disagreement:
    """A disagreement that no deviation covers, at its worst input."""
    first = disagreement.comparisons[0]
    count = first.uncovered.get(disagreement.cause)
    return Disagreement(
        id=None,
        cause=disagreement.cause,
        implementations=disagreement.implementations,
        order=disagreement.order,
        sighting=sight_uncovered(activation, disagreement),
        elsewhere=tuple(dict.fromkeys(map(_setting, disagreement.comparisons)))[1:],
        inputs=count.count if count else 0,
        message=first.message,
    )


def _setting(comparison: Comparison) -> str:
    parameters = "".join(f", {name} = {value:g}" for name, value in comparison.parameters.items())
    return f"{comparison.dtype} {comparison.mode}{parameters}"


def _source(activation: Activation) -> Source:
    """How code imports or loads a record: from the catalogue, or from the module or file that defines it."""
    if activations.get(activation.name) is activation:
        return Source(("import crosscheck",), f"crosscheck.activations[{activation.name!r}]")
    module = getattr(activation.definition, "__globals__", {})
    name = next((key for key, value in module.items() if value is activation), None)
    file = module.get("__file__")
    if name and file and Path(file).is_file():
        return Source(("import runpy",), f"runpy.run_path({str(Path(file).resolve())!r})[{name!r}]")
    return Source((f"# {name or 'activation'} is your record of {activation.name}",), name or "activation")
