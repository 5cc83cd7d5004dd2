"""Functions that take a row as numbers and their gates and give half as many results: here of a record of the test's own."""

import dataclasses
from collections.abc import Callable
from math import exp, inf, nan
from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from catalogue import NAMES
from contract import DTYPES, ORDERS
from explained import Explanation, assert_own_reproduced, assert_reproduced, declaring, parts
from flint import arb
from floats import FORMATS, FloatArray, Format, each_format, widen
from in_both import each_framework
from mpmath import mpf
from truths import Sample, coordinates, enclosures, fraction, matches, paired, precision, row_truth

import crosscheck
from crosscheck import Activation, Limits, Report, SpecError


def halves(x: Any, axis: int) -> tuple[Any, Any]:
    """The numbers of rows, and their gates."""
    before = (slice(None),) * (axis % len(x.shape))
    half = x.shape[axis] // 2
    return x[(*before, slice(None, half))], x[(*before, slice(half, None))]


def grown(m: Any, x: Any, axis: int = -1) -> Any:
    """a e^b: of the functions of a number and its gate the one whose derivatives are known best."""
    a, b = halves(x, axis)
    return a * m.exp(b)


def gradient(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
    a, b = halves(x, axis)
    return m.concatenate((m.exp(b) * v, a * m.exp(b) * v), axis)


def second(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
    (a, b), (p, q) = halves(x, axis), halves(w, axis)
    return m.concatenate((m.exp(b) * v * q, m.exp(b) * v * (p / 4 + a / 4 * q) * 4), axis)  # a q may overflow


def along(m: Any, x: Any, w: Any, axis: int = -1) -> Any:
    (a, b), (p, q) = halves(x, axis), halves(w, axis)
    return m.exp(b) * (p + a * q)


def in_framework(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda framework, *arguments, **parameters: rule(getattr(framework, "numpy", framework), *arguments, **parameters)


RULES = {"value": grown, "gradient": gradient, "second": second, "along": along}
GROWN = Activation(
    name="grown",
    definition=grown,
    derivative=gradient,
    second_derivative=second,
    **{f"{side}_{part}": in_framework(rule) for side in ("torch", "jax") for part, rule in RULES.items()},
    limits=Limits((nan, nan, nan), (nan, nan, nan)),
    parameters={"axis": -1},
    cases=({"axis": 0},),
    rows=True,
    symmetric=False,
    result="half",
    known_by="gate",
)
HALVING = {"grown": GROWN} | {n: crosscheck.activations[n] for n in NAMES if crosscheck.activations[n].result == "half"}
of_every_record = pytest.mark.parametrize("activation", HALVING.values(), ids=HALVING)

# What a record may say, and what the implementations take


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"result": "third"}, "result: got 'third', expected 'row', 'half' or 'one'"),
        ({"known_by": "gates"}, "known_by: got 'gates', expected 'largest', 'smallest' or 'gate'"),
        ({"known_by": "largest"}, "known_by: got 'largest' with the result 'half', expected 'gate' with 'half'"),
        ({"result": "row"}, "known_by: got 'gate' with the result 'row', expected 'gate' with 'half'"),
        ({"rows": False}, "result: got 'half', expected 'row' where it is not a function of rows"),
    ],
    ids=str,
)
def test_a_record_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=f"grown: {message}"):
        dataclasses.replace(GROWN, **changes)


def array_of(framework: str, values: FloatArray) -> Any:
    m = pytest.importorskip("torch" if framework == "torch" else "jax.numpy")
    return m.asarray(values)


@each_framework
@of_every_record
def test_the_results_are_half_as_many_along_any_axis(activation: Activation, framework: str) -> None:
    x = np.random.default_rng(1).uniform(-2, 2, (2, 6, 4)).astype(np.float32)
    for axis, shape in ((-1, (2, 6, 2)), (0, (1, 6, 4)), (1, (2, 3, 4))):
        result = getattr(activation, framework)(array_of(framework, x), axis=axis)
        assert tuple(result.shape) == shape
        np.testing.assert_allclose(result, activation.definition(np, x.astype(np.float64), axis=axis), rtol=1e-5)


@each_framework
@of_every_record
def test_an_odd_length_is_refused(activation: Activation, framework: str) -> None:
    function = getattr(activation, framework)
    x = array_of(framework, np.ones((2, 3), np.float32))
    message = rf"{activation.name}: x: got shape \(2, 3\), whose axis -1 is of odd length, expected an even one"
    with pytest.raises(ValueError, match=message):
        function(x)
    assert tuple(function(x, axis=0).shape) == (1, 3)


# The truth


@pytest.mark.parametrize("length", [2, 4, 20])
@each_format
def test_the_truth_is_mpmaths(fmt: Format, length: int) -> None:
    """Of a e^b, and of its derivatives, which mix no pair with another; v are the first entries of the direction w."""
    rng = np.random.default_rng(length)
    x, w = rng.uniform(-9, 9, (3, length)).astype(fmt.dtype), rng.standard_normal((3, length)).astype(fmt.dtype)
    half = length // 2
    result = row_truth(GROWN, x, w, ORDERS)
    assert [result[k].rounded.size for k in ORDERS] == [3 * half, 3 * length, 3 * length]
    with mpmath.workdps(100):
        for i, j in np.ndindex(3, half):
            a, b, v, p, q = (mpf(float(number)) for number in (x[i, j], x[i, j + half], w[i, j], w[i, j], w[i, j + half]))
            e = mpmath.exp(b)
            matches(result[0], i * half + j, fraction(a * e), fmt)
            for k, by_a, by_b in ((1, e * v, a * e * v), (2, e * v * q, e * v * p + a * e * v * q)):
                matches(result[k], i * length + j, fraction(by_a), fmt)
                matches(result[k], i * length + j + half, fraction(by_b), fmt)


@of_every_record
def test_the_definition_takes_each_pair_for_itself(activation: Activation) -> None:
    """As it is said of a function that halves rows, whose truth is found pair by pair."""
    rng = np.random.default_rng(3)
    x, w = rng.uniform(-9, 9, (1, 6)), rng.standard_normal((1, 6))
    with precision(256):
        whole = enclosures(activation, {}, w[0], [arb(entry) for entry in x[0].tolist()], ORDERS, closed=False)
        pairs = [
            enclosures(activation, {}, along, [arb(entry) for entry in pair.tolist()], ORDERS)
            for pair, along in zip(paired(x), paired(w), strict=True)
        ]
        for k in ORDERS:
            entries = [pair[k][place] for place in range(1 if k == 0 else 2) for pair in pairs]
            assert len(entries) == len(whole[k])
            for a, b in zip(entries, whole[k], strict=True):
                assert a.overlaps(b)
                assert max(a.rad(), b.rad()) < 2.0**-200


LIMITS: dict[str, tuple[tuple[float, float], float, tuple[float, float]]] = {
    "a number": ((2, 1), 2 * exp(1), (exp(1), 2 * exp(1))),
    "an infinite number": ((-inf, 1), -inf, (exp(1), -inf)),
    "an open gate": ((2, inf), inf, (inf, inf)),
    "a closed gate": ((2, -inf), 0, (0, 0)),
    "both": ((inf, inf), inf, (inf, inf)),
    "one against the other": ((inf, -inf), nan, (nan, nan)),
    "NaN": ((nan, 1), nan, (nan, nan)),
    "a gate of NaN": ((1, nan), nan, (nan, nan)),
}


@each_format
def test_each_pair_of_a_row_has_a_limit_of_its_own(fmt: Format) -> None:
    """An infinite number beside a closed gate has none: which of the two wins depends on how fast they grow."""
    pairs, values, slopes = (np.array(column) for column in zip(*LIMITS.values(), strict=True))
    x = pairs.T.reshape(1, -1).astype(fmt.dtype)
    result = row_truth(GROWN, x, np.ones_like(x), ORDERS)
    for k, expected in ((0, values), (1, slopes.T.ravel())):
        np.testing.assert_allclose(widen(result[k].rounded), expected, rtol=2.0 ** (1 - fmt.precision))
        assert (result[k].judged == ~(np.isnan(expected) & (k > 0))).all()
        assert not result[k].undecided.any()


# By what a point is known, and the rows that are tried


def test_a_point_is_known_by_the_gate_of_its_pair() -> None:
    x = np.array([[1.0, nan, 3.0, inf, -5.0, nan], [0, 0, 0, -0.0, inf, 1]], np.float32)
    sample = Sample.of_rows(x, -x, GROWN)
    np.testing.assert_array_equal(sample.known(0), [inf, -5, nan, -0.0, inf, 1])
    np.testing.assert_array_equal(sample.known(1), [inf, -5, nan] * 2 + [-0.0, inf, 1] * 2)
    assert np.signbit(sample.known(0)[3])
    assert sample.known(0).dtype == np.float32
    np.testing.assert_array_equal(sample.cotangent, -x[:, :3])
    assert (sample.width(0), sample.width(1)) == (3, 6)
    assert sample.rows(np.array([1]), 2.0).known(0).tolist() == [0, inf, 2]
    assert sample.tiled(7).known(2).shape == (42,)
    assert coordinates(x.astype(FORMATS["bfloat16"].dtype), "gate").dtype == FORMATS["bfloat16"].dtype


# Faults


def with_(change: Callable[[Any], Any], then: Callable[[Any], Any] = lambda y: y) -> Callable[..., Any]:
    return lambda x, axis: then(GROWN.torch(change(x), axis=axis))


def swapped(x: Any, axis: int) -> Any:
    a, b = halves(x, axis)
    return a.exp() * b


def in_pairs_of_neighbours(x: Any, axis: int) -> Any:
    odd = (slice(None),) * (axis % 2)
    return x[(*odd, slice(0, None, 2))] * x[(*odd, slice(1, None, 2))].exp()


FAULTS: dict[str, tuple[Any, list[int], str]] = {
    "the other half gates": (swapped, [0, 1], "definition"),
    "neighbours are pairs": (in_pairs_of_neighbours, [0, 1], "definition"),
    "half": (with_(lambda x: x, lambda y: y / 2), [0, 1, 2], "definition"),
    "no gradient": (with_(lambda x: x.detach()), [1, 2], "missing"),
    "as many results": (lambda x, axis: x, [0], "error"),
    "lost digits": (lambda x, axis: GROWN.torch(x.bfloat16(), axis=axis).to(x.dtype), [0, 1], "inaccurate"),
    "NaN for infinity": (with_(lambda x: x, lambda y: y + 0 * y), [0], "special"),
}


def judge(**options: Any) -> Report:
    """At gates at which e^b neither overflows nor is subnormal, of which the plain rules of the record take no care."""
    return crosscheck.verify(GROWN, dtypes=["float32"], implementations=["torch"], **options)


@pytest.fixture
def moderate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosscheck._arithmetic.sampling.GATES", (1.0, 10.0, 25.0))
    pairs = ((0, 0), (1e3, 1e-3), (1, inf), (2, -inf), (-1, nan), (nan, 1))
    monkeypatch.setattr("crosscheck._arithmetic.sampling.PAIRS", pairs)
    monkeypatch.setattr("crosscheck._verify.run.task.LENGTHS", dict.fromkeys((8, 32, 100), DTYPES))  # and no search


@pytest.mark.full
@pytest.mark.usefixtures("moderate")
def test_nothing_is_found_where_nothing_is_planted() -> None:
    report = crosscheck.verify(GROWN, dtypes=["float32", "bfloat16"])
    assert report.passed, report
    assert {c.wrt for c in report.comparisons} == {f"x, rows of {length}" for length in (8, 32, 100)}


@pytest.mark.full
@pytest.mark.usefixtures("moderate")
def test_rows_of_odd_lengths_are_not_tried() -> None:
    rows = {c.wrt for c in judge(thorough=True, orders=[0]).comparisons}
    rows -= {f"x, rows of {length}, found by a search" for length in (1000, 50256)}
    assert rows == {f"x, rows of {length}" for length in (2, 8, 32, 100, 1000, 50256, 131072)}


@pytest.mark.usefixtures("moderate")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    function, orders, cause = FAULTS[fault]
    report = judge(replace={"torch": function}, orders=orders, quick=True)
    assert report.comparisons
    for comparison in report.comparisons:
        assert not comparison.passed
        assert comparison.side == "torch"
        counts = {cause: seen.count for cause, seen in comparison.uncovered.items()} or {comparison.cause: 1}
        assert max(counts, key=counts.__getitem__) == cause, counts


@pytest.mark.usefixtures("moderate")
def test_a_single_wrong_result_is_found() -> None:
    gates: list[float] = []

    def fault(x: Any, axis: int) -> Any:
        if axis == -1 and x.shape[-1] == 8:
            gates[:] = gates or [x[3, 6].item()]
            return GROWN.torch(x, axis=axis) * (1 + 1e-4 * (x[:, 4:] == gates[0]).to(x.dtype))
        return GROWN.torch(x, axis=axis)

    (wrong,) = [
        (comparison, count)
        for comparison in judge(replace={"torch": fault}, orders=[0]).comparisons
        for cause, count in comparison.uncovered.items()
        if cause in ("definition", "inaccurate") and comparison.wrt == "x, rows of 8"
    ]
    assert wrong[1].count == 1
    assert wrong[1].worst.input == gates[0]


@pytest.mark.usefixtures("moderate")
def test_a_wrong_analytic_derivative_is_found() -> None:
    def swapped(m: Any, x: Any, v: Any, axis: int) -> Any:
        a, b = halves(gradient(m, x, v, axis), axis)
        return np.concatenate((b, a), axis)

    options: dict[str, Any] = {"implementations": ["analytic"], "dtypes": ["float64"], "orders": [1]}
    report = crosscheck.verify(GROWN, replace={"analytic": swapped}, **options)
    assert all(c.uncovered["definition"].count > 0.3 * c.points for c in report.comparisons)


GLU = crosscheck.activations["glu"]
IN_GLU: dict[str, tuple[Any, str, tuple[int, ...]]] = {
    "the other half gates": (lambda x, axis: halves(x, axis)[1] * halves(x, axis)[0].sigmoid(), "definition", (1000,)),
    "a gate by tanh": (lambda x, axis: halves(x, axis)[0] * halves(x, axis)[1].tanh(), "definition", (1000,)),
    "a gate that is lost": (
        lambda x, axis: GLU.torch(x, axis=axis) * (halves(x, axis)[1] > -80).to(x.dtype),
        "inaccurate",
        (1000,),
    ),
    "infinity times 0": (lambda x, axis: GLU.torch(x, axis=axis) + 0 * halves(x, axis)[0], "special", ()),
}
"""The faults, their causes, and in which rows they show beside those of up to 100 entries: longer ones have no infinity."""


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=[pytest.mark.full] * (fault in FAULTS)) for fault in IN_GLU])
def test_a_fault_in_glu_is_found(fault: str) -> None:
    function, cause, longer = IN_GLU[fault]
    options: dict[str, Any] = {"implementations": ["torch", "jax"], "orders": [0], "dtypes": ["float32"]}
    report = crosscheck.verify("glu", replace={"torch": function}, **options)
    wrong = [comparison for comparison in report.comparisons if not comparison.passed]
    assert {comparison.side for comparison in wrong} == {"torch"}
    assert {comparison.wrt for comparison in wrong} >= {f"x, rows of {length}" for length in (2, 8, 32, 100, *longer)}
    for comparison in wrong:
        assert cause in comparison.uncovered


# What is told of them


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axis", [-1, pytest.param(0, marks=pytest.mark.full)])
@pytest.mark.parametrize("dtype", [pytest.param("float64", marks=pytest.mark.full), "bfloat16"])
def test_the_snippets_reproduce_it(order: int, axis: int, dtype: str, told: Callable[..., Explanation]) -> None:
    for gate in (0.0, -12.375):
        (part,) = parts(told(declaring(GLU, gate, dtype, order, parameters={"axis": axis})))
        assert_reproduced(part)
        assert (part.sighting.order, part.row.known_by, repr(part.row.extreme)) == (order, "gate", repr(gate))
        assert part.row.position is not None


@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")  # of the formula, beside the largest gates
def test_the_snippets_of_the_own_implementations_and_the_formula_reproduce_them(told: Callable[..., Explanation]) -> None:
    def wrong(m: Any, x: Any, *directions: Any, axis: int = -1) -> Any:
        return 1.5 * (gradient if directions else grown)(m, x, *directions, axis)

    values = {f"{side}_value": in_framework(wrong) for side in ("torch", "jax")}
    broken = dataclasses.replace(GROWN, **values)
    assert_own_reproduced(told, broken, wrong)


def test_it_is_drawn_as_its_gate_varies() -> None:
    figure = crosscheck.plot(GROWN, dtype="float64", range=(-2, 2))
    assert "the pair (1, x), where x is the gate" in figure.get_suptitle()
    for axes in figure.axes[:2]:
        for line in axes.lines:
            np.testing.assert_allclose(line.get_ydata(), np.exp(line.get_xdata()), rtol=1e-15)


@pytest.mark.parametrize("axis", [-1, 0])
def test_it_is_identified(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosscheck._compare.compare.activations", {"grown": GROWN, **crosscheck.activations})

    def in_torch(x: Any) -> Any:
        a, b = x.chunk(2, axis)
        return a * b.exp()

    def in_jax(x: Any) -> Any:
        a, b = jnp.split(x, 2, axis)
        return a * jnp.exp(b)

    for function, framework in ((in_torch, "torch"), (in_jax, "jax")):
        identity = crosscheck.identify(function, framework)
        assert identity is not None
        assert (identity.name, identity.parameters, identity.also) == ("grown", {"axis": axis}, ())
        assert crosscheck.identify(lambda x, f=function: f(x) * 1.01, framework) is None
