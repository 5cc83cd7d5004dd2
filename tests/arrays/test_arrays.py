"""Arrays computed elsewhere: written, read back, compared; every kind of bad file gets one message."""

import gc
import json
import re
import subprocess
import warnings
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import cli
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from crosscheck import UsageError, compare_arrays, dump

Command = Callable[..., subprocess.CompletedProcess[str]]
X = np.random.default_rng(3).normal(size=(60, 70)).astype(np.float32)
ENDINGS = (".npz", ".safetensors")


def steps(x: Any, n: int) -> Any:
    """The number n floats farther from 0, for positive x."""
    return (x.view(f"u{x.itemsize}") + x.dtype.type(0).view(f"u{x.itemsize}").dtype.type(n)).view(x.dtype)


# Figures


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("n", [1, 3, 4, 5])
def test_ulp_are_counted_in_the_larger_element(dtype: Any, n: int) -> None:
    x = np.linspace(1.1, 1.7, 50).astype(dtype)
    report = compare_arrays(x, steps(x, n))
    (comparison,) = report.comparisons
    assert comparison.figures["ulp_max"] == n
    assert report.passed == (n <= 4)
    assert compare_arrays(x, steps(x, n), ulp=n).passed
    assert not compare_arrays(x, steps(x, n), ulp=n - 0.5).passed


def test_one_wrong_element_among_many_is_found_by_index() -> None:
    x = np.zeros((7, 300, 400), np.float32)
    y = x.copy()
    y[5, 123, 321] = 1e-3
    report = compare_arrays({"weight": x}, {"weight": y})
    (comparison,) = report.comparisons
    assert not report.passed
    assert (comparison.beyond, comparison.equal, comparison.elements) == (1, x.size - 1, x.size)
    assert [element.index for element in comparison.worst] == [(5, 123, 321)]
    assert comparison.figures["abs_max"] == pytest.approx(1e-3)
    assert (report.compared, comparison.name, report.first) == (x.size, "weight", comparison)


def test_percentiles_are_those_of_numpy_to_three_digits() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=1_000_003).astype(np.float32)
    y = (x * (1 + 1e-6 * rng.normal(size=x.size))).astype(np.float32)
    figures = compare_arrays(x, y).comparisons[0].figures
    wide, other = x.astype(np.float64), y.astype(np.float64)
    apart = np.abs(wide - other)
    unit = np.spacing(np.maximum(np.abs(x), np.abs(y))).astype(np.float64)
    for name, errors in (("abs", apart), ("rel", apart / np.abs(other)), ("ulp", apart / unit)):
        for share in (50, 99):
            expected = np.percentile(errors, share, method="lower")
            assert figures[f"{name}_p{share}"] == pytest.approx(expected, rel=1e-3)
        assert figures[f"{name}_max"] == errors.max()


def test_the_smallest_tolerances_hold_and_no_smaller_ones() -> None:
    y = (X * np.float32(1.0001)).astype(np.float32)
    figures = compare_arrays(X, y).comparisons[0].figures
    for option, measure in (("rtol", "rel_max"), ("atol", "abs_max")):
        assert compare_arrays(X, y, **{option: figures[measure]}).passed
        assert not compare_arrays(X, y, **{option: figures[measure] * 0.999}).passed


def test_a_tolerance_replaces_the_ulp_unless_both_are_given() -> None:
    y = steps(np.abs(X), 3)
    assert compare_arrays(np.abs(X), y).passed
    assert not compare_arrays(np.abs(X), y, rtol=0.0).passed
    assert compare_arrays(np.abs(X), y, rtol=0.0, ulp=3).passed


@pytest.mark.parametrize(
    ("a", "b", "special"),
    [
        (nan, nan, 0),
        (inf, inf, 0),
        (0.0, -0.0, 0),
        (nan, 1.0, 1),
        (1.0, nan, 1),
        (inf, -inf, 1),
        (inf, 3e38, 1),
        (nan, inf, 1),
    ],
)
def test_numbers_that_are_not_finite(a: float, b: float, special: int) -> None:
    report = compare_arrays(np.array([1, a], np.float32), np.array([1, b], np.float32), ulp=1e30)
    (comparison,) = report.comparisons
    assert comparison.special == special
    assert report.passed == (special == 0)
    assert [element.ulp for element in comparison.worst] == [inf] * special


@pytest.mark.parametrize(
    ("a", "b", "passed"), [([1, 2], [1, 2], True), ([1, 2], [1, 9], False), ([True], [True], True), ([True], [False], False)]
)
def test_integers_and_booleans(a: list[Any], b: list[Any], passed: bool) -> None:
    assert compare_arrays(np.array(a), np.array(b), ulp=0).passed == passed


@pytest.mark.parametrize(("left", "right"), [(np.int64, np.int32), (np.int8, np.int64), (np.uint8, np.int32)])
def test_integers_are_compared_whatever_their_width(left: Any, right: Any) -> None:
    ids = np.array([0, 3, 77], left)
    assert compare_arrays(ids, ids.astype(right), ulp=0).passed
    report = compare_arrays(ids, np.array([0, 4, 77], right), ulp=0)
    (comparison,) = report.comparisons
    assert (report.passed, comparison.beyond, comparison.worst[0].index) == (False, 1, (1,))
    assert comparison.dtype == f"{np.dtype(left)} and {np.dtype(right)}"


def test_integers_that_float64_does_not_tell_apart_differ() -> None:
    a = np.array([2**53, 7], np.int64)
    report = compare_arrays(a, a + np.array([1, 0]), ulp=0)
    assert (report.passed, report.comparisons[0].equal) == (False, 1)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_at_the_end_of_their_range_are_compared(dtype: Any) -> None:
    """Their root mean square, as a float, is one too large for the dtype."""
    ends = np.full(2, np.iinfo(dtype).max, dtype)
    report = compare_arrays(ends, ends - np.array([1, 0], dtype), ulp=0)
    assert (report.passed, report.comparisons[0].equal) == (False, 1)
    assert report.comparisons[0].figures["rms_ulp"] == 1


def test_a_boolean_is_no_integer() -> None:
    with pytest.raises(UsageError, match=r"array: got bool \(2,\) and int64 \(2,\), expected the same shape and dtype"):
        compare_arrays(np.array([True, False]), np.array([1, 0]))


LAYERS = {"z.embedding": X, "block.2": X, "block.10": X, "a.head": X}


def spoiled(**changed: Any) -> dict[str, Any]:
    return {**LAYERS, **{name.replace("_", "."): array for name, array in changed.items()}}


def test_the_first_array_that_differs_is_told_beside_the_worst() -> None:
    report = compare_arrays(LAYERS, spoiled(block_10=X * np.float32(1.0001), a_head=X * 2))
    assert report.first is not None
    assert report.first.name == "block.10"
    assert max(report.comparisons, key=lambda comparison: comparison.figures["ulp_max"]).name == "a.head"
    assert "the worst in a.head, the first in block.10" in report.headline
    story = report.story()
    order = story[story.index("in the order of A, where array 3 of 4 is the first to differ:") :].splitlines()[1:4]
    assert [line.split()[:2] for line in order] == [
        ["block.2", "agrees"],
        ["block.10", "DISAGREES"],
        ["a.head", "DISAGREES"],
    ]
    assert story.index("\na.head (") < story.index("\nblock.10 (")
    assert compare_arrays(LAYERS, LAYERS).first is None


def test_an_array_says_at_which_tolerances_it_passes() -> None:
    rng = np.random.default_rng(5)
    x, w = (rng.normal(size=(300, 300)).astype(np.float32) for _ in range(2))
    sums, other_order = x @ w, np.ascontiguousarray(x[:, ::-1]) @ np.ascontiguousarray(w[::-1])
    (right,) = compare_arrays(sums, other_order).comparisons
    (wrong,) = compare_arrays(sums, sums + np.float32(1e-2)).comparisons
    assert not right.passed
    assert right.figures["rms_ulp"] < 100 < wrong.figures["rms_ulp"]
    told = str(compare_arrays(sums, other_order))
    line = next(line for line in told.splitlines() if line.startswith("  passes"))
    for option, value in re.findall(r"(ulp|rtol|atol) ([^ ,]+)", line):
        assert compare_arrays(sums, other_order, **{option: float(value)}).passed
        assert not compare_arrays(sums, other_order, **{option: 0.9 * float(value)}).passed


def test_the_truth_tells_the_side_at_fault() -> None:
    truth = np.tanh(X.astype(np.float64))
    right = truth.astype(np.float32)
    wrong = right * np.float32(1.00001)
    assert compare_arrays(right, wrong, truth).comparisons[0].side == "B"
    assert compare_arrays(wrong, right, truth).comparisons[0].side == "A"
    assert compare_arrays(wrong, right * np.float32(0.99999), truth).comparisons[0].side == "both"
    (agrees,) = compare_arrays(right, right, truth).comparisons
    assert (agrees.side, agrees.a_ulp) == (None, agrees.b_ulp)
    assert agrees.a_ulp is not None
    assert agrees.a_ulp <= 0.5


def test_subnormals_have_the_smallest_unit() -> None:
    tiny = np.array([3, 2**22], np.uint32).view(np.float32)
    assert compare_arrays(tiny, steps(tiny, 2)).comparisons[0].figures["ulp_max"] == 2


def test_an_input_of_both_frameworks_is_taken_as_it_is() -> None:
    weights = {"w": torch.tensor(X, requires_grad=True), "h": torch.tensor(X).bfloat16()}
    assert compare_arrays(weights, {"w": jnp.asarray(X), "h": jnp.asarray(X, jnp.bfloat16)}, ulp=0).passed


def test_arrays_of_a_machine_of_the_other_byte_order_are_the_same_numbers() -> None:
    a = np.array([1.0, 2.0, 3.0], np.float32)
    assert compare_arrays(a.astype(">f4"), a).passed
    with pytest.raises(UsageError, match="array: got dtype float128, expected float64"):
        compare_arrays(a.astype(np.longdouble), a.astype(np.longdouble))


def test_a_name_is_shown_in_one_line_and_moves_no_cursor() -> None:
    arrays = {"x\nAGREE: all": np.ones(1), "\x1b[2J$\\frac{$": np.zeros(1)}
    report = compare_arrays(arrays, arrays)
    told = (str(report), report.markdown(), report.document().page())
    assert not any("\x1b" in text or "\nAGREE: all" in text for text in told)
    assert r"x\nAGREE: all (float64" in str(report)
    assert [comparison.name for comparison in report.comparisons] == list(arrays)


def test_a_name_on_one_side_fails() -> None:
    report = compare_arrays({"y": X, "bias": X}, {"y": X, "scale": X})
    assert not report.passed
    assert (report.only_a, report.only_b) == (("bias",), ("scale",))


def test_nothing_compared_fails() -> None:
    for a, b in (({"a": X}, {"b": X}), (X[:0], X[:0])):
        report = compare_arrays(a, b)
        assert not report.passed
        assert report.compared == 0


# Files


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_dumped_is_read_back_to_the_bit(command: Command, tmp_path: Path, ending: str) -> None:
    dump(tmp_path / f"a{ending}", y=torch.tensor(X).T, h=torch.tensor(X).bfloat16(), n=torch.arange(5))
    dump(tmp_path / f"b{ending}", y=jnp.asarray(X).T, h=jnp.asarray(X, jnp.bfloat16), n=np.arange(5))
    done = command("diff", f"a{ending}", f"b{ending}", "--ulp", "0", "--json", "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["schema"] == "crosscheck.arrays/1"
    assert {row["name"]: row["dtype"] for row in data["comparisons"]} == {"y": "float32", "h": "bfloat16", "n": "int64"}


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_an_array_may_have_any_name(command: Command, tmp_path: Path, ending: str) -> None:
    """Also those that numpy's writer has for its own arguments, and that of a layer within layers."""
    arrays = {"file": X, "allow_pickle": X, "args": X, "path": X, "encoder.0/weight": X}
    dump(tmp_path / f"a{ending}", **arrays)
    done = command("diff", f"a{ending}", f"a{ending}", "--json", "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["name"] for row in json.loads((tmp_path / "out.json").read_text())["comparisons"]} == set(arrays)


def test_a_npy_file_holds_one_array(command: Command, tmp_path: Path) -> None:
    dump(tmp_path / "a.npy", whatever=torch.tensor(X))
    dump(tmp_path / "b.npy", other=X * 2)
    done = command("diff", "a.npy", "b.npy")
    assert done.returncode == 1
    assert done.stdout.startswith("DISAGREE: 1 of 1 array")
    dump(tmp_path / "b.npy", other=X)
    assert command("diff", "a.npy", "b.npy").returncode == 0


def test_a_truth_is_read_from_a_third_file(command: Command, tmp_path: Path) -> None:
    truth = np.exp(X.astype(np.float64))
    dump(tmp_path / "a.npz", y=truth.astype(np.float32))
    dump(tmp_path / "b.npz", y=np.exp(X) * np.float32(1.001))
    dump(tmp_path / "t.npz", y=truth)
    done = command("diff", "a.npz", "b.npz", "--truth", "t.npz")
    assert done.returncode == 1
    assert "at fault: B" in " ".join(done.stdout.splitlines()[:2])


def test_a_name_on_one_side_exits_1_and_no_common_name_2(command: Command, tmp_path: Path) -> None:
    dump(tmp_path / "a.npz", y=X, z=X)
    dump(tmp_path / "b.npz", y=X)
    dump(tmp_path / "c.npz", w=X)
    assert command("diff", "a.npz", "b.npz", env={}).returncode == 1
    assert command("diff", "a.npz", "c.npz", env={}).returncode == 2


def spoil(folder: Path, kind: str) -> str:
    """A bad file beside good.npz; its name."""
    good = {"y": X}
    if kind == "text":
        (folder / "bad.safetensors").write_text("hello, this is no such file")
        return "bad.safetensors"
    if kind.startswith("cut"):
        ending = kind.removeprefix("cut")
        path = folder / f"bad{ending}"
        dump(path, **good)
        path.write_bytes(path.read_bytes()[: -X.nbytes // 2])
        return path.name
    if kind == "objects.npy":
        np.save(folder / "bad.npy", np.array([{"a": 1}], object), allow_pickle=True)
        return "bad.npy"
    if kind == "objects.npz":
        np.savez(folder / "bad.npz", y=np.array([{"a": 1}], object))
        return "bad.npz"
    if kind == "swapped":
        dump(folder / "x.npy", **good)
        (folder / "x.npy").rename(folder / "bad.npz")
        return "bad.npz"
    if kind == "shape":
        dump(folder / "bad.npz", y=X[1:])
    elif kind == "dtype":
        dump(folder / "bad.npz", y=X.astype(np.float64))
    elif kind == "strings":
        np.savez(folder / "bad.npz", y=np.array(["a"]))
    return "bad.npz"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("text", ("B: bad.safetensors is not a whole .safetensors file",)),
        ("cut.npy", ("B: bad.npy is not a whole .npy file",)),
        ("cut.npz", ("B: bad.npz is not a whole .npz file",)),
        ("cut.safetensors", ("B: bad.safetensors is not a whole .safetensors file",)),
        ("objects.npy", ("B: bad.npy holds Python objects", "arrays of numbers")),
        ("objects.npz", ("B: bad.npz holds Python objects",)),
        ("swapped", ("B: bad.npz is not a whole .npz file: it is no archive of arrays",)),
        ("shape", ("y: got float32 (60, 70) and float32 (59, 70)",)),
        ("dtype", ("y: got float32 (60, 70) and float64 (60, 70)",)),
        ("strings", ("y: got dtype <U1",)),
        ("missing", ("B: bad.npz does not exist",)),
    ],
)
def test_a_bad_file_gets_one_message_and_exit_2(command: Command, tmp_path: Path, kind: str, parts: tuple[str, ...]) -> None:
    dump(tmp_path / "good.npz", y=X)
    dump(tmp_path / "good.npy", y=X)
    bad = spoil(tmp_path, kind)
    done = command("diff", "good.npy" if bad.endswith(".npy") else "good.npz", bad)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    for part in parts:
        assert part in done.stderr


def test_other_bad_arguments(command: Command, tmp_path: Path) -> None:
    dump(tmp_path / "a.npz", y=X)
    (tmp_path / "a.txt").write_text("1 2 3")
    for arguments, part in (
        (("a.npz", "a.txt"), "ends in '.txt', expected one of .npy, .npz, .safetensors"),
        (("a.npz", "a.npz", "--ulp", "-1"), "ulp: got -1.0, expected a number that is not negative"),
        (("a.npz", "a.npz", "--rtol", "nan"), "rtol: got nan"),
        (("a.npz", "a.npz", "--json", "no/such/folder.json"), "does not exist"),
    ):
        done = command("diff", *arguments)
        assert (done.returncode, part in done.stderr) == (2, True), done.stderr


def test_dump_refuses_and_leaves_no_file(tmp_path: Path) -> None:
    for path, arrays, part in (
        ("x.pt", {"y": X}, "ends in '.pt'"),
        ("x.npz", {}, "got none"),
        ("x.npy", {"y": X, "z": X}, "a .npy file holds one"),
        ("x.npz", {"y": "text"}, "y: got dtype <U4"),
        ("x.npz", {"y": [object()]}, "y: got dtype object"),
    ):
        with pytest.raises(UsageError, match=r".*") as caught:
            dump(tmp_path / path, **arrays)
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_bad_arrays_do_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", cut=X, narrow=X, text=X, good=X, wrong=X)
    np.savez(tmp_path / "b.npz", cut=X[1:], narrow=X.astype(np.float16), text=np.array(["a"]), good=X, wrong=X + 1)
    done = command("diff", "a.npz", "b.npz", "--json", "out.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "DISAGREE: 1 of 2 arrays" in done.stdout
    assert "not compared: cut: got float32 (60, 70) and float32 (59, 70), expected the same shape and dtype" in done.stdout
    summary = json.loads((tmp_path / "out.json").read_text())["summary"]
    assert list(summary["refused"]) == ["cut", "narrow", "text"]
    assert (summary["passed"], summary["first"]) == (False, "wrong")


def test_a_bad_array_among_arrays_that_agree_fails() -> None:
    report = compare_arrays({"u": X, "v": X}, {"u": X[1:], "v": X})
    assert (report.passed, list(report.refused)) == (False, ["u"])
    assert (report.compared, report.first) == (X.size, None)
    truth = {"u": X.astype(np.float64), "v": X}
    assert list(compare_arrays({"u": X, "v": X}, {"u": X, "v": X}, truth).refused) == ["v"]


def test_a_member_that_is_damaged_does_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    dump(tmp_path / "a.npz", y=X, z=X)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[2000] ^= 4
    (tmp_path / "b.npz").write_bytes(whole)
    done = command("diff", "a.npz", "b.npz")
    assert done.returncode == 1
    assert "1 array, 4,200 elements agree, but 1 could not be compared" in done.stdout
    assert "B: b.npz is not a whole .npz file: Bad CRC-32" in done.stdout


def test_where_no_array_can_be_compared_all_are_in_one_message() -> None:
    with pytest.raises(UsageError) as caught:
        compare_arrays({"u": X, "w": X}, {"u": X[1:], "w": X.astype(np.float16)})
    assert "u: got" in str(caught.value)
    assert "w: got" in str(caught.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_keeps_the_order_of_its_arrays(tmp_path: Path, ending: str) -> None:
    path, kept = tmp_path / f"a{ending}", tmp_path / "kept.json"
    dump(path, **LAYERS)
    cli.run("diff", str(path), str(path), "--json", str(kept))
    assert [row["name"] for row in json.loads(kept.read_text("utf-8"))["comparisons"]] == list(LAYERS)


def test_a_safetensors_file_of_another_writer_is_read(command: Command, tmp_path: Path) -> None:
    save_file({"y": X}, tmp_path / "theirs.safetensors")
    dump(tmp_path / "ours.npz", y=X)
    assert command("diff", "theirs.safetensors", "ours.npz", "--ulp", "0").returncode == 0


def test_a_file_is_closed_before_what_reads_it_is_collected(tmp_path: Path) -> None:
    """As where an exception holds it: in a cycle, of which Python lets go in any order, and warns of a file left open."""
    dump(tmp_path / "a.npz", x=X)
    dump(tmp_path / "b.npz", x=X[1:])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = cli.run("diff", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"))
        assert done.exit_code == 2
        cycle: list[Any] = [done.exc_info]
        cycle.append(cycle)
        del cycle, done
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
