"""What is kept in results/: whole sweeps and runs on ARM, whose worst inputs are as bad as they say, and a whole atlas."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cli
import numpy as np
import pytest
from atlases import read_atlas
from catalogue import ELEMENTWISE
from contract import MODES, budget
from floats import FORMATS, to_ordinal
from judging import JudgingSetting, judge
from recorded_here import Environment, seen_here
from truths import Sample

from crosscheck import activations

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_kept_sweep_is_whole_and_its_worst_inputs_are_as_bad_as_it_says(name: str) -> None:
    report = json.loads((RESULTS / f"{name}-float32.json").read_text(encoding="utf-8"))
    assert (report["function"], report["range"]["bits"]) == (name, ["0xffffffff", "0x7fffffff"])
    assert report["summary"]["passed"]
    fmt, domain = FORMATS["float32"], np.array([-np.inf, *activations[name].domain, np.inf], np.float32)
    ends = to_ordinal(domain)
    outside = int(ends[1] - ends[0] + ends[3] - ends[2])  # and the NaNs of both signs
    natives = activations[name].natives
    implementations = {
        *("torch", "jax"),
        *(f"{side}.native" for side in natives),
        *(f"{side}.native.matched" for side, native in natives.items() if native.matched),
    }
    assert {(result["implementation"], result["order"]) for result in report["results"]} == {
        (implementation, k) for implementation in implementations for k in (0, 1)
    }
    for result in report["results"]:
        others = [result[tally] for tally in ("flushed", "special", "at_overflow", "convention", "not_judged")]
        assert result["inputs"] == 2**32 == sum(result["histogram"].values()) + sum(others)
        assert result["not_judged"] == (2 * (2 ** (fmt.precision - 1) - 1) + outside if result["order"] else 0)
        for point, ulp in ((result["worst"], result["max_ulp"]), (result["worst_of_truth"], result["max_ulp_of_truth"])):
            errors = [float(point[unit]) for unit in ("ulp", "ulp_of_truth")]
            assert error(name, result["order"], point) == pytest.approx(errors, rel=1e-9)
            assert float(ulp) in errors


@pytest.mark.parametrize(
    ("capability", "names"),
    [("SVE", ("sigmoid", "tanh", "gelu", "softmax", "silu")), ("NEON", ("sigmoid", "tanh", "gelu"))],
)
def test_in_the_kept_runs_on_arm_own_implementations_are_within_the_budget_at_inputs_as_bad_as_they_say(
    capability: str, names: tuple[str, ...]
) -> None:
    path = RESULTS / "environments" / f"aarch64-{capability.lower()}.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["summary"]["passed"]
    assert not report["summary"]["recorded"]
    assert {report["environment"][side]["capability"] for side in ("torch", "jax")} == {capability}
    own = [
        comparison
        for comparison in report["comparisons"]
        if comparison["implementation"] in ("torch", "jax") and comparison["against"] == "exact"
    ]
    assert {(comparison["function"], comparison["implementation"], comparison["order"]) for comparison in own} == {
        (name, side, order) for name in names for side in ("torch", "jax") for order in (0, 1, 2)
    }
    for comparison in own:
        assert float(comparison["max_ulp"]) <= budget("float32", comparison["order"])
        if comparison["function"] in ELEMENTWISE:
            told = [float(comparison["worst"][unit]) for unit in ("ulp", "ulp_of_truth")]
            assert error(comparison["function"], comparison["order"], comparison["worst"]) == pytest.approx(told, rel=1e-9)


def error(name: str, order: int, point: Mapping[str, Any]) -> tuple[float, float]:
    x, got = (np.array([float(point[key])], np.float32) for key in ("input", "got"))
    sample, activation = Sample(x, None, x), activations[name]
    (truth,) = sample.truths(activation, [order], activation.parameters).values()
    terms = sample.scales(activation, [order], activation.parameters).get(order)
    judged = judge(x, got, truth, JudgingSetting(budget("float32", order), False, False, truth, terms))
    return float(judged.ulp_of_unit[0]), float(judged.ulp[0])


def test_the_kept_atlas_shows_every_disagreement_declared_for_its_environment() -> None:
    atlas = read_atlas(RESULTS / "atlas.json.gz", "results")
    there = Environment.of(atlas.environment)
    declared = [deviation for activation in activations.values() for deviation in activation.deviations]
    assert atlas.passed
    listed = {row.id for row in atlas.rows}
    assert {deviation.id for deviation in declared if seen_here(deviation, there)} <= listed
    assert listed <= {deviation.id for deviation in declared}
    usual = json.loads((RESULTS / "usual" / "usual.json").read_text(encoding="utf-8"))
    assert Environment.of(usual["environment"]) == there
    assert [*usual["rows"]] == [row.id for row in atlas.rows]
    assert (atlas.coverage.modes, atlas.coverage.layout, atlas.coverage.quick) == (MODES, True, False)
    newer = read_atlas(RESULTS / "atlas-newer.json.gz", "results")
    assert newer.passed
    assert newer.environment["jax"]["version"] != atlas.environment["jax"]["version"]


def test_the_kept_sweeps_are_read_as_one_table() -> None:
    done = cli.run("sweep", "--table", str(RESULTS))
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines()]
    assert {row[0] for row in rows if row} >= {*ELEMENTWISE}
