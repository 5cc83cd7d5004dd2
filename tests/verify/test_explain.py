"""Explanations: every declared disagreement with its evidence, and snippets that print what they promise when run."""

import dataclasses
import json
import math
import re
import runpy
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cli
import numpy as np
import pytest
import torch
from conftest import Verified
from contract import CAUSES, PASSING
from declared import deviation_of
from explained import Explanation, Part, assert_reproduced, counted, declaring, limits, parts, place, printed, shown
from floats import FORMATS
from in_both import torch_compiles
from kept import environment
from recorded_here import Environment, seen_here

import crosscheck
from crosscheck import Activation, UsageError

Run = Callable[[str], Verified]
Tell = Callable[..., Explanation]
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
    assert [part.disagreement.id for part in explained] == [deviation.id for deviation in deviations]
    for deviation, part in zip(deviations, explained, strict=True):
        if deviation.modes == ("compile",) and not torch_compiles():
            continue
        assert_reproduced(part)
        results = [(result.implementation, shown(code)) for result, code in part.snippets]
        layout = deviation.cause == "layout"
        least = list(deviation.implementations) * (3 if layout else 1)  # then the views that change the result too
        assert [side for side, _ in results][: len(least)] == least
        if not seen_here(deviation, here):
            continue
        if layout and deviation.id != "logsumexp-layout":  # seen where its row stands
            for deviating in deviation.implementations:
                assert len({repr(got) for side, got in results if side == deviating}) > 1
        for result, _ in part.snippets:
            declared = part.disagreement.declared_results.get(result.implementation)
            if declared is not None and result.got is not None:
                assert same(repr(result.got), declared, part.sighting.dtype)


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


def test_every_cause_has_a_sentence_of_its_own(told: Tell) -> None:
    relu = crosscheck.activations["relu"]
    said = set()
    for cause in set(CAUSES) - PASSING:
        other = dataclasses.replace(relu.deviations[0], cause=cause)
        explained = told(dataclasses.replace(relu, deviations=(other,)))
        (disagreement,) = explained.data()["disagreements"]
        said.add(disagreement["explanation"])
        assert f" {cause}: {disagreement['explanation']}" in " ".join(str(explained).split())
    assert len(said) == len(CAUSES) - len(PASSING)
    assert all(sentence.endswith(".") for sentence in said)


@pytest.mark.full
def test_the_explanation_says_what_there_is_to_say(verified: Run, told: Tell) -> None:
    tanh, report = crosscheck.activations["tanh"], verified("tanh").report
    explained = told("tanh", report)
    text = str(explained)
    flat = " ".join(text.split())
    assert all(disagreement.id for disagreement in explained.disagreements)
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
        assert all(disagreement.seen for disagreement in explained.disagreements)


def test_each_declared_deviation_is_explained_with_its_formula_in_plain_text(told: Tell) -> None:
    relu = crosscheck.activations["relu"]
    explained = told("relu", crosscheck.verify(relu, quick=True))
    text = str(explained)
    assert "   definition             maximum(0, x)\n" in text
    assert explained.passed
    headline = str(explained.data()["summary"]["headline"])
    assert headline.startswith("PASSED: relu: ")
    assert f" explained below. {headline} (" in " ".join(text.split())
    seen = [(disagreement.id, disagreement.cause, disagreement.seen) for disagreement in explained.disagreements]
    assert seen == [(deviation.id, deviation.cause, True) for deviation in relu.deviations]
    assert len(seen) == len(parts(explained)) == 2
    assert "torch                  -0.0\n   jax                    0.0\n" in text


def test_a_snippet_prints_what_it_sees_beside_what_was_seen(told: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch's relu no longer keeps the sign of zero."""
    first, _ = parts(told("relu", crosscheck.verify("relu", quick=True)))
    code = next(code for result, code in first.snippets if result.label == "torch")
    monkeypatch.setattr(torch, "relu", lambda x: torch.clamp(x, min=0) + 0.0)
    assert re.fullmatch(r"0\.0 here; -0\.0 with torch \S+, jax \S+, cpu, \w+", printed(code))


@pytest.mark.full
def test_what_looks_like_a_bug_is_said_so(told: Tell) -> None:
    gelu = crosscheck.activations["gelu"]
    explained = parts(told("gelu"))
    bugs = {part.disagreement.id for part in explained if part.disagreement.bug}
    assert bugs == {deviation.id for deviation in gelu.deviations if deviation.bug}
    assert 0 < len(bugs) < len(explained)
    assert explained[0].text.count(" bug it looks ") == len(bugs)


def test_kinks_parameters_and_limits_are_said(told: Tell) -> None:
    explained = told("leaky_relu")
    said, text = explained.data()["activation"], " ".join(str(explained).split())
    assert said["parameters"] == {"negative_slope": 0.01}
    (kink,) = said["kinks"]
    assert (kink.at, kink.chosen, kink.source.startswith("https://")) == (0, {1: 0.01}, True)
    assert said["limits"].plus[:2] == (math.inf, 1)
    assert all(
        part in text for part in ("negative_slope = 0.01", f"{kink}, as in {kink.source}", limits(explained.activation))
    )


def test_an_input_of_nan_and_a_negative_zero_are_kept(told: Tell) -> None:
    seen = [part.sighting for part in parts(told("relu"))]
    settings = [(repr(s.input), s.input_bits, s.dtype, s.order, s.mode) for s in seen]
    assert ("-0.0", "0x80000000", "float32", 0, "eager") in settings
    assert ("nan", "0x7fc00000", "float32", 1, "eager") in settings


def record_in(path: Path, text: str) -> Activation:
    """The record of this text, written to a file."""
    path.write_text(text)
    return next(
        record
        for record in runpy.run_path(str(path)).values()
        if isinstance(record, Activation) and record.name in path.name
    )


def undeclared(explained: Iterable[Part]) -> set[tuple[tuple[str, ...], str, int]]:
    """Whose disagreements they are, their causes and orders; none is declared."""
    found = [part.disagreement for part in explained]
    assert not any(disagreement.id for disagreement in found)
    return {(disagreement.implementations, disagreement.cause, disagreement.order) for disagreement in found}


@pytest.mark.full
def test_undeclared_disagreements_are_explained_and_reproduced(tmp_path: Path, told: Tell) -> None:
    activation = record_in(tmp_path / "wrong.py", WRONG)
    report = crosscheck.verify(activation, quick=True, orders=[0, 1], dtypes=["float32", "float64", "bfloat16"])
    explained = parts(told(activation, report))
    assert all("runpy.run_path(" in code for part in explained for _, code in part.snippets)
    assert any(part.disagreement.elsewhere for part in explained)
    assert "NOT DECLARED" in explained[0].text
    assert " also in " in explained[0].text
    assert {(("torch",), "definition", 0), (("jax",), "error", 1)} <= undeclared(explained)
    assert not any(sides == ("torch", "jax") and cause == "error" for sides, cause, _ in undeclared(explained))
    for part in explained:
        if part.disagreement.sighting:
            assert_reproduced(part)
        else:
            assert part.disagreement.message
            assert " raised " in part.text


def test_each_analytic_formula_can_be_reproduced(told: Tell) -> None:
    relu = crosscheck.activations["relu"]
    broken = dataclasses.replace(relu, derivative=lambda m, x: m.where(x > 0, 1.0, 0.5), deviations=(), natives={})
    report = crosscheck.verify(broken, quick=True, orders=[1], dtypes=["float64"], implementations=["analytic"])
    (part,) = parts(told(broken, report))
    assert undeclared([part]) == {(("analytic",), "definition", 1)}
    assert_reproduced(part, activation=broken, RELU=broken)


def test_no_disagreement_is_said(activation_file: Path, told: Tell) -> None:
    record = record_in(activation_file, activation_file.read_text())
    explained = told(record, crosscheck.verify(record, quick=True))
    assert (explained.disagreements, explained.passed) == ((), True)
    assert counted((), True) in " ".join(str(explained).split())


@pytest.mark.full
def test_an_alias_is_explained_as_the_activation(told: Tell) -> None:
    explained = told("silu")
    assert crosscheck.explain("swish") == str(told("swish")) == str(explained)
    assert (explained.activation.name, explained.activation.aliases) == ("silu", ("swish",))
    assert str(explained).startswith("silu, also called swish")


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
        assert (part.sighting.mode, part.sighting.parameters) == ("eager", {"axis": axis})
        assert_reproduced(part)


@pytest.mark.parametrize(
    ("x", "lengths", "row"),
    [
        (-36.125, (), {"length": 2, "position": 0}),
        (0.0, (), {}),
        (-math.inf, (8,), {"length": 8, "bits": "0xff800000"}),
        (math.inf, (8,), {"extreme": math.inf}),
        (math.nan, (8,), {}),
        (math.inf, (1,), {"length": 1, "position": 0, "bits": "0x7f800000", "extreme": math.inf}),
    ],
    ids=str,
)
def test_where_an_entry_lies_is_said(x: float, lengths: tuple[int, ...], row: dict[str, Any], told: Tell) -> None:
    (part,) = parts(told(declaring(SOFTMAX, x, "float32", 0, lengths=lengths)))
    seen, position = part.row, part.row.position
    assert (repr(part.sighting.input), seen.known_by) == (repr(x), "largest")
    assert position is not None
    said = {"length": len(seen.bits), "position": position, "bits": seen.bits[position], "extreme": seen.extreme}
    assert said | row == said
    assert not math.isfinite(x) or seen.entry - seen.extreme == x
    entries = np.array([int(bits, 16) for bits in seen.bits], np.uint32).view(np.float32)
    assert np.isnan(entries).any() == math.isnan(x)
    assert f" input {place(part.sighting)}: " in part.text


@pytest.mark.full
def test_a_deviation_of_long_rows_is_looked_for_in_these_only(told: Tell) -> None:
    declared = deviation_of("softmax", "softmax-zero-sign")
    for lengths, length in (((), 100), ((1000,), 1000)):
        region = dataclasses.replace(declared.regions[0], lengths=lengths)
        deviation = dataclasses.replace(declared, regions=(region,))
        (part,) = parts(told(dataclasses.replace(SOFTMAX, deviations=(deviation,))))
        assert len(part.row.bits) == length
        assert [(result.label, repr(result.got)) for result, _ in part.snippets] == [("torch", "0.0"), ("jax", "-0.0")]


@pytest.mark.full
def test_a_deviation_along_another_axis_is_shown_along_that(told: Tell) -> None:
    (part,) = (part for part in parts(told("softmax")) if part.disagreement.id == "softmax-16-bit-rounding")
    seen = part.sighting
    assert (seen.dtype, seen.order, seen.mode, seen.parameters) == ("bfloat16", 0, "eager", {"axis": 0})
    assert len(part.row.bits) == 32


def test_an_entry_that_no_sampled_row_has_is_shown_in_a_row_of_two(told: Tell) -> None:
    (part,) = parts(told(declaring(SOFTMAX, -12.34375, "float64", 1)))
    assert (part.row.position, part.row.entry, len(part.row.bits)) == (0, -12.34375, 2)
    assert_reproduced(part)


@pytest.mark.full
def test_what_explains_softmax_can_be_read(told: Tell) -> None:
    explained = told("softmax")
    assert explained.data()["activation"]["limits"].minus[0] == 0
    assert limits(explained.activation) in " ".join(str(explained).split())
    for part in parts(explained):
        for _, code in part.snippets:
            assert len(code.splitlines()) <= 24
            assert max(map(len, code.splitlines())) <= 132


@pytest.mark.full
def test_undeclared_disagreements_about_rows_are_explained_and_reproduced(tmp_path: Path, told: Tell) -> None:
    activation = record_in(tmp_path / "wrong_rows.py", WRONG_ROWS)
    report = crosscheck.verify(activation, orders=[0, 1], dtypes=["float32"], modes=["eager"])
    explained = parts(told(activation, report))
    wrong = {(sides, order) for sides, _, order in undeclared(explained)}
    assert {(("jax",), 0), (("torch",), 1)} <= wrong, wrong
    for part in explained:
        assert len(part.row.bits) <= 8
        assert_reproduced(part)


@pytest.mark.full
def test_the_analytic_formula_of_rows_can_be_reproduced(told: Tell) -> None:
    def derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
        return 1.5 * SOFTMAX.derivative(m, x, v, axis)

    broken = dataclasses.replace(SOFTMAX, derivative=derivative, deviations=(), natives={})
    report = crosscheck.verify(broken, quick=True, orders=[1], dtypes=["float64"], implementations=["analytic"])
    explained = parts(told(broken, report))
    assert (("analytic",), "definition", 1) in undeclared(explained)
    for part in explained:
        assert_reproduced(part, activation=broken)
