"""Explanations: every declared disagreement with its evidence, and snippets that print what they promise when run."""

import contextlib
import dataclasses
import io
import json
import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Verified
from contract import CAUSES
from floats import FORMATS, bits_of
from in_both import torch_compiles
from kept import environment

import crosscheck
from crosscheck import Activation, Deviation, Report, UsageError
from crosscheck._catalogue import load_file
from crosscheck._verdict.environments import Environment, examined_here, seen_here
from crosscheck._verify.explain import _declared, _source, explained
from crosscheck._verify.explanation import SENTENCES, Disagreement, Explanation
from crosscheck._verify.reproduce import LONG, Source, _rows
from crosscheck._verify.sample import Sample, coordinates, samples
from crosscheck._verify.sight import Sighting, _place, sight

pytestmark = pytest.mark.full

Run = Callable[[str], Verified]
Command = Callable[..., subprocess.CompletedProcess[str]]

DECLARED = [(a, d) for a in crosscheck.activations.values() for d in a.deviations]

# Gives the wrong value in torch, raises in JAX, and has a parameter.
WRONG = """
import dataclasses
import crosscheck

known = crosscheck.activations


def definition(m, x, negative_slope=0.01):
    return known.leaky_relu.definition(m, x, negative_slope)


def refuse(jax, x, negative_slope):
    raise TypeError("no such thing")


WRONG = dataclasses.replace(
    known.leaky_relu,
    name="wrong",
    definition=definition,
    torch_value=lambda torch, x, negative_slope: known.leaky_relu.torch_value(torch, x, negative_slope) * 1.5,
    torch_gradient=None,
    torch_second=None,
    jax_value=refuse,
    jax_gradient=None,
    jax_second=None,
    natives={},
    deviations=(),
)
"""


def run_snippet(code: str) -> list[str]:
    """What a snippet prints, line by line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})
    return out.getvalue().splitlines()


def same(printed: str, number: float, dtype: str) -> bool:
    with np.errstate(over="ignore"):
        expected = float(np.float64(number).astype(FORMATS[dtype].dtype))
    return printed == repr(expected)


def bits_to_paste(sighting: Sighting) -> tuple[str, ...]:
    """What a snippet must hold: the input, or the row with the direction of the derivative unless it is long."""
    if sighting.row is None:
        return (sighting.input_bits,)
    bits = sighting.row.bits + (sighting.row.direction if sighting.order else ())
    return bits if len(sighting.row.bits) <= LONG else ()


def check_snippets(explanation: Explanation, one: Disagreement) -> None:
    assert one.sighting is not None
    assert one.sighting.results
    for result in one.sighting.results:
        code = explanation.snippet(one.sighting, result)
        assert all(bits in code for bits in bits_to_paste(one.sighting))
        if result.got is None:
            with pytest.raises(Exception, match=r".+"):
                run_snippet(code)
            continue
        assert run_snippet(code) == [repr(result.got)], code
        assert f"# prints {result.got!r}" in code


@pytest.mark.parametrize(("activation", "deviation"), DECLARED, ids=lambda value: getattr(value, "id", ""))
def test_the_snippets_of_a_declared_deviation_reproduce_it(activation: Activation, deviation: Deviation) -> None:
    if deviation.modes == ("compile",) and not torch_compiles():
        pytest.skip("torch.compile cannot be run")
    nothing = Report((), {})
    one = _declared(activation, deviation, nothing)
    check_snippets(Explanation(activation, _source(activation), nothing, (one,)), one)
    assert one.sighting is not None
    times = 3 if one.cause == "layout" else 1  # then the views that change the result too
    least = list(deviation.implementations) * times
    assert [result.implementation for result in one.sighting.results][: len(least)] == least
    here = seen_here(deviation, Environment.of(environment()))
    if one.cause == "layout" and here and one.id != "logsumexp-layout":  # seen where its row stands
        for implementation in deviation.implementations:
            assert len({repr(result.got) for result in one.sighting.results if result.implementation == implementation}) > 1
    if here:
        for result in one.sighting.results:
            declared = one.declared_results.get(result.implementation)
            assert declared is None or same(repr(result.got), declared, one.sighting.dtype)


def test_every_cause_has_its_sentence() -> None:
    assert tuple(SENTENCES) == CAUSES


def test_the_explanation_says_what_there_is_to_say(verified: Run) -> None:
    explanation = explained(crosscheck.activations["tanh"], verified("tanh").report)
    text = str(explanation)
    flat = " ".join(text.split())
    assert explanation.passed
    assert "definition             (e^x - e^-x) / (e^x + e^-x)." in text
    assert "\\" not in text
    for deviation in explanation.activation.deviations:
        assert deviation.id in text
        assert deviation.reason in flat
        assert deviation.link in text
        assert SENTENCES[deviation.cause] in flat
    assert text.count("```python") == sum(len(d.implementations) for d in explanation.activation.deviations)
    here = Environment.of(environment())
    if all(seen_here(deviation, here) for deviation in explanation.activation.deviations):
        assert "not seen in this run" not in text
    data = json.loads(json.dumps(explanation.data(), allow_nan=False))
    assert data["schema"] == "crosscheck.explain/1"
    assert [one["id"] for one in data["disagreements"]] == [d.id for d in explanation.activation.deviations]


def test_each_declared_deviation_is_explained_with_its_formula_in_plain_text() -> None:
    relu = crosscheck.activations["relu"]
    text = str(explained(relu, crosscheck.verify(relu, quick=True)))
    assert "   definition             maximum(0, x)\n" in text
    assert "2 declared deviations, explained below. PASSED: relu: " in text
    assert [line for line in text.splitlines() if re.match(r"\d+\. ", line)] == [
        f"{number}. {deviation.id} ({deviation.cause}, declared)" for number, deviation in enumerate(relu.deviations, 1)
    ]
    assert "torch                  -0.0\n   jax                    0.0\n" in text


def test_what_looks_like_a_bug_is_said_so(verified: Run) -> None:
    gelu = crosscheck.activations["gelu"]
    story = str(explained(gelu, verified("gelu").report))
    found = re.findall(r"^\d+\. (\S+) \(\w+, declared(.*?)(?=^\d+\. |\Z)", story, re.MULTILINE | re.DOTALL)
    declared = dict(found)
    bugs = {name for name, told in declared.items() if "looks like a bug" in told}
    assert bugs == {deviation.id for deviation in gelu.deviations if deviation.bug}
    assert bugs
    assert bugs < set(declared)


def test_kinks_parameters_and_limits_are_said(verified: Run) -> None:
    text = str(explained(crosscheck.activations["leaky_relu"], verified("leaky_relu").report))
    assert "negative_slope = 0.01" in text
    assert "at x = 0: chosen the gradient 0.01, as in https://" in " ".join(text.split())
    assert "at +infinity value inf, gradient 1" in " ".join(text.split())


def test_an_input_of_nan_and_a_negative_zero_are_kept(verified: Run) -> None:
    text = str(explained(crosscheck.activations["relu"], verified("relu").report))
    assert "x = -0.0 (0x80000000): float32, value, eager" in text
    assert "x = nan (0x7fc00000): float32, gradient, eager" in text


def test_undeclared_disagreements_are_explained_and_reproduced(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    (activation,) = load_file(path)
    report = crosscheck.verify(activation, quick=True, orders=[0, 1], dtypes=["float32", "float64", "bfloat16"])
    explanation = explained(activation, report)
    assert not explanation.passed
    found = {(one.implementations, one.cause) for one in explanation.disagreements}
    assert {(("torch",), "definition"), (("jax",), "error")} <= found
    assert all(one.id is None for one in explanation.disagreements)
    for one in explanation.disagreements:
        if one.sighting is None:
            assert one.message is not None
        else:
            check_snippets(explanation, one)
    text = str(explanation)
    assert "NOT DECLARED" in text
    assert "runpy.run_path(" in text
    assert "also in" in text
    assert "own jax: error in the gradient (NOT DECLARED)" in text
    assert not any(
        {"torch", "jax"} == set(one.implementations) and one.cause == "error" for one in explanation.disagreements
    )


def test_each_analytic_formula_can_be_reproduced() -> None:
    relu = crosscheck.activations["relu"]
    broken = dataclasses.replace(relu, derivative=lambda m, x: m.where(x > 0, 1.0, 0.5), deviations=(), natives={})
    report = crosscheck.verify(broken, quick=True, orders=[1], dtypes=["float64"], implementations=["analytic"])
    explanation = explained(broken, report)
    (one,) = explanation.disagreements
    assert one.implementations == ("analytic",)
    assert one.sighting is not None
    code = explanation.snippet(one.sighting, one.sighting.results[0])
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {"activation": broken, "RELU": broken})
    assert out.getvalue().strip() == repr(one.sighting.results[0].got)


def test_no_disagreement_is_said(activation_file: Path) -> None:
    (mine,) = load_file(activation_file)
    explanation = explained(mine, crosscheck.verify(mine, quick=True))
    assert explanation.disagreements == ()
    assert "No disagreement: every result of every implementation is within its budget" in str(explanation)


def test_the_public_function_is_the_text(monkeypatch: pytest.MonkeyPatch, verified: Run) -> None:
    asked = []
    report = verified("silu").report  # made by the function that is replaced

    def verify(what: Activation, **options: object) -> Report:
        asked.append(what.name)
        return report

    monkeypatch.setattr("crosscheck._verify.explain.verify", verify)
    text = crosscheck.explain("swish")
    assert asked == ["silu"]
    assert text.startswith("silu, also called swish")


@pytest.mark.parametrize("what", [["relu"], None, 3])
def test_only_a_name_or_a_record_is_explained(what: object) -> None:
    with pytest.raises(UsageError, match=r"what: got \w+, expected the name of an activation or an Activation"):
        crosscheck.explain(what)


def test_the_command_explains_and_writes_json(command: Command, activation_file: Path, tmp_path: Path) -> None:
    done = command("explain", "mine", "--file", str(activation_file), "--json", "mine.json")
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert done.stdout.startswith("mine\n")
    assert json.loads((tmp_path / "mine.json").read_text())["summary"]["passed"] is True


def test_the_command_exits_1_where_one_is_not_declared(command: Command, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    done = command("explain", "wrong", "--file", "wrong.py")
    assert done.returncode == 1, done.stderr
    assert "NOT DECLARED" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "sigmoit"), "did you mean 'sigmoid'?"),
        (("explain",), "Missing argument 'NAME'"),
        (("explain", "relu", "--json", "no/such.json"), "does not exist"),
        (("explain", "relu", "--file", "nothing.py"), "does not exist"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sum(line.startswith("Error:") for line in done.stderr.splitlines()) == 1


def test_the_snippet_check_sees_a_wrong_number() -> None:
    assert not same("0.1", 0.25, "float32")
    assert not same("0.0", -0.0, "float32")
    assert same("nan", math.nan, "bfloat16")


SOFTMAX = crosscheck.activations["softmax"]
NATIVES = ("torch.native", "jax.native")

# Not a softmax: the entries are halved. And the derivative that torch is given lacks the mean.
WRONG_ROWS = """
import dataclasses
import crosscheck

known = crosscheck.activations


WRONG = dataclasses.replace(
    known.softmax,
    name="wrong_rows",
    definition=lambda m, x, axis=-1: known.softmax.definition(m, x, axis),
    jax_value=lambda jax, x, axis: known.softmax.jax_value(jax, x / 2, axis),
    torch_gradient=lambda torch, x, v, axis: known.softmax.torch_value(torch, x, axis) * v,
    natives={},
    deviations=(),
)
"""


def sighting_of(x: float, dtype: str, order: int, axis: int = -1, implementations: tuple[str, ...] = NATIVES) -> Sighting:
    return sight(SOFTMAX, implementations, np.array([x]).astype(FORMATS[dtype].dtype), order, "eager", {"axis": axis})


def explanation_of(*disagreements: Disagreement) -> Explanation:
    return Explanation(SOFTMAX, _source(SOFTMAX), Report((), {}), disagreements)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("axis", [-1, 0])
def test_the_snippets_of_a_function_of_rows_reproduce_it(dtype: str, order: int, axis: int) -> None:
    length = 8 if axis else 32
    rows = {sample.length: sample for sample in sampled(dtype, axis)}[length]
    for number in (float(rows.at[4 * length + 3]), math.inf):
        implementations = (*NATIVES, "torch", "jax")
        sighting = sighting_of(number, dtype, order, axis, implementations)
        assert sighting.row is not None
        one = Disagreement(None, "inaccurate", implementations, order, sighting)
        check_snippets(explanation_of(one), one)
        assert f"in a row of {len(sighting.row.bits)}: {dtype}" in " ".join(str(explanation_of(one)).split())


def sampled(dtype: str, axis: int) -> list[Sample]:
    return list(samples(SOFTMAX, {"axis": axis}, dtype, seed=0, per_binade=0, uniform=0))


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_every_sampled_row_is_what_its_snippet_makes(dtype: str) -> None:
    plain = sighting_of(0.0, dtype, order=1)
    for sample in (*sampled(dtype, -1), *sampled(dtype, 0)):
        assert sample.v is not None
        for number in range(len(sample.x)):
            _, row = _place(sample, number, 0)
            imports, lines = _rows(dataclasses.replace(plain, row=row))
            made: dict[str, list[int]] = {}
            exec("\n".join([*imports, *lines]), made)
            assert made["row"] == sample.x[number].view(FORMATS[dtype].unsigned).tolist(), (sample.length, number)
            assert made["direction"] == sample.v[number].view(FORMATS[dtype].unsigned).tolist()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ([1, 0.5, -35.125], "an entry 36.12 below the largest of its row: x[2] = -35.125 (0xc20c8000) in a row of 3"),
        ([1, 0, 2], "the largest entry of its row: x[2] = 2.0"),
        ([1, 0, -math.inf], "an entry of -inf: x[2] = -inf (0xff800000) in a row of 3"),
        ([math.inf, 0, 1], "a row whose largest entry is inf: x[2] = 1.0"),
        ([-math.inf] * 3, "a row whose largest entry is -inf: x[2] = -inf"),
        ([math.nan, 0, 1], "a row with a NaN: x[2] = 1.0"),
        ([math.inf], "a row whose only entry is inf: x[0] = inf (0x7f800000) in a row of 1"),
    ],
    ids=str,
)
def test_where_an_entry_lies_is_said_in_words(row: list[float], words: str) -> None:
    x = np.array([row], np.float32)
    at = coordinates(x)
    _, place = _place(Sample(x, x, at), 0, len(row) - 1)
    sighting = dataclasses.replace(
        sighting_of(0.0, "float32", 0), input=float(at[-1]), input_bits=bits_of(at[-1:]), row=place
    )
    text = str(explanation_of(Disagreement(None, "special", NATIVES, 0, sighting)))
    assert f"input {words}" in " ".join(text.split())


def test_a_deviation_of_long_rows_is_looked_for_in_these_only() -> None:
    (declared,) = (d for d in SOFTMAX.deviations if d.id == "softmax-zero-sign")
    region = dataclasses.replace(declared.regions[0], lengths=(1000,))
    longer = dataclasses.replace(SOFTMAX, deviations=(dataclasses.replace(declared, regions=(region,)),))
    for activation, length in ((SOFTMAX, 100), (longer, 1000)):
        deviation = next(one for one in activation.deviations if one.id == declared.id)
        one = _declared(activation, deviation, Report((), {}))
        assert one.sighting is not None
        assert one.sighting.row is not None
        assert len(one.sighting.row.bits) == length
        torch, jax = (result.got for result in one.sighting.results)
        assert torch == jax == 0
        assert math.copysign(1, torch) != math.copysign(1, jax)


def test_a_deviation_along_another_axis_is_shown_along_that() -> None:
    (declared,) = (d for d in SOFTMAX.deviations if d.id == "softmax-16-bit-rounding")
    (region,) = (r for r in declared.regions if (r.order, r.dtypes) == (0, ("bfloat16",)))
    if not examined_here(region, Environment.of(environment())):
        pytest.skip(f"torch rounds twice with {region.capability} only")
    only = dataclasses.replace(declared, regions=(region,))
    one = _declared(dataclasses.replace(SOFTMAX, deviations=(only,)), only, Report((), {}))
    assert one.sighting is not None
    assert one.sighting.parameters == {"axis": 0}
    check_snippets(explanation_of(one), one)


def test_an_entry_that_no_sampled_row_has_is_shown_in_a_row_of_two() -> None:
    sighting = sighting_of(-12.34375, "float64", order=1)
    assert sighting.row is not None
    assert (sighting.row.entry, sighting.row.extreme, len(sighting.row.bits)) == (-12.34375, 0.0, 2)
    one = Disagreement(None, "inaccurate", NATIVES, 1, sighting)
    check_snippets(explanation_of(one), one)


def test_what_explains_softmax_can_be_read(verified: Run) -> None:
    explanation = explained(SOFTMAX, verified("softmax").report)
    text = str(explanation)
    assert "of one entry alone: at -infinity value 0" in text
    for one in explanation.disagreements:
        assert one.sighting is not None
        for result in one.sighting.results:
            code = explanation.snippet(one.sighting, result).splitlines()
            assert len(code) <= 24
            assert max(map(len, code)) <= 132
    json.dumps(explanation.data(), allow_nan=False)


def test_undeclared_disagreements_about_rows_are_explained_and_reproduced(tmp_path: Path) -> None:
    path = tmp_path / "wrong_rows.py"
    path.write_text(WRONG_ROWS)
    (activation,) = load_file(path)
    report = crosscheck.verify(activation, orders=[0, 1], dtypes=["float32"], modes=["eager"])
    explanation = explained(activation, report)
    assert not explanation.passed
    found = {(one.implementations, one.order) for one in explanation.disagreements}
    assert {(("jax",), 0), (("torch",), 1)} <= found
    for one in explanation.disagreements:
        check_snippets(explanation, one)
        assert one.sighting is not None
        assert one.sighting.row is not None
        assert len(one.sighting.row.bits) <= 8
        assert any(result.got != one.sighting.exact for result in one.sighting.results)


def test_the_analytic_formula_of_rows_can_be_reproduced() -> None:
    def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
        return 1.5 * SOFTMAX.derivative(m, x, v, axis)

    broken = dataclasses.replace(SOFTMAX, derivative=derivative, deviations=(), natives={})
    sighting = sight(broken, ("analytic",), np.array([-11.77070131409215]), 1, "eager", {"axis": -1})
    (result,) = sighting.results
    assert result.ulp > 1e15
    assert sighting.row is not None
    assert len(sighting.row.bits) == 8
    code = Explanation(broken, Source((), "activation"), Report((), {}), ()).snippet(sighting, result)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {"activation": broken})
    assert out.getvalue().strip() == repr(result.got)
