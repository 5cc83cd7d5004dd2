"""Declared deviations are strict: each is missed when it is not declared, and a wrong declaration fails the run."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch
from catalogue import NAMES
from conftest import Verified, slow
from contract import LENGTHS, OTHER_LENGTHS
from declared import ANYWHERE, FLOAT32, LOST_TAIL, SIGMOID, declared, deviation_of, failures, gradient_of
from facts import kind_of, subjects
from floats import FORMATS, following, widen
from judging import CODE
from kept import environment
from recorded_here import Environment, examined_here, on_record, seen_here

import crosscheck
from crosscheck import Activation, Anchor, Comparison, Deviation, Region, Seen
from crosscheck._verdict.deviations import settle

Run = Callable[[str], Verified]
HERE = Environment.of(environment())


def test_the_declaration_as_it_stands_passes() -> None:
    report = gradient_of(declared(FLOAT32))
    assert report.passed, str(report)
    assert LOST_TAIL.id in report.deviations


RAISES = Deviation(
    id="relu-raises",
    cause="error",
    implementations=("torch.native",),
    regions=(Region(2, ("float32",), ((-inf, inf), (nan, nan)), (Anchor(0.0, {}),)),),
    reason="A native that cannot be differentiated twice.",
    link="https://example.org",
    seen=ANYWHERE,
)


def test_what_a_implementation_raises_is_declared_like_any_other_deviation() -> None:
    """It covers its order and dtypes only, and fails where the implementation no longer raises."""
    relu = crosscheck.activations["relu"]
    declares = dataclasses.replace(relu, deviations=(RAISES,))
    options: Any = {"dtypes": ["float32"], "orders": [2], "implementations": ["torch.native"]}
    planted = {"torch.native": torch.nn.functional.hardsigmoid}  # which has no second derivative
    report = crosscheck.verify([declares, "linear"], **options, replace=planted)
    assert [(c.function, c.passed, c.deviations) for c in report.comparisons if c.message] == [
        ("relu", True, ("relu-raises",)),
        ("linear", False, ()),
    ]
    assert not crosscheck.verify(dataclasses.replace(relu, deviations=()), **options, replace=planted).passed
    now = crosscheck.verify(declares, **options)
    assert not now.passed
    assert failures(now) == {"does not raise"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"intervals": ((-1e30, 1e30),)}, "too wide"),
        ({"anchors": (Anchor(19.5, {"torch.native": 1e-9, "jax.native": 0.0}),)}, "another result"),
        ({"intervals": ((0.5, 103.98),), "anchors": (Anchor(0.5, {}),)}, "not at its anchor"),
    ],
    ids=["a region drawn too wide", "another result", "an anchor at which it does not occur"],
)
def test_a_wrong_declaration_fails(changes: dict[str, Any], said: str) -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, **changes)))
    assert not report.passed
    assert said in failures(report)


def test_a_region_drawn_too_narrow_leaves_points_uncovered() -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, intervals=((10.0, 103.98),))))
    assert not report.passed
    assert any(comparison.uncovered for comparison in report.comparisons)


def test_in_another_environment_an_absence_is_a_note_and_the_region_still_covers() -> None:
    region = dataclasses.replace(FLOAT32, intervals=((1.6, 103.98),), anchors=(Anchor(1.6, {}),))
    report = gradient_of(declared(region, seen=(Seen(torch="<1", jax="<0.1"),)))
    assert report.passed, str(report)
    assert "not at its anchor" in {kind_of(finding.message) for finding in report.findings}


def test_in_another_environment_a_region_that_shows_at_few_inputs_is_a_note() -> None:
    """What a later release mends in part is no failure; that a deviation grew is one everywhere."""
    elsewhere = (Seen(torch="<1", jax="<0.1"),)
    wide = dataclasses.replace(FLOAT32, intervals=((-1e30, 1e30),), anchors=(Anchor(19.5, {}),))
    report = gradient_of(declared(wide, seen=elsewhere))
    assert report.passed, str(report)
    assert "too wide" in {kind_of(finding.message) for finding in report.findings}
    assert not gradient_of(declared(dataclasses.replace(FLOAT32, max_ulp=2.0**20), seen=elsewhere)).passed


def test_a_region_of_other_cpus_covers_and_is_not_examined() -> None:
    """torch has other code for other vectors: an anchor of AVX-512 need not show, nor hold its bound, with AVX2."""
    wrong = dataclasses.replace(FLOAT32, intervals=((1.6, 103.98),), anchors=(Anchor(1.6, {}),), max_ulp=2.0**20)
    assert gradient_of(declared(dataclasses.replace(wrong, capability="VSX"))).passed
    report = gradient_of(declared(dataclasses.replace(wrong, capability=HERE.capability)))
    assert failures(report) >= {"not at its anchor", "too large"}


@pytest.mark.parametrize(
    ("modes", "passed"), [((), True), (("jit", "eager"), True), (("eager",), False), (("vmap",), False)]
)
def test_a_region_covers_and_is_asked_for_in_its_modes_only(modes: tuple[str, ...], passed: bool) -> None:
    report = gradient_of(declared(dataclasses.replace(FLOAT32, modes=modes)))
    assert report.passed is passed
    covered = {comparison.mode for comparison in report.comparisons if LOST_TAIL.id in comparison.deviations}
    assert covered == {"eager", "jit"} & set(modes or ("eager", "jit"))
    assert not failures(report)


@pytest.mark.parametrize(("max_ulp", "passed"), [(2.0**24, True), (2.0**20, False)])
def test_a_region_without_anchors_need_not_show_and_holds_its_bound(max_ulp: float, passed: bool) -> None:
    """What few samples show has no input that must show it."""
    report = gradient_of(declared(dataclasses.replace(FLOAT32, anchors=(), max_ulp=max_ulp)))
    assert report.passed is passed, str(report)
    elsewhere = dataclasses.replace(FLOAT32, intervals=((-1.5, -1.0),), anchors=(), max_ulp=max_ulp)
    assert not failures(gradient_of(declared(FLOAT32, elsewhere)))


@pytest.mark.parametrize("zeros", [((0.0, 0.0), (-0.0, -0.0)), ()])
def test_a_region_of_an_inaccurate_side_excuses_a_zero_of_the_other_sign(zeros: tuple[tuple[float, float], ...]) -> None:
    """Where the result is too small for the dtype, it is a zero whose sign is as wrong as its digits."""
    region = Region(0, ("float16",), (*zeros, (2.0**-9, 2.0**-6)), (Anchor(2.0**-7, {}),), max_ulp=16.0)
    changes: Any = {"cause": "inaccurate", "implementations": ("torch.native",), "regions": (region,), "seen": ANYWHERE}
    tanh = dataclasses.replace(crosscheck.activations["tanh"], deviations=(dataclasses.replace(LOST_TAIL, **changes),))

    def planted(x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(x)
        if x.dtype == torch.float16:
            y = torch.where((x >= 2.0**-9) & (x <= 2.0**-6), y * (1 + 2**-8), y)
        return torch.where(x == 0, -y, y)

    natives = ["torch.native", "jax.native"]
    report = crosscheck.verify(
        tanh, dtypes=["float16"], orders=[0], implementations=natives, replace={"torch.native": planted}
    )
    assert report.passed is bool(zeros), str(report)


# Every declared deviation, on the points of one run of the catalogue

DECLARED = [(name, deviation.id) for name, record in crosscheck.activations.items() for deviation in record.deviations]
each_deviation = pytest.mark.parametrize(("name", "id_"), DECLARED, ids=[id_ for _, id_ in DECLARED])


def run_here(deviation: Deviation, region: Region) -> bool:
    """Whether the stored points are of a region's modes and of its environment."""
    return seen_here(deviation, HERE, region) and not slow(deviation.modes_of(region), layout=deviation.cause == "layout")


def find(name: str, id_: str) -> Deviation:
    """A deviation that was seen in this environment; elsewhere it need not occur."""
    deviation = deviation_of(name, id_)
    if not seen_here(deviation, HERE):
        pytest.skip(f"{id_} was not seen in this environment: {HERE}")
    if not any(run_here(deviation, region) for region in deviation.regions):
        pytest.skip(f"{id_} takes a compiler, and is borne out by the slow tests of the modes")
    return deviation


def only(name: str, deviation: Deviation) -> Activation:
    return dataclasses.replace(crosscheck.activations[name], deviations=(deviation,))


def touched(points: Sequence[Any], deviation: Deviation, implementations: Sequence[str] = ()) -> list[Any]:
    """The comparisons in which a deviation can show at all; only those of some implementations."""
    settings = {(region.order, dtype) for region in deviation.regions for dtype in region.dtypes}
    return [
        point
        for point in points
        if set(point.key.implementations) & set(implementations or deviation.implementations)
        and (point.key.order, point.key.dtype) in settings
    ]


def failed(points: Sequence[Any], activation: Activation) -> list[str]:
    """What is wrong with an activation's deviations, on stored points."""
    return [finding.message for finding in settle(points, activation, HERE)[1] if finding.failed]


def test_there_are_deviations_to_go_through() -> None:
    assert len(DECLARED) > 20
    assert {name for name, _ in DECLARED} >= {"elu", "sigmoid", "silu", "softmax", "tanh"}


@pytest.mark.parametrize("name", NAMES)
def test_with_all_declared_the_stored_points_pass(verified: Run, name: str) -> None:
    activation = crosscheck.activations[name]
    comparisons, findings = settle(verified(name).points, activation, HERE, lenient=not on_record(HERE))
    assert [comparison for comparison in comparisons if not comparison.passed] == []
    assert [finding for finding in findings if finding.failed] == []


@each_deviation
def test_each_deviation_is_missed_when_it_is_not_declared(verified: Run, name: str, id_: str) -> None:
    deviation = find(name, id_)
    points = touched(verified(name).points, deviation)
    comparisons, _ = settle(points, crosscheck.activations[name], HERE, without=[id_])
    missed = [c for c in comparisons if deviation.cause in ("error" if c.message else "", *c.uncovered)]
    assert missed
    for comparison in missed:
        assert not comparison.passed
        assert {comparison.implementation, comparison.against} & set(deviation.implementations)
        assert id_ not in comparison.deviations


@each_deviation
def test_each_deviation_as_declared_is_borne_out(verified: Run, name: str, id_: str) -> None:
    deviation = find(name, id_)
    assert failed(touched(verified(name).points, deviation), only(name, deviation)) == []


def results(deviation: Deviation) -> Iterator[tuple[int, int, str]]:
    """Where results are declared: region, anchor, implementation."""
    for i, region in enumerate(deviation.regions):
        here = examined_here(region, HERE) and run_here(deviation, region)
        for j, anchor in enumerate(region.anchors if here else ()):
            yield from ((i, j, implementation) for implementation in anchor.results)


def beside(value: float, dtypes: Sequence[str]) -> float:
    """The next number of the coarsest dtype, which differs in all of them; 1 for NaN."""
    if np.isnan(value):
        return 1.0
    fmt = min((FORMATS[dtype] for dtype in dtypes), key=lambda fmt: fmt.precision)
    return float(following(np.array(value).astype(fmt.dtype), float(value == 0)))


@each_deviation
def test_each_declared_result_is_held_to_the_bit(verified: Run, name: str, id_: str) -> None:
    deviation = find(name, id_)
    points = touched(verified(name).points, deviation)
    for i, j, implementation in results(deviation):
        region = deviation.regions[i]
        anchor = region.anchors[j]
        changed = {
            **anchor.results,
            implementation: beside(anchor.results[implementation], region.dtypes),
        }
        anchors = [
            dataclasses.replace(anchor, results=changed) if k == j else other for k, other in enumerate(region.anchors)
        ]
        wrong = dataclasses.replace(deviation, regions=(dataclasses.replace(region, anchors=tuple(anchors)),))
        messages = failed(touched(points, wrong, [implementation]), only(name, wrong))
        # in rows the first message may be of a length in which it does not show at all
        said = (
            f"not the declared {changed[implementation]!r}" if not crosscheck.activations[name].rows else f"{anchor.input!r}"
        )
        assert any(said in message for message in messages), (region, implementation)


@each_deviation
def test_each_declared_maximum_is_neither_too_small_nor_stale(verified: Run, name: str, id_: str) -> None:
    deviation = find(name, id_)
    points = touched(verified(name).points, deviation)
    lengths = {point.key.length for point in points}  # rows of 131,072 entries are run by --thorough alone
    there = [region for region in deviation.regions if not region.lengths or lengths.intersection(region.lengths)]
    here = [region for region in there if examined_here(region, HERE) and run_here(deviation, region)]
    # without anchors, it need not show
    bounded = [region for region in here if np.isfinite(region.max_ulp) and region.anchors]
    for region in bounded:
        for factor, message in ((1 / 101, "more than the declared"), (101, "is stale")):
            changed = dataclasses.replace(region, max_ulp=region.max_ulp * factor)
            wrong = dataclasses.replace(deviation, regions=(changed,))
            failures = failed(touched(points, wrong), only(name, wrong))
            assert any(message in failure for failure in failures), (region, message)


def test_parameters_restrict_a_region(verified: Run) -> None:
    """torch's own threshold is another one at the default parameters only."""
    deviation = find("softplus", "softplus-threshold")
    points = [point for point in verified("softplus").points if point.key.dtype == "float64"]
    comparisons, findings = settle(points, only("softplus", deviation), HERE)
    assert not [finding for finding in findings if finding.failed]
    used = [comparison for comparison in comparisons if comparison.deviations]
    assert {tuple(comparison.parameters.values()) for comparison in used} == {(1.0, inf)}
    everywhere = tuple(dataclasses.replace(region, parameters={}) for region in deviation.regions)
    messages = failed(points, only("softplus", dataclasses.replace(deviation, regions=everywhere)))
    assert ("not at its anchor", 20.125) in subjects(messages)


# Rows


def first(deviation: Deviation, order: int, dtype: str, at: float | None = None) -> Region:
    """The first region on record of this environment; where nothing is, of another one."""
    here = [region for region in deviation.regions if seen_here(deviation, HERE, region)]
    return next(
        region
        for region in here or deviation.regions
        if region.order == order
        and dtype in region.dtypes
        and (at is None or at in [anchor.input for anchor in region.anchors])
    )


INFINITE = next(deviation for deviation in crosscheck.activations["softmax"].deviations if deviation.cause == "special")
LARGEST = first(INFINITE, 0, "float32", inf)
ROUNDED = deviation_of("softmax", "softmax-rounded-difference")
NEAR = first(ROUNDED, 0, "float32")


def in_rows(
    verified: Run, deviation: Deviation, region: Region, dtype: str = "float32"
) -> tuple[list[Comparison], list[str]]:
    """softmax's stored values of a dtype under one deviation with another region: comparisons, and what failed."""
    anywhere = dataclasses.replace(region, seen=())
    changed = only("softmax", dataclasses.replace(deviation, regions=(anywhere,), seen=ANYWHERE))
    wanted = [point for point in verified("softmax").points if (point.key.dtype, point.key.order) == (dtype, 0)]
    comparisons, findings = settle(wanted, changed, HERE)
    return comparisons, [finding.message for finding in findings if finding.failed]


def covered(comparisons: Sequence[Comparison]) -> set[str]:
    return {comparison.wrt for comparison in comparisons if comparison.deviations}


def test_lengths_restrict_a_region(verified: Run) -> None:
    everywhere, failures = in_rows(verified, INFINITE, LARGEST)
    assert failures == []
    assert covered(everywhere) == {f"x, rows of {length}" for length in (*LENGTHS, *OTHER_LENGTHS)}
    some, failures = in_rows(verified, INFINITE, dataclasses.replace(LARGEST, lengths=(2, 100)))
    assert failures == []
    assert covered(some) == {"x, rows of 2", "x, rows of 100"}
    for comparison in some:
        holds_it = comparison.wrt in covered(everywhere)
        if holds_it and comparison.implementation == "torch.native" and comparison.against == "exact":
            assert ("special" in comparison.uncovered) == (comparison.wrt not in covered(some))


def test_a_length_that_is_not_run_covers_nothing_and_is_not_missed(verified: Run) -> None:
    comparisons, failures = in_rows(verified, INFINITE, dataclasses.replace(LARGEST, lengths=(3,)))
    assert failures == []
    assert covered(comparisons) == set()


def test_an_anchor_of_rows_must_show_in_one_of_the_lengths_only(verified: Run) -> None:
    """In bfloat16 an entry of rows of several lengths is known by the same number; the error depends on the row."""
    deviation = deviation_of("softmax", "softmax-16-bit-rounding")
    declared = first(deviation, 0, "bfloat16")
    values = [point for point in verified("softmax").points if (point.key.dtype, point.key.order) == ("bfloat16", 0)]
    values = [point for point in values if (point.key.implementation, point.key.against) == ("torch.native", "exact")]
    known: dict[float, set[int | None]] = {}
    shown: dict[float, set[int | None]] = {}
    for point in values:
        for at, code in zip(widen(point.x).tolist(), point.codes.tolist(), strict=True):
            known.setdefault(at, set()).add(point.key.length)
            if code == CODE["inaccurate"]:
                shown.setdefault(at, set()).add(point.key.length)
    at = next((at for at in sorted(shown) if len(shown[at]) == 1 and len(known[at]) > 1), None)
    if at is None:
        pytest.skip("in these releases no such entry is beyond the budget in one length alone")
    region = dataclasses.replace(declared, anchors=(Anchor(at, {}),), capability=None)
    assert in_rows(verified, deviation, region, "bfloat16")[1] == []
    (length,) = shown[at]
    others = tuple(sorted(candidate for candidate in known[at] if candidate is not None and candidate != length))
    messages = in_rows(verified, deviation, dataclasses.replace(region, lengths=others), "bfloat16")[1]
    assert ("not at its anchor", at) in subjects(messages)


def test_an_anchor_of_rows_at_which_it_never_shows_fails(verified: Run) -> None:
    """0 is the largest entry of each row, where no difference is rounded."""
    region = dataclasses.replace(NEAR, intervals=((-104, 0),), anchors=(Anchor(0.0, {}),))
    failures = in_rows(verified, ROUNDED, region)[1]
    assert ("not at its anchor", 0.0) in subjects(failures)


def test_an_anchor_that_no_row_holds_fails(verified: Run) -> None:
    """Nothing could ever refute it."""
    region = dataclasses.replace(NEAR, intervals=((-104, 0),), anchors=(Anchor(-12.3456789, {}),))
    assert in_rows(verified, ROUNDED, region)[1] != []


def test_a_region_of_rows_drawn_too_narrow_leaves_points_uncovered(verified: Run) -> None:
    at = NEAR.anchors[0].input
    narrow = dataclasses.replace(NEAR, intervals=((at - 0.5, at + 0.5),))
    open_ = []
    for region in (NEAR, narrow):
        comparisons, _ = in_rows(verified, ROUNDED, region)
        open_.append(sum(c.uncovered["inaccurate"].count for c in comparisons if "inaccurate" in c.uncovered))
    assert open_[0] < open_[1]


# What a deviation may cover


def test_a_deviation_covers_natives_only() -> None:
    """A fault in an own implementation inside a declared region, with the declared cause, still fails."""
    report = crosscheck.verify(
        "sigmoid",
        dtypes=["float32"],
        orders=[1],
        implementations=["torch"],
        replace={"torch": SIGMOID.torch.native},
    )
    assert not report.passed


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"torch": "2.12.1"}, False),
        ({"jax": None}, False),
        ({"device": "gpu"}, False),
        ({"capability": "DEFAULT"}, False),
        ({"torch": "2.13.0+cpu"}, True),
    ],
    ids=str,
)
def test_the_environment_decides_whether_it_must_occur(changes: dict[str, Any], expected: bool) -> None:
    here = Environment(torch="2.13.0", jax="0.10.2", device="cpu", capability="AVX2")
    deviation = Deviation(
        id="one",
        cause="inaccurate",
        implementations=("torch.native", "jax.native"),
        regions=(FLOAT32,),
        reason="because",
        link="https://example.org",
        seen=(Seen(torch="~=2.13.0", jax="~=0.10.2"),),
    )
    assert seen_here(deviation, dataclasses.replace(here, **changes)) is expected
