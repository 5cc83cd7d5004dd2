"""What is on record of an environment decides what fails there: nothing new of the natives where nothing is on record."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli
import jax
import pytest
import recorded_here
import torch
from declared import deviation_of
from explained import Explanation
from recorded_here import HERE, Environment, Record

import crosscheck
from crosscheck import Activation, Report, Seen

ANYWHERE = Seen(torch=">=0", jax=">=0", capabilities=("DEFAULT", "AVX2", "AVX512", "AVX512_FP16"))
ELSEWHERE = Seen(torch=">=0", jax=">=0", capabilities=("none",))
THIS = Seen(torch=">=0", jax=">=0", capabilities=(str(HERE.capability),))


def put_on_record(monkeypatch: pytest.MonkeyPatch, *records: Record) -> None:
    monkeypatch.setattr("crosscheck._verdict.environments.records", lambda: records)


@pytest.fixture
def nothing_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU that no record is of; what is on record of other environments stays."""
    put_on_record(monkeypatch, Record(ELSEWHERE, {}))


@pytest.fixture
def on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this environment were on record, with no deviation at all."""
    put_on_record(monkeypatch, Record(ANYWHERE, {}))


def wrong(x: Any) -> Any:
    return 2 * torch.clamp(x, -1, 1)


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of torch whose hardtanh gives twice what it should."""
    monkeypatch.setattr(torch.nn.functional, "hardtanh", wrong)


def values(name: str | Activation = "hard_tanh", **options: Any) -> Report:
    return crosscheck.verify(name, dtypes=["float32"], orders=[0], quick=True, **options)


@pytest.mark.usefixtures("nothing_on_record", "doubled")
def test_what_is_new_where_nothing_is_on_record_is_shown_and_does_not_fail() -> None:
    report = values()
    assert report.passed
    assert not report.recorded
    new = [comparison for comparison in report.comparisons if comparison.new]
    assert {(comparison.implementation, comparison.against) for comparison in new} == {
        ("torch.native", "exact"),
        ("torch.native", "jax.native"),
    }
    assert all(comparison.passed and comparison.uncovered["definition"].count > 100 for comparison in new)
    first = new[0]
    assert (first.function, first.order, first.dtype, first.mode) == ("hard_tanh", 0, "float32", "eager")
    said = " ".join(str(report).split())
    assert said.startswith("PASSED: hard_tanh: ")
    here = Environment.of(report.environment, "cpu")
    assert (here.torch, here.jax, here.device) == (torch.__version__, jax.__version__, "cpu")
    assert f" {here}: " in said
    assert "torch-0-jax-0-none" in said
    summary = report.data()["summary"]
    assert (summary["new"], summary["compared_with"]) == (len(new), "torch-0-jax-0-none")


@pytest.mark.usefixtures("nothing_on_record")
def test_the_first_line_says_that_nothing_is_on_record_where_nothing_is_new() -> None:
    report = values()
    assert not report.data()["summary"]["new"]
    assert not report.recorded
    assert " ".join(str(report).split()).partition(". ")[0].endswith(" points; this environment is not on record")


@pytest.mark.usefixtures("nothing_on_record", "doubled")
def test_strict_lets_what_is_new_fail_there_too() -> None:
    report = values(strict=True)
    assert not report.passed
    assert not any(comparison.new for comparison in report.comparisons)


@pytest.mark.usefixtures("on_record", "doubled")
def test_what_is_new_fails_where_the_environment_is_on_record() -> None:
    report = values()
    assert not report.passed
    assert report.recorded
    assert "not on record" not in str(report)


@pytest.mark.usefixtures("nothing_on_record")
@pytest.mark.parametrize("replaced", ["torch", "torch.native"])
def test_a_function_that_is_put_in_place_of_another_is_judged_in_full_everywhere(replaced: str) -> None:
    report = values(replace={replaced: wrong})
    assert not report.passed
    assert not any(comparison.new for comparison in report.comparisons)


@pytest.mark.usefixtures("nothing_on_record")
def test_without_a_deviation_what_it_covers_fails_everywhere() -> None:
    assert values("relu").passed
    assert not values("relu", without=["relu-negative-zero"]).passed


@pytest.mark.usefixtures("nothing_on_record", "doubled")
def test_an_activation_that_is_not_of_the_catalogue_is_judged_in_full_everywhere() -> None:
    activation = dataclasses.replace(crosscheck.activations["hard_tanh"], name="mine")
    assert not crosscheck.verify(activation, dtypes=["float32"], orders=[0], quick=True).passed


@pytest.mark.usefixtures("nothing_on_record")
@pytest.mark.parametrize("strict", [False, True])
def test_an_error_above_the_declared_one_is_a_note_where_nothing_is_on_record(
    monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    gelu = torch.nn.functional.gelu
    monkeypatch.setattr(torch.nn.functional, "gelu", lambda x: gelu(x) * (1 + 2e-4 * (x.dtype == torch.float32)))
    report = crosscheck.verify("gelu", dtypes=["float32"], orders=[1], quick=True, strict=strict)
    said = [finding for finding in report.findings if "more than the declared" in finding.message]
    assert said
    assert [finding.failed for finding in said] == [strict] * len(said)
    assert report.passed is not strict


@pytest.mark.usefixtures("nothing_on_record", "doubled")
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_the_command_exits_0_for_what_is_new_and_1_with_strict(tmp_path: Path, options: tuple[str, ...], code: int) -> None:
    path = tmp_path / "report.json"
    command = ["verify", "hard_tanh", "--dtype", "float32", "--order", "0", "--quick", "--json", str(path), *options]
    done = cli.run(*command)
    assert done.exit_code == code, done.output
    summary = json.loads(path.read_text("utf-8"))["summary"]
    assert (summary["passed"], summary["new"] > 0, summary["recorded"]) == (code == 0, code == 0, False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (Environment("2.13.0+cpu", "0.10.2", "cpu", "AVX2"), True),
        (Environment("2.13.1", "0.10.2", "cpu", "AVX512"), True),
        (Environment("2.13.0", None, "cpu", "AVX2"), True),
        (Environment("2.19.0", "0.10.2", "cpu", "AVX2"), False),
        (Environment("2.13.0", "0.30.0", "cpu", "AVX2"), False),
        (Environment("2.13.0", "0.10.2", "cpu", "DEFAULT"), False),
        (Environment("2.13.0", "0.10.2", "gpu", "AVX2"), False),
    ],
    ids=str,
)
def test_an_environment_is_on_record_by_its_releases_its_device_and_its_cpu(
    environment: Environment, expected: bool
) -> None:
    assert recorded_here.on_record(environment) is expected


@pytest.mark.parametrize(
    ("seen", "by", "passed"),
    [
        (THIS, "a command", True),
        (ELSEWHERE, "a command", False),
        (ELSEWHERE, None, True),
    ],
    ids=["its own record", "another record", "another record, where this one's is by hand"],
)
def test_where_a_command_recorded_the_environment_nothing_else_covers(
    monkeypatch: pytest.MonkeyPatch, seen: Seen, by: str | None, passed: bool
) -> None:
    put_on_record(monkeypatch, Record(THIS, {}, by), Record(ELSEWHERE, {}))
    relu = crosscheck.activations["relu"]
    deviation = deviation_of("relu", "relu-negative-zero")
    regions = tuple(dataclasses.replace(region, seen=(seen,)) for region in deviation.regions)
    declared = dataclasses.replace(relu, deviations=(dataclasses.replace(deviation, regions=regions),))
    assert values(declared).passed is passed


def test_a_record_of_a_command_counts_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bounds and regions are those of one CPU; what another one shows is by hand, or of its own file."""
    put_on_record(monkeypatch, Record(THIS, {}), Record(ELSEWHERE, {}, "a command"))
    relu = crosscheck.activations["relu"]
    region, *_ = relu.deviations[0].regions
    regions = [dataclasses.replace(region, seen=(seen,)) for seen in (THIS, ELSEWHERE)]
    deviation = dataclasses.replace(relu.deviations[0], regions=tuple(regions))
    assert recorded_here.regions_here(deviation, HERE) == (regions[0],)


def record(torch: str, jax: str, device: str, *capabilities: str) -> Record:
    return Record(Seen(f"~={torch}.0", f"~={jax}.0", device, capabilities), {})


RECORDS = (
    record("2.15", "0.12", "gpu", "AVX512"),
    record("2.13", "0.10", "cpu", "AVX2", "AVX512"),
    record("2.15", "0.12", "cpu", "AVX512"),
)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (Environment("2.13.0+cpu", "0.10.0", "cpu", "AVX512"), ("~=2.13.0", "cpu", "AVX512")),
        (Environment("2.13.9", "0.10.7", "cpu", "AVX2"), ("~=2.13.0", "cpu", "AVX2")),
        (Environment("2.13.0", "0.10.0", "cpu", "AVX512_FP16"), ("~=2.13.0", "cpu", "AVX512")),
        (Environment("2.13.0", "0.10.0", "cpu", "DEFAULT"), ("~=2.13.0", "cpu", "AVX2")),
        (Environment("2.13.0", "0.10.0", "cpu", "NEON"), ("~=2.13.0", "cpu", "AVX2")),
        (Environment("2.13.0", "0.10.0", "cpu", "AVX2 in JAX"), ("~=2.13.0", "cpu", "AVX2")),
        (Environment("2.16.0.dev1", "0.13.1", "cpu", "AVX2"), ("~=2.15.0", "cpu", "AVX512")),
        (Environment("2.14.0", "0.12.0", "cpu", "AVX2"), ("~=2.15.0", "cpu", "AVX512")),
        (Environment("2.12.0", "0.10.0", "cpu", "AVX512"), ("~=2.13.0", "cpu", "AVX512")),
        (Environment("3.0.0", "0.10.0", "cpu", "AVX2"), ("~=2.13.0", "cpu", "AVX2")),
        (Environment("2.15.3", None, "cpu", "AVX2"), ("~=2.15.0", "cpu", "AVX512")),
        (Environment("2.13.0", "0.10.0", "gpu", "AVX2"), ("~=2.15.0", "gpu", "AVX512")),
    ],
    ids=str,
)
def test_the_nearest_on_record_is_by_device_then_releases_then_cpu(
    monkeypatch: pytest.MonkeyPatch, environment: Environment, expected: tuple[str, str, str]
) -> None:
    put_on_record(monkeypatch, *RECORDS)
    seen = recorded_here.nearest(environment)
    assert (seen.torch, seen.device, *seen.capabilities) == expected


@pytest.mark.parametrize("further", ["AVX512", "AVX2"])
def test_where_nothing_is_on_record_only_the_nearest_record_counts(monkeypatch: pytest.MonkeyPatch, further: str) -> None:
    near, far = (Seen("~=99.0.0", "~=99.0.0", capabilities=(name,)) for name in ("AVX2", "AVX512"))
    put_on_record(monkeypatch, Record(far, {}, "a command"), Record(near, {}, "a command"))
    relu = crosscheck.activations["relu"]
    region, *_ = relu.deviations[0].regions
    regions = {seen.capabilities[0]: dataclasses.replace(region, seen=(seen,)) for seen in (near, far)}
    deviation = dataclasses.replace(relu.deviations[0], regions=(regions[further],))
    here = Environment("99.1.0", "99.0.0", "cpu", "DEFAULT")
    assert recorded_here.regions_here(deviation, here) == ((regions[further],) if further == "AVX2" else ())


def test_explain_says_where_a_deviation_was_seen_and_where_not(
    monkeypatch: pytest.MonkeyPatch, told: Callable[..., Explanation]
) -> None:
    here, other = (Seen("~=9.1.0", "~=9.2.0", capabilities=(name,)) for name in ("AVX2", "VSX"))
    relu = crosscheck.activations["relu"]
    held = {relu.deviations[0].id: relu.deviations[0].regions}
    monkeypatch.setattr("crosscheck._recorded.files.records", lambda: (Record(here, held, "x"), Record(other, {}, "y")))
    explained = told(relu, values("relu"))
    seen, unseen = "torch-9.1-jax-9.2-avx2", "torch-9.1-jax-9.2-vsx"
    where = {disagreement.id: (disagreement.seen_in, disagreement.not_seen_in) for disagreement in explained.disagreements}
    assert where[relu.deviations[0].id] == ((seen,), (unseen,))
    lines = {tuple(line.split()) for line in str(explained).splitlines()}
    assert {("seen", "in", seen), ("not", "seen", "in", unseen)} <= lines
