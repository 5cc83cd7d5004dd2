"""What is on record of an environment: a command measures and writes it, and finds each fault that is planted in a file."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cli
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from click.testing import Result
from recorded_here import Record

from crosscheck import Activation, Anchor, Region, activations
from crosscheck._atlas import recording

Regions = Mapping[str, tuple[Region, ...]]
LITTLE = recording.Scope(("float32",), ("eager", "jit"), layout=False)
OPTIONS = ("--dtype", "float32", "--mode", "eager", "--mode", "jit", "--no-layout")
LOST_TAIL = "sigmoid-derivative-lost-tail"


def atlas(*arguments: str) -> Result:
    return cli.run("atlas", *arguments)


def check(name: str, *options: str) -> Result:
    return atlas("--check", name, *OPTIONS, *options)


def put_on_record(monkeypatch: pytest.MonkeyPatch, regions: Regions) -> None:
    seen, by = recording.here()
    monkeypatch.setattr("crosscheck._recorded.files.records", lambda: (Record(seen, regions, by),))


@pytest.fixture(scope="module")
def measured_once() -> Iterator[None]:
    """sigmoid is run once, for all tests."""
    run = recording.run
    kept: dict[int, list[Any]] = {}

    def once(activation: Activation, plan: Any) -> Sequence[Any]:
        if activation.name != "sigmoid":
            return list(run(activation, plan))
        if plan.seed not in kept:
            kept[plan.seed] = list(run(activation, plan))
        return kept[plan.seed]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "run", once)
        yield


@pytest.fixture
def right(measured_once: None, monkeypatch: pytest.MonkeyPatch) -> Regions:
    """What sigmoid does here, put on record."""
    seen, _ = recording.here()
    record = recording.by_name().get(recording.name_of(seen))
    regions = recording.measured("sigmoid", LITTLE, seen, record.deviations if record else {}).deviations
    put_on_record(monkeypatch, regions)
    return regions


def changed(regions: Regions, change: Callable[[Region], Region]) -> Regions:
    """With another region of the gradient's lost tail."""
    first, *others = regions[LOST_TAIL]
    assert first.order == 1
    return {**regions, LOST_TAIL: (change(first), *others)}


def with_another_bit(region: Region) -> Region:
    (anchor,) = region.anchors
    result = float(np.nextafter(np.float32(anchor.results["torch.native"]), np.float32(1)))
    return replace(region, anchors=(Anchor(anchor.input, {**anchor.results, "torch.native": result}),))


def with_an_idle_anchor(region: Region) -> Region:
    return replace(region, intervals=((0.5, 103.98),), anchors=(Anchor(0.5, {}),))


FAULTS: dict[str, tuple[Callable[[Region], Region], str]] = {
    "a region widened": (lambda region: replace(region, intervals=((1.2, 103.98),)), "inputs "),
    "an anchor's last bit": (with_another_bit, "torch gives 0.0, was 1.401298464324817e-45"),
    "a bound ten times too large": (lambda region: replace(region, max_ulp=10 * region.max_ulp), "error at most "),
    "a bound of a mode ten times too large": (
        lambda region: replace(region, max_ulp_in={"jit": 10 * region.max_ulp}),
        "; in jit at most ",
    ),
    "an anchor that does not show it": (with_an_idle_anchor, "at 0.5: an anchor that does not show it"),
}


@pytest.mark.full
def test_a_record_of_today_is_what_is_measured(right: Regions) -> None:
    done = check("sigmoid")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("UNCHANGED: ")
    assert {LOST_TAIL, "sigmoid-exp-overflow"} <= right.keys()


def test_regions_must_hold_at_their_own_ends_and_anchors(right: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run to come is at these inputs too, some of which no sample had before."""
    once, tried = recording.run, dict[int, Activation]()

    def noted(activation: Activation, plan: Any) -> Any:
        tried[plan.seed] = activation
        return once(activation, plan)

    monkeypatch.setattr(recording, "run", noted)
    assert check("sigmoid").exit_code == 0
    (deviation,) = (candidate for candidate in tried[max(tried)].deviations if candidate.id == LOST_TAIL)
    assert deviation.regions == right[LOST_TAIL]


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_in_a_record_is_found_and_named(
    monkeypatch: pytest.MonkeyPatch, right: Regions, fault: Callable[[Region], Region], said: str
) -> None:
    put_on_record(monkeypatch, changed(right, fault))
    done = check("sigmoid")
    assert done.exit_code == 1, done.output
    assert f"{LOST_TAIL} (changed):\n  float32 gradient: " in done.output
    assert said in done.output
    assert " 1 changed, " in " ".join(done.output.split())


def test_a_region_that_is_missing_in_a_record_is_found_by_what_is_on_record_elsewhere(
    monkeypatch: pytest.MonkeyPatch, right: Regions, tmp_path: Path
) -> None:
    put_on_record(monkeypatch, {id_: regions for id_, regions in right.items() if id_ != LOST_TAIL})
    done = check("sigmoid", "--json", str(tmp_path / "found.json"), "--markdown", str(tmp_path / "found.md"))
    assert done.exit_code == 1
    data = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert [(change["id"], change["kind"]) for change in data["changes"]] == [(LOST_TAIL, "appeared")]
    assert not data["unexplained"]
    assert LOST_TAIL in (tmp_path / "found.md").read_text("utf-8")


def hard_tanh() -> recording.RecordedActivation:
    """What is measured of hard_tanh where nothing is on record."""
    return recording.measured("hard_tanh", LITTLE, recording.here()[0], {})


@pytest.fixture(scope="module")
def sound() -> recording.RecordedActivation:
    """Measured once, for all tests."""
    return hard_tanh()


@pytest.fixture(scope="module")
def doubled() -> recording.RecordedActivation:
    """The same of a release of torch whose hardtanh gives twice what it should."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "hardtanh", lambda x: 2 * torch.clamp(x, -1, 1))
        return hard_tanh()


def test_what_matches_no_reason_is_listed(
    monkeypatch: pytest.MonkeyPatch, doubled: recording.RecordedActivation, tmp_path: Path
) -> None:
    """Where a record is checked, and where one is written."""
    monkeypatch.setattr(recording, "activations", {"hard_tanh": activations["hard_tanh"]})
    monkeypatch.setattr(recording, "WHOLE", LITTLE)
    monkeypatch.setattr(recording, "measured", lambda name, **options: doubled)
    done = atlas("--record", "--out", str(tmp_path), "--processes", "1")
    assert done.exit_code == 1
    assert "that match no reason are not in it" in " ".join(done.output.split())
    put_on_record(monkeypatch, {})
    done = check("hard_tanh")
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "These match no reason; find out what they are, and write it beside the activation" in said
    assert "hard_tanh value, float32 eager, torch: definition at " in said


def test_an_error_without_a_reason_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("planted")

    put_on_record(monkeypatch, {})
    monkeypatch.setattr(torch.nn.functional, "hardtanh", gone)
    done = check("hard_tanh")
    assert done.exit_code == 1
    assert "hard_tanh value, float32 eager, torch: error: RuntimeError: planted" in " ".join(done.output.split())


def test_an_error_with_a_reason_is_found_where_nothing_is_on_record() -> None:
    part = recording.measured("hard_sigmoid", LITTLE, recording.here()[0], {})
    assert part.unexplained == ()
    (region,) = part.deviations["hard-sigmoid-no-second-derivative"]
    assert (region.order, region.dtypes) == (2, ("float32",))


def test_a_reason_at_single_numbers_is_found_where_nothing_is_on_record(sound: recording.RecordedActivation) -> None:
    assert sound.unexplained == ()
    (region,) = sound.deviations["hard-tanh-gradient-at-ends"]
    assert region.intervals == ((-1.0, -1.0), (1.0, 1.0))


def test_an_input_goes_to_the_reason_around_it_not_to_one_near_it() -> None:
    scope = recording.Scope(("float16",), ("eager", "jit"), layout=False)
    part = recording.measured("hard_silu", scope, recording.here()[0], {})
    assert part.unexplained == ()
    (below_three,) = (region for region in part.deviations["hard-silu-derivatives-below-three"] if region.order == 1)
    assert below_three.intervals == ((2.998046875, 2.998046875),)
    (rounded,) = (region for region in part.deviations["hard-silu-16-bit-arithmetic"] if region.order == 1)
    assert rounded.max_ulp < 10


@pytest.mark.full
def test_a_reason_has_a_region_for_each_case_where_each_shows_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = jax.nn.celu

    def planted(x: jax.Array, alpha: float = 1.0) -> jax.Array:
        y = whole(x, alpha)
        wrong = (x > -0.28 * alpha) & (x < -0.2 * alpha)
        return y + jax.lax.stop_gradient(jnp.where(wrong, y * 2.0**-18 * jnp.sign(jnp.sin(x * 2.0**24)), 0.0))

    monkeypatch.setattr(jax.nn, "celu", planted)
    part = recording.measured("celu", LITTLE, recording.here()[0], {})
    assert part.unexplained == ()
    regions = part.deviations["celu-value-over-budget"]
    assert [region.parameters for region in regions] == [{"alpha": 1.0}, {"alpha": 0.5}, {"alpha": 0.125}]
    assert not any(region.modes for region in regions)


@pytest.mark.parametrize(
    ("intervals", "bound", "kept"), [(((-3.0, -2.0),), 5.0, True), (((40.0, 80.0),), 5.0, False)], ids=["unseen", "larger"]
)
def test_what_few_samples_show_stays_on_record_and_its_bound_holds(
    monkeypatch: pytest.MonkeyPatch, right: Regions, intervals: tuple[tuple[float, float], ...], bound: float, kept: bool
) -> None:
    rare = replace(right[LOST_TAIL][0], intervals=intervals, anchors=(), max_ulp=bound, modes=())
    regions = recording.measured("sigmoid", LITTLE, recording.here()[0], {**right, LOST_TAIL: (rare,)}).deviations
    (recorded,) = (region for region in regions[LOST_TAIL] if region.intervals == intervals and not region.anchors)
    assert (recorded == rare) is kept
    assert recorded.max_ulp >= bound


def test_what_one_sample_of_many_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that the samples of three seeds miss is found by a later one."""
    run, hardtanh, seeds = recording.run, torch.nn.functional.hardtanh, [0]

    def noted(activation: Activation, plan: Any) -> Sequence[Any]:
        seeds.append(plan.seed)
        return list(run(activation, plan))

    def planted(x: torch.Tensor) -> torch.Tensor:
        rare = (x > 0.2) & (x < 0.3) & (seeds[-1] == recording.AGAIN[0][-1])
        return torch.where(rare, x * 0.75, hardtanh(x))

    monkeypatch.setattr(recording, "run", noted)
    monkeypatch.setattr(torch.nn.functional, "hardtanh", planted)
    assert {group.implementations for group in hard_tanh().unexplained if 0.2 < group.worst < 0.3} == {("torch.native",)}


@pytest.mark.full
@pytest.mark.parametrize(
    ("interval", "anchors", "error"),
    [
        ((0.0, 22.0), (Anchor(21.0, {}),), 2**-6),
        ((0.0, 22.0), (), 2**-6),
        ((0.0, 1.2), (), 2**-6),
        ((60.0, 80.0), (), 2**-7.5),
    ],
    ids=["anchored", "rare", "near", "far but small"],
)
def test_what_few_rows_show_is_on_record_without_an_input_that_must_show_it(
    interval: tuple[float, float], anchors: tuple[Anchor, ...], error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number that names an entry of a row is in other rows too, which do not show it."""
    draws = torch.Generator().manual_seed(0)

    def planted(x: torch.Tensor, dim: int) -> torch.Tensor:
        y = torch.softmax(-x.double(), dim).to(x.dtype)
        few = (torch.rand(x.shape, generator=draws) < 0.02) & (y > 0.1) & (y < y.amax(dim, keepdim=True))
        few &= x.dtype == torch.bfloat16
        return torch.where(few, y.detach() * (1 + error) + y - y.detach(), y)

    monkeypatch.setattr(torch.nn.functional, "softmin", planted)
    softmin, id_ = activations["softmin"], "softmin-16-bit-rounding"
    template = Region(0, ("bfloat16",), (interval,), anchors, max_ulp=8.0)
    deviations = tuple(
        replace(deviation, regions=(template, *(region for region in deviation.regions if region.order)))
        if deviation.id == id_
        else deviation
        for deviation in softmin.deviations
    )
    monkeypatch.setattr(recording, "activations", {"softmin": replace(softmin, deviations=deviations)})
    scope = recording.Scope(("bfloat16",), ("eager",), layout=False)
    part = recording.measured("softmin", scope, recording.here()[0], {})
    assert not part.unexplained
    rare = [region for region in part.deviations[id_] if region.order == 0]
    assert not any(region.anchors for region in rare)
    assert all(1 < region.max_ulp <= 16 for region in rare)


def test_a_record_is_written_whole_and_goes_on_where_it_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, sound: recording.RecordedActivation, tmp_path: Path
) -> None:
    """As if there were two functions, and little to measure."""
    monkeypatch.setattr(recording, "activations", {name: activations[name] for name in ("relu", "hard_tanh")})
    monkeypatch.setattr(recording, "WHOLE", LITTLE)
    begun: list[str] = []
    measured = recording.measured

    def interrupted(name: str, *arguments: Any, **options: Any) -> Any:
        begun.append(name)
        if begun == ["relu", "hard_tanh"]:
            raise KeyboardInterrupt
        return sound if name == "hard_tanh" else measured(name, *arguments, **options)

    monkeypatch.setattr(recording, "measured", interrupted)
    asked = ("--record", "--out", str(tmp_path), "--processes", "1")
    assert atlas(*asked).exit_code == 130
    (journal,) = tmp_path.glob("*.journal")
    done = atlas(*asked, "--json", str(tmp_path / "done"))
    assert done.exit_code == 0, done.output
    assert begun == ["relu", "hard_tanh", "hard_tanh"]
    path = journal.with_suffix(".json")
    assert {file.name for file in tmp_path.iterdir()} == {path.name, "done"}
    seen, by = recording.here()
    record = json.loads(path.read_text("utf-8"))
    assert (record["seen"]["torch"], record["seen"]["jax"], record["by"]) == (seen.torch, seen.jax, by)
    declared = [deviation for name in ("relu", "hard_tanh") for deviation in activations[name].deviations]
    assert list(record["deviations"]) == [deviation.id for deviation in declared if deviation.cause != "layout"]
    assert f" {path.stat().st_size:,} bytes: " in " ".join(done.output.split())
    assert json.loads((tmp_path / "done").read_text("utf-8"))["bytes"] == path.stat().st_size


def test_a_file_that_crosscheck_did_not_write_is_not_overwritten(tmp_path: Path) -> None:
    path = recording.path_in(tmp_path)
    path.write_text("mine")
    done = atlas("--record", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert "crosscheck did not write it" in done.output
    assert path.read_text() == "mine"


def test_nothing_can_be_checked_where_nothing_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crosscheck._recorded.files.records", tuple)
    done = check("relu")
    assert done.exit_code == 2
    assert "nothing is on record of this environment" in done.output
    assert "crosscheck atlas --record measures it" in done.output


def test_the_records_of_two_environments_are_compared_by_name(tmp_path: Path) -> None:
    old, new = "torch-2.13-jax-0.10-avx2", "torch-2.13-jax-0.10-avx512"
    done = atlas("--diff", old, new, "--json", str(tmp_path / "diff"))
    assert done.exit_code == 1
    assert done.output.startswith(f"CHANGED: {old} against {new}:")
    data = json.loads((tmp_path / "diff").read_text("utf-8"))
    kinds = {change["id"]: change["kind"] for change in data["changes"]}
    assert kinds["gelu-top-binade"] == "appeared"
    same = atlas("--diff", new, new)
    assert same.exit_code == 0
    assert same.output.startswith("UNCHANGED: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--diff", "torch-2.13-jax-0.10-avx2", "torch-1.0"), "--diff: got 'torch-1.0' beside the name of a record"),
        (("--diff", "torch-2.13-jax-0.10-avx2"), "--diff: got the name of one record, expected the names of two"),
        (("--record", "relu"), "--record: got NAME too, which has no effect with it"),
        (("--record", "--quick", "--check"), "--record: got --quick, --check too, which have no effect with it"),
        (("--check", "--seed", "1"), "--check: got --seed too"),
        (("--check", "--diff", "x"), "--check: got --diff too"),
        (("--out", "x"), "--out: got a folder without --record"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = atlas(*arguments)
    assert done.exit_code == 2
    assert said in done.output
