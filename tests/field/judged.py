"""What each check says of the right and of the wrong version of a bug."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

import crosscheck
from field.records import Bug, Check, Result, said

Row = dict[str, Any]
LAYER = 1e-5
"""The relative difference from which a comparison layer by layer blames a layer: the ``atol`` of ``assert_close``."""


def judged(bug: Bug) -> Row:
    """The row of a bug: what each check notices, at which right version it complains, which place and cause it names."""
    start = time.perf_counter()
    right, wrong = bug.right().report(), bug.wrong().report()
    seconds = time.perf_counter() - start
    results = bug.right().results(), bug.wrong().results()
    return {
        "bug": bug.name,
        "project": bug.project,
        "place": bug.place,
        "what": bug.what,
        "shows": bug.shows,
        "project's own": _usual(results, _of(bug.check)) if bug.check else None,
        "assert_close": _usual(results, _assert_close),
        "assert_allclose": _usual(results, _of(Check(1e-7, 0.0, "numpy"))),
        "layer by layer": _layers(bug, right, wrong),
        "crosscheck": {
            "notices": not wrong.passed,
            "alarm": not right.passed,
            "place": bug.places(wrong),
            "cause": bug.says(wrong),
            "said": said(wrong).splitlines()[0],
            "said of the right one": "" if right.passed else said(right).splitlines()[0],
        },
        "seconds": round(seconds, 1),
    }


def _usual(results: tuple[Sequence[Result], Sequence[Result]], passes: Callable[[Any, Any], bool]) -> Row:
    """A check of results names no place inside, and no cause."""
    right, wrong = (all(passes(result.torch, result.jax) for result in some) for some in results)
    return {"notices": not wrong, "alarm": not right, "place": False, "cause": False}


def _of(check: Check) -> Callable[[Any, Any], bool]:
    def passes(expected: Any, got: Any) -> bool:
        try:
            np.testing.assert_allclose(got, expected, rtol=check.rtol, atol=check.atol)
        except AssertionError:
            return False
        return True

    return passes


def _assert_close(expected: Any, got: Any) -> bool:
    try:
        torch.testing.assert_close(torch.tensor(np.asarray(got)), torch.tensor(np.asarray(expected)))
    except AssertionError:
        return False
    return True


def _layers(bug: Bug, right: Any, wrong: Any) -> Row | None:
    """Outputs layer by layer, each model by itself: the first that differs is blamed. It needs layers."""
    if not isinstance(wrong, crosscheck.ModelsReport):
        return None
    alarm, blamed = (next((layer for layer in report.layers if _differs(layer)), None) for report in (right, wrong))
    place = blamed is not None and bug.is_at(f"{blamed.torch} {blamed.operation} {blamed.name}")
    return {"notices": blamed is not None, "alarm": alarm is not None, "place": place, "cause": False}


def _differs(layer: crosscheck.Layer) -> bool:
    return layer.accumulated is not None and not layer.accumulated <= LAYER
