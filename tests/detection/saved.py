"""Faults in arrays that were computed elsewhere, judged by ``crosscheck.compare_arrays`` and files of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cli
import numpy as np
from usual_checks import of_arrays

import crosscheck
from detection.records import MISSED, Fault, Said, Verdict

Arrays = dict[str, Any]


def drawn() -> Arrays:
    """Two arrays in float32, the tanh of normal numbers in float64 rounded once."""
    rng = np.random.default_rng(11)
    return {"weight": np.tanh(rng.standard_normal((30, 40))), "bias": np.tanh(rng.standard_normal(50))}


@dataclass(frozen=True, kw_only=True)
class Saved(Fault):
    """``spoil`` changes the arrays of side B; both sides are written to files and compared, with the truth in float64.

    ``at`` is the name and the index of the worst element, such as ``"bias (3,)"``; ``damage`` changes B's file besides.
    """

    spoil: Callable[[Arrays], Arrays] = dict
    damage: Callable[[bytes], bytes] = bytes
    dtype: Any = np.float32
    options: Mapping[str, Any] = field(default_factory=dict)

    def sides(self) -> tuple[Arrays, Arrays]:
        """The arrays of A and of B."""
        a = {name: array.astype(self.dtype) for name, array in drawn().items()}
        return a, self.spoil({name: array.copy() for name, array in a.items()})

    def judge(self) -> Verdict:
        """What ``crosscheck diff`` says: an array that fails, or why the files cannot be compared."""
        a, b = self.sides()
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / name for name in ("a.npz", "b.npz", "truth.npz")]
            for path, arrays in zip(paths, (a, b, drawn()), strict=True):
                crosscheck.dump(path, **arrays)
            paths[1].write_bytes(self.damage(paths[1].read_bytes()))
            limits = [f"--{name}={limit}" for name, limit in self.options.items()]
            a_and_b, truth, out = map(str, paths[:2]), str(paths[2]), Path(folder) / "out.json"
            done = cli.run("diff", *a_and_b, "--truth", truth, *limits, "--json", str(out))
            if done.exit_code == 2 and not out.exists():
                return Verdict(found=True, cause="refused")
            report = json.loads(out.read_text(encoding="utf-8"))
        summary = report["summary"]
        assert done.exit_code == (0 if summary["passed"] else 1), done.output
        if summary["passed"]:
            return MISSED
        if summary["refused"]:
            return Verdict(found=True, cause="refused")
        failing = [comparison for comparison in report["comparisons"] if not comparison["passed"]]
        if not failing:
            return Verdict(found=True, cause="one side only", at=", ".join((*summary["only_a"], *summary["only_b"])))
        cause = "special" if any(comparison["special"] for comparison in failing) else "beyond"
        at = f"{failing[0]['name']} {tuple(failing[0]['worst'][0]['index'])}"
        placed = self.at in (None, at) and (self.at is None or len(failing) == 1)
        return Verdict(found=True, cause=cause, side=failing[0]["side"], at=at, placed=placed)

    def usual(self) -> Mapping[str, Said]:
        """The arrays of each name compared, where the files can be read."""
        if self.damage is not bytes:
            return {}
        a, b = self.sides()
        answers: dict[str, Said] = dict(of_arrays(next(iter(a.values())), next(iter(a.values()))))
        for name in a:
            same = name in b and a[name].shape == b[name].shape and a[name].dtype == b[name].dtype
            said = of_arrays(a[name], b[name]) if same else dict.fromkeys(answers, "another name, shape or dtype")
            answers = {check: answers[check] or said[check] for check in answers}
        return answers
