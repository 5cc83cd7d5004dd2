"""Explanations: every declared disagreement with its evidence, and snippets that print what they promise when run."""

import dataclasses
import json
import math
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli
import numpy as np
import pytest
import torch
from conftest import Verified
from contract import CAUSES, DTYPES, PASSING
from declared import deviation_of
from explained import assert_reproduced, declaring, implementation, parts, printed, shown
from floats import FORMATS
from in_both import torch_compiles
from kept import environment
from recorded_here import Environment, seen_here

import crosscheck
from crosscheck import Activation, UsageError

Run = Callable[[str], Verified]
Tell = Callable[..., str]
Command = Callable[..., subprocess.CompletedProcess[str]]


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


def same(printed: str, number: float, dtype: str) -> bool:
    with np.errstate(over="ignore"):
        expected = float(np.float64(number).astype(FORMATS[dtype].dtype))
    return printed == repr(expected)


@pytest.mark.full
@pytest.mark.parametrize("name", [record.name for record in crosscheck.activations.values() if record.deviations])
def test_the_snippets_of_declared_deviations_reproduce_them(name: str, told: Tell) -> None:
    deviations = crosscheck.activations[name].deviations
    explained, here = parts(told(name)), Environment.of(environment())
    assert [part.title.split()[0] for part in explained] == [deviation.id for deviation in deviations]
    for deviation, part in zip(deviations, explained, strict=True):
        if deviation.modes == ("compile",) and not torch_compiles():
            continue
        assert_reproduced(part)
        results = [(implementation(label), shown(code)) for label, code in part.snippets]
        layout = deviation.cause == "layout"
        least = list(deviation.implementations) * (3 if layout else 1)  # then the views that change the result too
        assert [side for side, _ in results][: len(least)] == least
        if not seen_here(deviation, here):
            continue
        if layout and deviation.id != "logsumexp-layout":  # seen where its row stands
            for deviating in deviation.implementations:
                assert len({repr(got) for side, got in results if side == deviating}) > 1
        (dtype,) = {dtype for dtype in DTYPES if f": {dtype}, " in part.said}
        for got, declared in re.findall(r" (\S+?)(?:, error \S+ ULP)? \(declared: (\S+)\)", part.said):
            assert same(got, float(declared), dtype)


def test_a_snippet_has_its_last_words_on_a_line_of_their_own_if_they_are_long(
    told: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosscheck._verify.sightings.reproduce.LONGEST", 40)
    explained = parts(told("relu"))
    codes = [code for part in explained for _, code in part.snippets]
    assert codes
    assert all(code.splitlines()[-1].strip().startswith(('"here; ', "#")) for code in codes)
    for part in explained:
        assert_reproduced(part)


def sentence(text: str, cause: str) -> str:
    """What is said of the first deviation's cause."""
    (said,) = re.findall(rf"^ +cause +{cause}: (.*(?:\n {{10,}}.*)*)", text, re.MULTILINE)[:1]
    return " ".join(said.split())


def test_every_cause_has_a_sentence_of_its_own(told: Tell) -> None:
    relu = crosscheck.activations["relu"]
    said = set()
    for cause in set(CAUSES) - PASSING:
        other = dataclasses.replace(relu.deviations[0], cause=cause)
        said.add(sentence(told(dataclasses.replace(relu, deviations=(other,))), cause))
    assert len(said) == len(CAUSES) - len(PASSING)
    assert all(sentence.endswith(".") for sentence in said)


@pytest.mark.full
def test_the_explanation_says_what_there_is_to_say(verified: Run, told: Tell) -> None:
    tanh, report = crosscheck.activations["tanh"], verified("tanh").report
    text = told("tanh", report)
    flat = " ".join(text.split())
    assert "undeclared" not in flat.partition("explained below.")[0]
    assert "definition             (e^x - e^-x) / (e^x + e^-x)." in text
    assert "\\" not in text
    for deviation in tanh.deviations:
        assert deviation.id in text
        assert deviation.reason in flat
        assert deviation.link in text
        assert f"cause {deviation.cause}: " in flat
    assert text.count("```python") == sum(len(d.implementations) for d in tanh.deviations)
    here = Environment.of(environment())
    if all(seen_here(deviation, here) for deviation in tanh.deviations):
        assert "not seen in this run" not in text


def test_each_declared_deviation_is_explained_with_its_formula_in_plain_text(told: Tell) -> None:
    relu = crosscheck.activations["relu"]
    text = told("relu", crosscheck.verify(relu, quick=True))
    assert "   definition             maximum(0, x)\n" in text
    assert "2 declared deviations, explained below. PASSED: relu: " in text
    assert [line for line in text.splitlines() if re.match(r"\d+\. ", line)] == [
        f"{number}. {deviation.id} ({deviation.cause}, declared)" for number, deviation in enumerate(relu.deviations, 1)
    ]
    assert "torch                  -0.0\n   jax                    0.0\n" in text


def test_a_snippet_prints_what_it_sees_beside_what_was_seen(told: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch's relu no longer keeps the sign of zero."""
    first, _ = parts(told("relu", crosscheck.verify("relu", quick=True)))
    code = dict(first.snippets)["torch"]
    monkeypatch.setattr(torch, "relu", lambda x: torch.clamp(x, min=0) + 0.0)
    assert re.fullmatch(r"0\.0 here; -0\.0 with torch \S+, jax \S+, cpu, \w+", printed(code))


@pytest.mark.full
def test_what_looks_like_a_bug_is_said_so(told: Tell) -> None:
    gelu = crosscheck.activations["gelu"]
    explained = parts(told("gelu"))
    bugs = {part.title.split()[0] for part in explained if "looks like a bug" in part.said}
    assert bugs == {deviation.id for deviation in gelu.deviations if deviation.bug}
    assert 0 < len(bugs) < len(explained)


def test_kinks_parameters_and_limits_are_said(told: Tell) -> None:
    text = told("leaky_relu")
    assert "negative_slope = 0.01" in text
    assert "at x = 0: chosen the gradient 0.01, as in https://" in " ".join(text.split())
    assert "at +infinity value inf, gradient 1" in " ".join(text.split())


def test_an_input_of_nan_and_a_negative_zero_are_kept(told: Tell) -> None:
    text = told("relu")
    assert "x = -0.0 (0x80000000): float32, value, eager" in text
    assert "x = nan (0x7fc00000): float32, gradient, eager" in text


def record_in(path: Path, text: str) -> Activation:
    """The record of this text, written to a file."""
    path.write_text(text)
    return next(
        record
        for record in runpy.run_path(str(path)).values()
        if isinstance(record, Activation) and record.name in path.name
    )


@pytest.mark.full
def test_undeclared_disagreements_are_explained_and_reproduced(tmp_path: Path, told: Tell) -> None:
    activation = record_in(tmp_path / "wrong.py", WRONG)
    report = crosscheck.verify(activation, quick=True, orders=[0, 1], dtypes=["float32", "float64", "bfloat16"])
    text = told(activation, report)
    assert "NOT DECLARED" in text
    assert "runpy.run_path(" in text
    assert "also in" in text
    explained = parts(text)
    titles = [part.title for part in explained]
    assert {"own torch: definition in the value (NOT DECLARED)", "own jax: error in the gradient (NOT DECLARED)"} <= {
        *titles
    }
    assert not any(title.startswith("own torch and own jax: error") for title in titles)
    for part in explained:
        if " input " in part.said:
            assert_reproduced(part)
        else:
            assert " raised " in part.said


def test_each_analytic_formula_can_be_reproduced(told: Tell) -> None:
    relu = crosscheck.activations["relu"]
    broken = dataclasses.replace(relu, derivative=lambda m, x: m.where(x > 0, 1.0, 0.5), deviations=(), natives={})
    report = crosscheck.verify(broken, quick=True, orders=[1], dtypes=["float64"], implementations=["analytic"])
    (part,) = parts(told(broken, report))
    assert part.title == "analytic: definition in the gradient (NOT DECLARED)"
    assert_reproduced(part, activation=broken, RELU=broken)


def test_no_disagreement_is_said(activation_file: Path, told: Tell) -> None:
    record = record_in(activation_file, activation_file.read_text())
    text = told(record, crosscheck.verify(record, quick=True))
    assert parts(text) == []
    assert "No disagreement: every result of every implementation is within its budget" in " ".join(text.split())


@pytest.mark.full
def test_an_alias_is_explained_as_the_activation(told: Tell) -> None:
    assert told("swish") == told("silu")
    assert told("swish").startswith("silu, also called swish")


@pytest.mark.parametrize("what", [["relu"], None, 3])
def test_only_a_name_or_a_record_is_explained(what: object) -> None:
    with pytest.raises(UsageError, match=r"what: got \w+, expected the name of an activation or an Activation"):
        crosscheck.explain(what)


@pytest.mark.full
def test_the_command_explains_and_writes_json(command: Command, activation_file: Path, tmp_path: Path) -> None:
    done = command("explain", "mine", "--file", str(activation_file), "--json", "mine.json")
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert done.stdout.startswith("mine\n")
    assert json.loads((tmp_path / "mine.json").read_text())["summary"]["passed"] is True


@pytest.mark.full
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
@pytest.mark.full
def test_bad_input_gets_one_message_and_exit_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    cli.assert_refused(command(*arguments), message)


def test_the_snippet_check_sees_a_wrong_number() -> None:
    assert not same("0.1", 0.25, "float32")
    assert not same("0.0", -0.0, "float32")
    assert same("nan", math.nan, "bfloat16")


SOFTMAX = crosscheck.activations["softmax"]

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


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("axis", [-1, 0])
def test_the_snippets_of_a_function_of_rows_reproduce_it(dtype: str, order: int, axis: int, told: Tell) -> None:
    for x in (-3.25, math.inf):
        (part,) = parts(told(declaring(SOFTMAX, x, dtype, order, parameters={"axis": axis})))
        assert f", eager, axis = {axis} " in part.said
        assert_reproduced(part)


@pytest.mark.parametrize(
    ("x", "lengths", "words"),
    [
        (-36.125, (), r"an entry 36\.12 below the largest of its row: x\[0\] = \S+ \(0x\w+\) in a row of 2"),
        (0.0, (), r"the largest entry of its row: x\["),
        (-math.inf, (8,), r"an entry of -inf: x\[\d\] = -inf \(0xff800000\) in a row of 8"),
        (math.inf, (8,), r"a row whose largest entry is inf: x\["),
        (math.nan, (8,), r"a row with a NaN: x\["),
        (math.inf, (1,), r"a row whose only entry is inf: x\[0\] = inf \(0x7f800000\) in a row of 1"),
    ],
    ids=str,
)
def test_where_an_entry_lies_is_said_in_words(x: float, lengths: tuple[int, ...], words: str, told: Tell) -> None:
    (part,) = parts(told(declaring(SOFTMAX, x, "float32", 0, lengths=lengths)))
    assert re.search(f" input {words}", part.said), part.said


@pytest.mark.full
def test_a_deviation_of_long_rows_is_looked_for_in_these_only(told: Tell) -> None:
    declared = deviation_of("softmax", "softmax-zero-sign")
    for lengths, length in (((), 100), ((1000,), 1000)):
        region = dataclasses.replace(declared.regions[0], lengths=lengths)
        deviation = dataclasses.replace(declared, regions=(region,))
        (part,) = parts(told(dataclasses.replace(SOFTMAX, deviations=(deviation,))))
        assert f"in a row of {length}: " in part.said
        assert " torch 0.0 jax -0.0 " in part.said


@pytest.mark.full
def test_a_deviation_along_another_axis_is_shown_along_that(told: Tell) -> None:
    (part,) = (part for part in parts(told("softmax")) if part.title.startswith("softmax-16-bit-rounding "))
    assert "in a row of 32: bfloat16, value, eager, axis = 0 " in part.said


def test_an_entry_that_no_sampled_row_has_is_shown_in_a_row_of_two(told: Tell) -> None:
    (part,) = parts(told(declaring(SOFTMAX, -12.34375, "float64", 1)))
    assert re.search(r"x\[0\] = -12\.34375 \(0x\w+\) in a row of 2: ", part.said)
    assert_reproduced(part)


@pytest.mark.full
def test_what_explains_softmax_can_be_read(told: Tell) -> None:
    text = told("softmax")
    assert "of one entry alone: at -infinity value 0" in text
    for part in parts(text):
        for _, code in part.snippets:
            assert len(code.splitlines()) <= 24
            assert max(map(len, code.splitlines())) <= 132


@pytest.mark.full
def test_undeclared_disagreements_about_rows_are_explained_and_reproduced(tmp_path: Path, told: Tell) -> None:
    activation = record_in(tmp_path / "wrong_rows.py", WRONG_ROWS)
    report = crosscheck.verify(activation, orders=[0, 1], dtypes=["float32"], modes=["eager"])
    explained = parts(told(activation, report))
    titles = {part.title for part in explained}
    assert any(title.startswith("own jax: ") and "in the value (NOT DECLARED)" in title for title in titles), titles
    assert any(title.startswith("own torch: ") and "in the gradient (NOT DECLARED)" in title for title in titles), titles
    for part in explained:
        length = re.search(r" in a row of (\d+): ", part.said)
        assert length is not None
        assert int(length[1]) <= 8
        assert_reproduced(part)


@pytest.mark.full
def test_the_analytic_formula_of_rows_can_be_reproduced(told: Tell) -> None:
    def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
        return 1.5 * SOFTMAX.derivative(m, x, v, axis)

    broken = dataclasses.replace(SOFTMAX, derivative=derivative, deviations=(), natives={})
    report = crosscheck.verify(broken, quick=True, orders=[1], dtypes=["float64"], implementations=["analytic"])
    explained = parts(told(broken, report))
    assert any(part.title == "analytic: definition in the gradient (NOT DECLARED)" for part in explained)
    for part in explained:
        assert_reproduced(part, activation=broken)
