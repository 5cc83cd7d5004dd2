"""The report of compare: a line to act on, a short story, numbers that the usual checks agree with, strict JSON."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from compared import noted

import crosscheck
from crosscheck import Comparison, Fact, PairReport, compare

pytestmark = pytest.mark.full

NAN, INF = float("nan"), float("inf")
X = np.array([-1.5, -0.25, 0.5, 2.0], np.float32)
NARROW = {"bfloat16": ml_dtypes.bfloat16}
LONG = "a name that goes on " * 12

FIELDS = {
    *("function", "parameters", "output", "wrt", "implementation", "against", "dtype", "order", "mode", "device", "points"),
    *("exhaustive", "passed", "cause", "causes", "side", "max_ulp", "max_ulp_of_truth", "max_abs", "worst", "deviations"),
    *("excepted", "uncovered", "diagnosed", "new", "undecided", "message", "notes", "figures"),
}
POINT = {"input", "input_bits", "got", "expected", "ulp", "ulp_of_truth", "element", "truth"}
FIGURES = {f"{name}_{part}" for name in ("abs", "rel", "ulp") for part in ("p50", "p99", "max")} | {
    "torch_ulp",
    "jax_ulp",
    "rtol",
    "atol",
    "assert_close_notices",
    "assert_allclose_notices",
}


def of(a: Any, b: Any, dtype: str = "float32", **options: Any) -> PairReport:
    """The report on a torch function that gives ``a`` and a JAX function that gives ``b``."""
    a, b = (
        array.astype(NARROW.get(dtype, dtype)) if array.dtype.kind == "f" else array for array in map(np.asarray, (a, b))
    )
    return compare(lambda x: x, lambda x: jnp.asarray(b), a, dtype=dtype, order=0, modes="eager", **options)


def only(report: PairReport) -> Comparison:
    (comparison,) = report.comparisons
    return comparison


def notices(check: Callable[[], object]) -> bool:
    try:
        check()
    except AssertionError:
        return True
    return False


def off(size: float, seed: int = 0, count: int = 200) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two arrays of float32 that are this far apart, relatively."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count).astype(np.float32)
    return a, (a * (1 + size * rng.uniform(-1, 1, count))).astype(np.float32)


# The verdict.


@pytest.mark.parametrize(
    ("jax_fn", "start", "cause", "side"),
    [
        (jnp.sin, "AGREE: ", None, None),
        (lambda x: jnp.sin(x) * 1.01, "DISAGREE (definition): ", "definition", None),
        (lambda x: jnp.where(x == 0.5, jnp.nan, jnp.sin(x)), "DISAGREE (special): ", "special", "jax"),
        (lambda x: jnp.sin(x.astype("bfloat16").astype("float32") * 1), "DISAGREE (inaccurate): ", "inaccurate", "jax"),
        (lambda x: jnp.sin(x[:1]), "FAILED: ", "error", None),
    ],
)
def test_the_first_line_is_the_verdict(jax_fn: Any, start: str, cause: str | None, side: str | None) -> None:
    x = np.array([-1.503, -0.2511, 0.5, 2.0001], np.float32)
    report = compare(torch.sin, jax_fn, x, order=0)
    assert (report.passed, report.cause, report.side) == (cause is None, cause, side), str(report)
    assert report.headline.startswith(start)
    assert " ".join(report.story().split()).startswith(report.headline)
    assert " ".join(str(report).split()).startswith(" ".join(report.story().split()))


def test_a_long_verdict_is_a_headline_that_fits_and_the_rest_below_it() -> None:
    def biased(x: Any) -> Any:
        return x.std()

    report = compare(biased, biased, X[:20], order=0)
    assert len(report.verdict) > 100
    head, rest, *_ = report.story().splitlines()
    assert head == report.headline
    word, names = "DISAGREE (definition): ", "biased / biased: "
    assert head.startswith(word)
    (fact,) = report.diagnosis.facts
    assert (fact.kind, fact.what, fact.role) == ("times", "sqrt((n - 1) / n)", "JAX")
    assert head.endswith(" ...")
    assert report.verdict.startswith(word + names + fact.words())
    assert report.verdict == word + rest.strip()
    assert report.markdown().startswith(f"**{head}**\n\n{names}")
    assert f">{head}</p>\n<p>{names}" in report._repr_html_()
    assert compare(torch.tanh, jnp.tanh, X).story().splitlines()[0] == compare(torch.tanh, jnp.tanh, X).headline


def test_the_names_of_both_functions_are_said() -> None:
    def same(x: Any) -> Any:
        return x

    assert "sin / same: " in compare(torch.sin, same, X, order=0).headline
    assert "Tanh / tanh: " in compare(torch.nn.Tanh(), jnp.tanh, X, order=0).headline


def test_what_is_the_same_to_the_bit_is_said_to_be() -> None:
    same, nearly = of(X, X), of(*off(1e-7))
    assert [set(report.comparisons[0].causes) == {"exact"} for report in (same, nearly)] == [True, False]
    assert [Fact("to the bit").words() in report.headline for report in (same, nearly)] == [True, False]


def test_the_lowest_order_that_differs_comes_first() -> None:
    report = compare(torch.sin, lambda x: jnp.sin(x) * 1.01, X)
    assert report.decisive is not None
    assert report.decisive.order == 0
    assert {(c.order, c.cause) for c in report.comparisons} == {(0, "definition"), (1, "definition")}


def awful(x: Any, wrong: float = 1.0) -> Any:
    return {LONG + str(i): ((x * i).sum() if i % 2 else x * wrong) for i in range(12)}


awful.__name__ = LONG


def shouting(*_: Any) -> Any:
    raise RuntimeError("\n".join(["a line of an error " * 200] * 50))


AWFUL: dict[str, Callable[[], PairReport]] = {
    "many outputs": lambda: compare(awful, lambda x: awful(x, 1.5), X, order=0, modes="jit"),
    "many outputs, other structure": lambda: compare(awful, lambda x: x, X, order=0),
    "many inputs": lambda: compare(
        lambda tree: sum(tree.values()),
        lambda tree: sum(tree.values()) * 1.5,
        {LONG + str(i): X for i in range(6)},
        modes="jit",
    ),
    "many accepted": lambda: compare(
        torch.sin,
        lambda x: jnp.sin(x) * 1.5,
        np.linspace(1, 2, 40),
        order=0,
        accept=[("definition", (1 + i / 40, 1 + (i + 0.9) / 40)) for i in range(39)],
    ),
    "a long error": lambda: compare(shouting, shouting, X, order=0),
    "many shapes": lambda: compare(lambda x: [x] * 60, lambda x: [x] * 59 + [x[:1]], X, order=0),
    "infinities": lambda: of([INF, 1, NAN, 0, -INF], [1, INF, 1, -INF, NAN]),
}


@pytest.mark.parametrize("case", AWFUL)
def test_the_story_is_short_whatever_happens(case: str) -> None:
    report = AWFUL[case]()
    assert not report.passed
    lines = report.story().splitlines()
    assert len(lines) < 25
    assert report.headline.startswith(lines[0])
    assert len(lines[0]) <= 100
    assert "\n" not in report.headline
    assert max(map(len, lines)) <= 500


def test_both_losing_digits_alike_passes_and_is_said() -> None:
    x = np.linspace(1e-4, 1e-3, 50)
    report = compare(lambda x: 1 - torch.cos(x), lambda x: 1 - jnp.cos(x), x, order=0)
    assert report.passed
    assert "both lose digits" in noted(report)


# The figures.


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_the_figures_are_those_of_numpy(dtype: str) -> None:
    kind = NARROW.get(dtype, dtype)
    rng = np.random.default_rng(1)
    a = rng.normal(size=500).astype(kind)
    b = (a.astype(np.float64) * (1 + 0.05 * rng.uniform(-1, 1, 500))).astype(kind)
    figures = only(of(a, b, dtype)).figures
    assert set(figures) == FIGURES
    x, y = a.astype(np.float64), b.astype(np.float64)
    apart = np.abs(x - y)
    precision = {"float64": 53, "float32": 24, "bfloat16": 8, "float16": 11}[dtype]
    unit = 2.0 ** (np.floor(np.log2(np.maximum(np.abs(x), np.abs(y)))) - (precision - 1))
    for name, values in (("abs", apart), ("rel", apart / np.abs(y)), ("ulp", apart / unit)):
        assert figures[f"{name}_p50"] == pytest.approx(np.percentile(values, 50, method="lower"), rel=1e-12)
        assert figures[f"{name}_p99"] == pytest.approx(np.percentile(values, 99, method="lower"), rel=1e-12)
        assert figures[f"{name}_max"] == pytest.approx(values.max(), rel=1e-12)
    assert (figures["rtol"], figures["atol"]) == (figures["rel_max"], figures["abs_max"])


def test_the_accuracy_is_against_the_truth() -> None:
    x = np.linspace(0.5, 2, 100).astype(np.float32)
    worse = np.exp(x.astype(np.float64)) * (1 + 2.0**-18)
    report = compare(torch.exp, lambda x: jnp.exp(x) * np.float32(1 + 2.0**-18), x, order=0, exact=lambda m, x: m.exp(x))
    truth = np.exp(x.astype(np.float64))
    got = torch.exp(torch.from_numpy(x)).double().numpy()
    unit = np.spacing(truth.astype(np.float32)).astype(np.float64)
    for comparison in report.comparisons:
        assert comparison.figures["torch_ulp"] == pytest.approx((np.abs(got - truth) / unit).max(), rel=1e-6)
        assert comparison.figures["jax_ulp"] == pytest.approx((np.abs(worse - truth) / unit).max(), abs=2)


def test_where_no_truth_is_known_no_accuracy_is_claimed() -> None:
    report = compare(lambda x: x * 2, lambda x: x * 3, X, order=0, modes="eager")
    assert np.isnan(only(report).figures["torch_ulp"])


def test_of_two_that_agree_the_one_much_nearer_the_truth_is_named() -> None:
    def scan(x: Any) -> Any:
        return jax.lax.scan(lambda total, entry: (total + entry, None), jnp.zeros((), x.dtype), x)[0]

    report = compare(torch.sum, scan, crosscheck.uniform(0, 1, (3000,)), order=0, dtype="float16", seed=1)
    assert report.passed
    errors = [tuple(f"{c.figures[name]:.3g}" for name in ("torch_ulp", "jax_ulp")) for c in report.comparisons]
    nearer = [Fact("nearer", "value", "PyTorch", torch=torch_ulp, jax=jax_ulp) for torch_ulp, jax_ulp in errors]
    assert any(fact.words() in report.story() for fact in nearer)
    assert "nearer" not in compare(torch.sum, jnp.sum, crosscheck.normal(64), order=0).story()


SMALL = np.float32(1e-6)
NOTICED = [
    ("float32", X, X, (False, False)),
    ("float32", X, X * np.float32(1 + 2.0**-23), (False, None)),
    ("float32", X, X * np.float32(1 + 1e-6), (False, True)),
    ("float32", X, X * np.float32(1 + 1e-3), (True, True)),
    ("float32", [0.0, 1.0], [SMALL, 1.0], (False, True)),
    ("float32", [SMALL, 1.0], [0.0, 1.0], (False, True)),
    ("float32", [0.0, 1.0], [1e-3, 1.0], (True, True)),
    ("float32", [INF, -INF, 1.0], [INF, -INF, 1.0], (False, False)),
    ("float32", [INF, 1.0], [-INF, 1.0], (True, True)),
    ("float32", [INF, 1.0], [1.0, 1.0], (True, True)),
    ("float32", [1.0, 1.0], [INF, 1.0], (True, True)),
    ("float32", [NAN, 1.0], [1.0, 1.0], (True, True)),
    ("float32", [1.0, 1.0], [NAN, 1.0], (True, True)),
    ("float32", [NAN, 1.0], [NAN, 1.0], (True, False)),
    ("float64", [0.0, 1.0], [5e-8, 1.0], (False, True)),
    ("float64", [1.0, 2.0], [1 + 5e-8, 2.0], (False, False)),
    ("float64", [1.0, 2.0], [1 + 1.5e-7, 2.0], (False, True)),
    ("float64", [1.0, 2.0], [1 + 1e-6, 2.0], (True, True)),
    ("bfloat16", [1.0, 2.0], [1 + 2.0**-7, 2.0], (False, True)),
    ("bfloat16", [1.0, 2.0], [1 + 2.0**-4, 2.0], (True, True)),
    ("float16", [1.0, 2.0], [1 + 2.0**-10, 2.0], (False, True)),
    ("float16", [1.0, 2.0], [1 + 2.0**-7, 2.0], (True, True)),
    ("float32", np.array([10**8, 1], np.int32), np.array([10**8 + 1, 1], np.int32), (True, False)),
    ("float32", np.array([3, 1], np.int32), np.array([4, 1], np.int32), (True, True)),
    ("float32", np.array([3, 1], np.int32), np.array([3, 1], np.int32), (False, False)),
]


@pytest.mark.parametrize(("dtype", "a", "b", "expected"), NOTICED, ids=str)
def test_what_the_usual_checks_notice_is_what_they_do_notice(
    dtype: str, a: Any, b: Any, expected: tuple[bool | None, bool | None]
) -> None:
    a, b = (
        array.astype(NARROW.get(dtype, dtype)) if array.dtype.kind == "f" else array for array in map(np.asarray, (a, b))
    )
    figures = only(of(a, b, dtype)).figures

    def tensor(array: Any) -> Any:
        return torch.from_numpy(array.astype(np.float32)).bfloat16() if dtype == "bfloat16" else torch.from_numpy(array)

    real = (
        notices(lambda: torch.testing.assert_close(tensor(a), tensor(b))),
        notices(lambda: np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64))),
    )
    assert all(notices in (None, is_so) for notices, is_so in zip(expected, real, strict=True)), (
        "the example is not what it says"
    )
    assert (figures["assert_close_notices"], figures["assert_allclose_notices"]) == real


def test_the_story_says_who_would_have_noticed() -> None:
    report = of(X, X * np.float32(1 + 1e-6))
    figures = only(report).figures
    assert (figures["assert_close_notices"], figures["assert_allclose_notices"]) == (False, True)
    said = Fact("unnoticed", "torch.testing.assert_close"), Fact("noticed", "numpy.testing.assert_allclose")
    assert ", ".join(fact.words() for fact in said) in report.story()


@pytest.mark.parametrize("seed", range(12))
def test_the_printed_tolerances_pass_and_a_tenth_less_does_not(seed: int) -> None:
    a, b = off(10.0 ** -(seed % 6 + 1), seed)
    match = re.search(r"passes with rtol (\S+) or atol ([^;]+);", of(a, b).story())
    assert match is not None
    rtol, atol = map(float, match.groups())
    x, y = a.astype(np.float64), b.astype(np.float64)
    assert np.allclose(x, y, rtol=rtol, atol=0)
    assert np.allclose(x, y, rtol=0, atol=atol)
    assert not np.allclose(x, y, rtol=0.9 * rtol, atol=0)
    assert not np.allclose(x, y, rtol=0, atol=0.9 * atol)


def test_where_no_relative_tolerance_would_pass_the_headline_gives_an_absolute_one() -> None:
    x = np.random.default_rng(0).normal(size=50)
    report = compare(lambda x: x.sum(), lambda x: jnp.cumsum(x)[-1], np.concatenate([x, -x]), order=0, modes="eager")
    figures = only(report).figures
    assert report.passed
    assert figures["rtol"] > 1
    match = re.search(r"atol (\S+) holds", report.headline)
    assert match is not None
    assert figures["atol"] <= float(match[1]) < 1.1 * figures["atol"]


def test_the_headline_of_an_agreement_holds_for_everything_compared() -> None:
    report = compare(lambda x: torch.softmax(x, 0), lambda x: jax.nn.softmax(x, 0), crosscheck.normal(64), order=2)
    assert report.passed
    match = re.search(r"(rtol|atol) (\S+) holds", report.headline)
    assert match is not None
    assert float(match[2]) >= max(c.figures[match[1]] for c in report.comparisons)


# The element and the input.


def wrong_at(value: float, by: float) -> Callable[[Any], Any]:
    return lambda x: jnp.where(x == value, x * 2 + by, x * 2)


@pytest.mark.parametrize(
    ("shape", "element"), [((), ()), ((5,), (3,)), ((3, 4), (1, 2)), ((2, 3, 4, 5), (1, 2, 0, 4))], ids=str
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_the_element_its_input_and_both_results_are_right(
    shape: tuple[int, ...], element: tuple[int, ...], dtype: str
) -> None:
    x = (np.arange(1, np.prod(shape) + 1) / 8).reshape(shape)
    value = float(x[element])
    report = compare(lambda x: x * 2, wrong_at(value, 1), x, order=0, dtype=dtype)
    for comparison in report.comparisons:
        count = comparison.uncovered["definition"]
        assert (count.count, count.worst.element, count.worst.input) == (1, element, value)
        assert (count.worst.got, count.worst.expected) == (2 * value, 2 * value + 1)
        bits = {"float64": np.uint64, "float32": np.uint32, "bfloat16": np.uint16}[dtype]
        held = np.array([value]).astype(NARROW.get(dtype, dtype)).view(bits)[0]
        assert count.worst.input_bits == f"0x{held:0{2 * np.dtype(bits).itemsize}x}"
        assert f"input {value!r} ({count.worst.input_bits})" in report.story()
    assert f"[{', '.join(map(str, element))}]" in report.story() or not element


def test_of_several_wrong_elements_the_worst_is_shown() -> None:
    x = np.arange(1, 11) / 8
    wrong = lambda x: x * 2 + (x == 0.25) * 0.01 + (x == 0.75) * 0.2 + (x == 1.0) * 0.02  # noqa: E731
    report = compare(lambda x: x * 2, wrong, x, order=0)
    assert report.decisive is not None
    count = report.decisive.uncovered["definition"]
    assert (count.count, count.worst.element, count.worst.input) == (3, (5,), 0.75)


def test_the_element_of_a_gradient_is_a_place_in_the_input() -> None:
    weights = np.arange(1.0, 13.0, dtype=np.float32).reshape(3, 4)
    others = weights.copy()
    others[2, 1] += 1
    x = np.ones((3, 4), np.float32)
    x[2, 1] = 0  # so that the value is the same
    report = compare(lambda x: (x * torch.from_numpy(weights)).sum(), lambda x: (x * others.astype(x.dtype)).sum(), x)
    assert [c.order for c in report.comparisons if not c.passed] == [1, 1]
    assert report.decisive is not None
    worst = report.decisive.uncovered["definition"].worst
    assert (worst.element, worst.input) == ((2, 1), 0.0)
    assert worst.expected / worst.got == pytest.approx(others[2, 1] / weights[2, 1], rel=1e-5)


def test_the_element_of_a_value_that_depends_on_all_is_a_place_in_the_output() -> None:
    def wrong(x: Any) -> Any:
        return (x @ x.T).at[1, 2].add(1.0)

    report = compare(lambda x: x @ x.T, wrong, crosscheck.normal((3, 5)), order=0)
    assert report.decisive is not None
    worst = report.decisive.uncovered["definition"].worst
    assert worst.element == (1, 2)
    assert worst.input_bits == ""
    assert worst.expected - worst.got == pytest.approx(1, abs=1e-4)


# JSON.


def written(report: PairReport, folder: Path) -> Any:
    report.to_json(folder / "report.json")
    return json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)


def test_json_has_the_documented_layout(tmp_path: Path) -> None:
    report = compare(torch.sin, lambda x: jnp.sin(x) * 1.01, X)
    data = written(report, tmp_path)
    assert data["schema"] == "crosscheck.report/1"
    assert set(data) == {"schema", "environment", "comparisons", "summary"}
    assert data["environment"]["torch"]["version"] == torch.__version__
    summary = data["summary"]
    assert (summary["headline"], summary["cause"], summary["side"]) == (report.headline, report.cause, report.side)
    assert (summary["passed"], summary["failed"], summary["points"]) == (False, 4, report.compared)
    assert len(data["comparisons"]) == len(report.comparisons) == 4
    for entry, comparison in zip(data["comparisons"], report.comparisons, strict=True):
        assert set(entry) == FIELDS
        assert set(entry["figures"]) == FIGURES
        assert entry["figures"]["abs_max"] == comparison.figures["abs_max"]
        for count in (*entry["causes"].values(), *entry["uncovered"].values()):
            assert set(count["worst"]) == POINT
            assert re.fullmatch("0x[0-9a-f]{8}", count["worst"]["input_bits"])
            (element,) = count["worst"]["element"]
            assert X[element] == count["worst"]["input"]


def test_numbers_that_json_lacks_are_strings(tmp_path: Path) -> None:
    data = written(of([INF, NAN, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]), tmp_path)
    (comparison,) = data["comparisons"]
    worst = comparison["causes"]["special"]["worst"]
    assert {worst["got"], worst["input"]} <= {"inf", "nan"}
    assert comparison["figures"]["rtol"] == "inf"


def test_a_report_without_anything_compared_is_written_too(tmp_path: Path) -> None:
    report = compare(shouting, lambda x: x, X, order=0)
    data = written(report, tmp_path)
    (comparison,) = data["comparisons"]
    assert set(comparison) == FIELDS
    assert "raised RuntimeError" in comparison["message"]
    assert (data["summary"]["passed"], data["summary"]["points"], data["summary"]["side"]) == (False, 0, "torch")


def test_what_was_accepted_is_in_the_json(tmp_path: Path) -> None:
    report = compare(lambda x: x * 2, lambda x: x * 3, X, order=0, accept=[("definition", (-9, 9))])
    data = written(report, tmp_path)
    assert data["summary"]["passed"] is True
    assert data["summary"]["deviations"] == list(report.deviations) == ["definition in [-9, 9]"]


def test_a_report_on_other_functions_says_nothing_that_it_denies() -> None:
    """Of a truth that is not known, and of differences that are too small, beside such as are not."""
    report = compare(torch.nn.functional.softsign, lambda x: x / (1 - jnp.abs(x)), order=0)
    story = report.story()
    assert "where PyTorch adds abs(x) and 1" in story
    assert "truth     not known" in story
    assert "accuracy  not known" in story
    assert "too little for float32" not in story
