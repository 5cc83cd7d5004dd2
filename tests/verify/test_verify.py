"""The catalogue's verdicts: torch against JAX, each against the proven formula, values and derivatives."""

import itertools
from collections.abc import Callable, Iterable
from math import inf

import pytest
from catalogue import ELEMENTWISE, NAMES, ROWS
from conftest import Verified
from contract import DTYPES, LENGTHS, ORDER_IDS, ORDERS, OTHER_LENGTHS, PASSING, budget

import crosscheck
from crosscheck import Comparison, Report

WHO = {
    "torch-vs-jax": ("torch", "jax"),
    "torch-vs-formula": ("torch", "exact"),
    "jax-vs-formula": ("jax", "exact"),
}
Run = Callable[[str], Verified]


FEWEST = {"elementwise": 8000, "of half of the numbers": 4000, "rows": 30, "one number a row": 5}
"""More inputs than so many are judged in each comparison."""

ALONG_DEFAULT = (1, 2, 8, 100, 1000, 50257)
"""The lengths of rows along the default axis that are judged unless others are asked for."""
IN_EVERY_DTYPE = (8, 100)
SEARCHED = ("float32", "float64")

UNDECIDED = {"tanhshrink": 18}
"""x - tanh(x) is x - 1 + 2 e^-2x for large x: where x - 1 is a tie, only 10^16 digits would tell which way it is rounded."""


def _kind(name: str) -> str:
    activation = crosscheck.activations[name]
    if activation.rows:
        return "one number a row" if activation.result == "one" else "rows"
    return "elementwise" if activation.domain == (-inf, inf) else "of half of the numbers"


def taken(name: str, lengths: Iterable[int]) -> list[int]:
    """The lengths of rows that the function is defined for."""
    activation = crosscheck.activations[name]
    return [length for length in lengths if activation.takes(length)] + [50256] * (
        50257 in lengths and not activation.takes(1)
    )


def select(report: Report, **wanted: object) -> list[Comparison]:
    return [c for c in report.comparisons if all(getattr(c, name) == value for name, value in wanted.items())]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("order", ORDERS, ids=ORDER_IDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_own_implementations_agree(verified: Run, name: str, dtype: str, order: int, who: str) -> None:
    implementation, against = WHO[who]
    comparisons = select(verified(name).report, dtype=dtype, order=order, implementation=implementation, against=against)
    assert comparisons
    for comparison in comparisons:
        assert set(comparison.causes) <= PASSING, comparison.causes
        assert comparison.passed
        assert comparison.points > FEWEST[_kind(name)]
        if against == "exact":
            assert comparison.max_ulp <= budget(dtype, order)


@pytest.mark.parametrize("side", ["torch", "jax"])
@pytest.mark.parametrize("order", ORDERS, ids=ORDER_IDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_own_is_at_most_half_an_ulp_less_accurate_than_the_native(
    verified: Run, name: str, dtype: str, order: int, side: str
) -> None:
    """The accuracy bar, in the maximum over the same inputs."""
    if side not in crosscheck.activations[name].natives:
        pytest.skip(f"{side} ships none")

    def worst(implementation: str) -> float:
        comparisons = select(verified(name).report, dtype=dtype, order=order, implementation=implementation, against="exact")
        return max(comparison.max_ulp for comparison in comparisons if comparison.wrt in shared)

    shared = {c.wrt for c in select(verified(name).report, dtype=dtype, order=order, implementation=f"{side}.native")}
    assert worst(side) <= worst(f"{side}.native") + 0.5


@pytest.mark.parametrize("order", [1, 2], ids=ORDER_IDS[1:])
@pytest.mark.parametrize("name", NAMES)
def test_the_analytic_derivative_is_proven(verified: Run, name: str, order: int) -> None:
    comparisons = select(verified(name).report, implementation="analytic", order=order)
    lengths = len(taken(name, (*IN_EVERY_DTYPE, 1000))) if name in ROWS else 1
    assert len(comparisons) == lengths + len(crosscheck.activations[name].cases)
    for comparison in comparisons:
        assert comparison.dtype == "float64"
        assert set(comparison.causes) <= PASSING


@pytest.mark.parametrize("name", NAMES)
def test_it_passes_and_every_input_is_decided(verified: Run, name: str) -> None:
    report = verified(name).report
    assert report.passed
    assert max(comparison.undecided for comparison in report.comparisons) == UNDECIDED.get(name, 0)
    assert not [finding for finding in report.findings if finding.failed]


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_passes(name: str) -> None:
    """In float32 alone; the session `catalogue` judges each function in every dtype and mode."""
    report = crosscheck.verify(name, quick=True)
    assert report.passed, str(report)
    assert {(c.dtype, c.order) for c in report.comparisons} == {("float32", order) for order in ORDERS}


@pytest.mark.parametrize("name", NAMES)
def test_sixteen_bits_are_exhaustive(verified: Run, name: str) -> None:
    comparisons = verified(name).report.comparisons
    exhaustive = [c for c in comparisons if c.exhaustive]
    assert {c.dtype for c in exhaustive} == ({"bfloat16", "float16"} if name in ELEMENTWISE else set())
    assert all(c.points == 2**16 for c in exhaustive if c.order == 0 and c.against == "exact")


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({"quick": True}, {100}),
        ({}, {8, 32, 100, 50257}),
        pytest.param({"thorough": True}, {*LENGTHS, 32, 50257, 131072}, marks=pytest.mark.full),
    ],
    ids=["quick", "default", "thorough"],
)
def test_how_many_lengths_of_rows_are_judged(options: dict[str, bool], lengths: set[int]) -> None:
    report = crosscheck.verify("softmax", dtypes=["bfloat16"], orders=[0], implementations=["torch"], **options)
    rows = {comparison.wrt for comparison in report.comparisons if not comparison.wrt.endswith("found by a search")}
    assert rows == {f"x, rows of {length}" for length in lengths}


def assert_lengths(report: Report, name: str, dtypes: Iterable[str], along_default: Iterable[int]) -> None:
    """Along the default axis these lengths at least, along another one OTHER_LENGTHS, in these dtypes and every order.

    Where the function is defined for them: half of a row is of an even one.
    """
    default, *cases = (crosscheck.activations[name].parameters, *crosscheck.activations[name].cases)
    for parameters, lengths in ((default, along_default), *((case, OTHER_LENGTHS) for case in cases)):
        for dtype, order in itertools.product(dtypes, ORDERS):
            comparisons = select(report, parameters=parameters, dtype=dtype, order=order)
            assert {c.wrt for c in comparisons} >= {f"x, rows of {length}" for length in taken(name, lengths)}


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_the_usual_lengths_are_judged(verified: Run, name: str) -> None:
    assert_lengths(verified(name).report, name, DTYPES, IN_EVERY_DTYPE)
    assert_lengths(verified(name).report, name, ["float32"], ALONG_DEFAULT)


@pytest.mark.parametrize("name", ROWS)
def test_the_worst_row_that_a_search_found_is_judged_and_named(verified: Run, name: str) -> None:
    """In both frameworks, of the own implementations."""
    searched = [c for c in verified(name).report.comparisons if c.wrt == "x, rows of 1000, found by a search"]
    expected = set(itertools.product(SEARCHED, ORDERS, ("torch", "jax")))
    assert {(c.dtype, c.order, c.implementation) for c in searched} == expected
    for comparison in searched:
        (note,) = comparison.notes
        assert note.startswith("worst row: ")
        assert note.endswith(f": {comparison.max_ulp:.3g} ULP")


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_every_length_are_judged_and_pass(name: str) -> None:
    report = crosscheck.verify(name, thorough=True)
    assert report.passed, str(report)
    assert_lengths(report, name, DTYPES, (*LENGTHS, 50257))


def test_both_frameworks_lose_the_gradient_of_sigmoid() -> None:
    """Found by the run: 0 in float32 at 19.5, where the gradient is 3.4e-9."""
    report = crosscheck.verify("sigmoid", dtypes=["float32"], orders=[1], without=["sigmoid-derivative-lost-tail"])
    assert not report.passed
    for implementation in ("torch.native", "jax.native"):
        for comparison in select(report, implementation=implementation, against="exact"):
            assert comparison.cause == "inaccurate"
            assert comparison.side == implementation.partition(".")[0]
            assert comparison.uncovered["inaccurate"].count > 500


@pytest.mark.parametrize("name", NAMES)
def test_every_comparison_has_a_verdict_for_every_implementation(verified: Run, name: str) -> None:
    comparisons = verified(name).report.comparisons
    seen = {(c.implementation, c.against, c.dtype, c.order, c.mode) for c in comparisons}
    each = [(*c.parameters.values(), c.wrt, c.implementation, c.against, c.dtype, c.order, c.mode) for c in comparisons]
    assert len(set(each)) == len(comparisons)
    shipped = crosscheck.activations[name].natives
    raised = {(c.order, c.dtype) for c in comparisons if c.message}
    for dtype, order in itertools.product(DTYPES, ORDERS):
        for implementation, against, mode in (
            ("torch", "exact", "eager"),
            ("jax", "exact", "eager"),
            ("jax", "exact", "jit"),
            ("torch", "jax", "jit"),
            *([("torch.native", "exact", "eager")] if "torch" in shipped else []),
            *([("jax.native", "exact", "jit")] if "jax" in shipped else []),
            *([("torch.native", "jax.native", "eager")] if len(shipped) == 2 and (order, dtype) not in raised else []),
        ):
            assert (implementation, against, dtype, order, mode) in seen


def test_the_same_seed_gives_the_same_report() -> None:
    first, second = (crosscheck.verify("relu", quick=True, seed=3) for _ in range(2))
    assert str(first) == str(second)


def test_several_names_a_record_and_an_alias_are_understood() -> None:
    relu = crosscheck.activations["relu"]
    report = crosscheck.verify(["relu", relu], dtypes=["float32", "bfloat16"], orders=[0], implementations=["torch"])
    assert {comparison.function for comparison in report.comparisons} == {"relu"}
    assert len(report.comparisons) == 2
