"""What crosscheck says of a case: whether it names the mistake, whether all of that is true, what it costs."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from corpora import shared
from field.records import Functions, Models, Sides

import crosscheck
from explain import CASES
from explain.records import Case

Row = dict[str, Any]


def judged(case: Case) -> Row:
    """The row of a case."""
    right, right_seconds = of_right(case.right.name)
    wrong, seconds = reported(case.sides())
    return {**row_of(case, wrong), "alarm": right, "seconds": round(seconds, 2), "right_seconds": round(right_seconds, 2)}


def row_of(case: Case, report: Any) -> Row:
    """What a report of the wrong version says, and whether that names the mistake."""
    text, places = (report, "") if isinstance(report, str) else (cause_of(report), places_of(report))
    headline = report if isinstance(report, str) else report.headline
    return {
        "case": case.name,
        "kind": case.kind,
        "blind": case.right.blind,
        "named": case.named_in(text, places),
        "proven": None if isinstance(report, str) else proven(report),
        "false": case.false_in(text),
        "headline": headline,
        "at once": case.named_in(headline, places),
        "said": text,
        "places": places,
    }


def reported(sides: Sides) -> tuple[Any, float]:
    """What crosscheck reports, or which error it raises, and the CPU seconds that this takes."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = sides.report()
        except Exception as error:  # one case that fails must not cost the table
            report = f"raised {type(error).__name__}: {error}"
    return report, time.process_time() - start


def cause_of(report: Any) -> str:
    """The verdict and the causes; no evidence. Of a report that passes, only notes can tell more."""
    causes = [fault.explanation for fault in getattr(report, "faults", ())]
    diagnosis = getattr(report, "diagnosis", None)
    causes += [diagnosis.how, diagnosis.where] if diagnosis else []
    notes = getattr(report, "notes", ()) if report.passed else ()
    every = (report.verdict, *causes, getattr(report, "explanation", ""), *map(str, notes))
    return "\n".join(dict.fromkeys(filter(None, every)))


def places_of(report: Any) -> str:
    """The modules, operations and tensors at which a report sees faults."""
    names = ("where", "operation", "part", "tensor")
    every = (str(getattr(fault, name, "") or "") for fault in getattr(report, "faults", ()) for name in names)
    return ", ".join(dict.fromkeys(filter(None, every)))


def proven(report: Any) -> bool | None:
    """Whether the report says that a run has proven its cause; None if it does not tell."""
    if isinstance(report, crosscheck.PairReport):
        return report.diagnosis.how is not None
    proofs = [fault.proven for fault in getattr(report, "faults", ()) if hasattr(fault, "proven")]
    return all(proofs) if proofs else getattr(report, "proven", None)


@shared
def of_right(pair: str) -> tuple[str, float]:
    """What is said against a right version, and its seconds: once for all cases of the pair.

    The second report counts: the first compiles what the wrong versions share with it.
    """
    right = next(case.right for case in CASES if case.right.name == pair)
    reported(right.make())
    report, seconds = reported(right.make())
    if isinstance(report, str):
        return report, seconds
    return "" if report.passed else report.verdict, seconds


def warm_up() -> None:
    """What a first comparison of a process costs more belongs to no case."""
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    layer = torch.nn.Linear(4, 3)
    weights = {"w": layer.weight.detach().numpy(), "b": layer.bias.detach().numpy()}
    reported(Functions(torch.sin, jnp.cos, [x]))
    reported(Models(layer, lambda p, x: x @ p["w"].T, [x], weights))


def totals(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Sums of the kinds, of both halves of the corpus, and of all."""
    kinds = [(kind, [row for row in rows if row["kind"] == kind]) for kind in ("function", "model", "training")]
    halves = [
        (half, [row for row in rows if row["blind"] is blind]) for half, blind in (("prototype", False), ("blind", True))
    ]
    return [(name, total(some)) for name, some in (*kinds, *halves, ("all", list(rows))) if some]


def total(rows: Iterable[Row]) -> Row:
    some = list(rows)
    seconds = [row["seconds"] - row["right_seconds"] for row in some]
    return {
        "cases": len(some),
        "named": sum(row["named"] for row in some),
        "at once": sum(row["at once"] for row in some),
        "proven": sum(row["proven"] is True for row in some),
        "false": sum(bool(row["false"]) for row in some),
        "alarms": len({row["case"].partition(":")[0] for row in some if row["alarm"]}),
        "median": round(statistics.median(seconds), 2),
        "95 %": round(float(np.percentile(seconds, 95)), 2),
    }
