"""Two atlases compared: every planted change is found, what did not change is not, and bad files get one message."""

import dataclasses
import gzip
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli
import pytest
from atlases import ONE, Extent, Outcome, atlas_of, row_of
from facts import subjects
from kept import write_json

import crosscheck
from crosscheck import Atlas, AtlasDiff, AtlasRow, UsageError

pytestmark = pytest.mark.full

Command = Callable[..., subprocess.CompletedProcess[str]]

ENVIRONMENT = {
    "python": "3.11.2",
    "platform": "here",
    "torch": {"version": "2.13.0", "threads": 2},
    "jax": {"version": "0.10.2"},
}


def row(id_: str, **changes: Any) -> AtlasRow:
    measured = (
        Extent("jax.native", "exact", "float32", "eager", 100, 120, 7.0),
        Extent("jax.native", "exact", "float32", "jit", 90, 120, 6.0),
    )
    return row_of(id_, *measured, **changes)


def atlas(*rows: AtlasRow, environment: dict[str, Any] = ENVIRONMENT, **coverage: Any) -> Atlas:
    return atlas_of(*rows, environment=environment, **coverage)


def with_extent(row: AtlasRow, **changes: Any) -> AtlasRow:
    """The row with its first extent changed."""
    first, *others = row.region[0].measured
    measured = (dataclasses.replace(first, **changes), *others)
    return dataclasses.replace(row, region=(dataclasses.replace(row.region[0], measured=measured),))


A, B = row("a"), row("b")
UNDECLARED = row("undeclared-elu", declared=False)
OTHER_RESULT = row("b", results=((Outcome("jax.native", "eager", ONE, 0.0), Outcome("torch.native", "eager", ONE, 0.5)),))
RAISES = row("b", results=((Outcome("jax.native", "eager", None, float("nan"), "TypeError: no"), A.results[0][1]),))


def of(points: int, largest: float = 7.0) -> str:
    """How an extent is written."""
    return f"{points} inputs up to {largest:g} ULP"


@pytest.mark.parametrize(
    ("new", "kinds", "told"),
    [
        ([A, row("b", seen=False)], ["vanished"], of(100)),
        ([A], ["vanished"], ""),
        ([A, B, row("c")], ["appeared"], ""),
        ([A, B, UNDECLARED], ["appeared"], "NOT DECLARED"),
        ([A, with_extent(B, points=101)], ["grew"], f"{of(101)}, was {of(100)}"),
        ([A, with_extent(B, max_ulp=7.5)], ["grew"], f"{of(100, 7.5)}, was {of(100)}"),
        ([A, with_extent(B, max_ulp=7.5, points=50)], ["grew"], of(50, 7.5)),
        ([A, with_extent(B, points=99)], ["shrank"], f"{of(99)}, was {of(100)}"),
        ([A, OTHER_RESULT], ["results"], "jax eager: 1, was 0"),
        ([A, RAISES], ["results"], "TypeError: no, was 0"),
    ],
    ids=["unseen", "gone", "new", "undeclared", "points", "ulp", "both", "fewer", "result", "raises"],
)
def test_a_planted_change_is_found_and_nothing_else(new: list[AtlasRow], kinds: list[str], told: str) -> None:
    difference = crosscheck.atlas_diff(atlas(A, B), atlas(*new))
    assert [change.kind for change in difference.changes] == kinds
    assert difference.changed
    assert difference.changes[0].id != "a"
    assert told in " ".join(str(difference).split())


def test_nothing_changed_where_only_the_environment_did() -> None:
    newer = {**ENVIRONMENT, "platform": "there", "torch": {"version": "2.14.0", "threads": 2}, "scipy": "1.18"}
    difference = crosscheck.atlas_diff(atlas(A, B), atlas(A, B, environment=newer))
    assert not difference.changed
    assert difference.environment == {"torch.version": ("2.13.0", "2.14.0"), "scipy": (None, "1.18")}
    assert str(difference).startswith("UNCHANGED: ")
    assert "2.14.0" in str(difference)
    assert "there" not in str(difference)


def test_what_only_one_covers_is_not_compared_and_is_said() -> None:
    relu = row("relu-row", function="relu")
    both = {"functions": ("elu", "relu")}
    difference = crosscheck.atlas_diff(atlas(A, relu, **both), atlas(A))
    assert (difference.changes, subjects(difference.notes)) == ((), {("only in one atlas", "old", "relu")})
    wide = row("wide", dtypes=("float64",))
    difference = crosscheck.atlas_diff(atlas(A, wide), atlas(A, dtypes=("float32",)))
    assert (difference.changes, subjects(difference.notes)) == ((), {("only in one atlas", "old", "float64")})


def test_other_inputs_are_not_counted_against_each_other() -> None:
    grown = with_extent(B, points=900, max_ulp=9.0)
    difference = crosscheck.atlas_diff(atlas(A, B), atlas(A, grown, seed=1))
    assert not difference.changed
    assert subjects(difference.notes) == {("other inputs",)}
    assert crosscheck.atlas_diff(atlas(A, B), atlas(A, OTHER_RESULT, seed=1)).changed


def test_two_atlases_that_share_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="no function and dtype in common"):
        crosscheck.atlas_diff(atlas(A), atlas(functions=("relu",)))
    with pytest.raises(UsageError, match="covers no function of this catalogue"):
        crosscheck.atlas_diff(atlas(functions=("mine",)))


def test_an_atlas_in_which_nothing_was_compared_is_refused() -> None:
    nothing = dataclasses.replace(atlas(), compared=0)
    for pair, what in (((nothing, atlas(A)), "old"), ((atlas(A), nothing), "new")):
        with pytest.raises(UsageError, match=f"{what}: this atlas compared nothing"):
            crosscheck.atlas_diff(*pair)


def test_the_changes_are_written_as_json_and_markdown(tmp_path: Path) -> None:
    difference: AtlasDiff = crosscheck.atlas_diff(
        atlas(A, B), atlas(A, OTHER_RESULT, environment={**ENVIRONMENT, "python": "3.13"})
    )
    difference.to_json(tmp_path / "diff.json")
    difference.to_markdown(tmp_path / "diff.md")
    data = json.loads((tmp_path / "diff.json").read_text(), parse_constant=pytest.fail)
    assert data["schema"] == "crosscheck.atlas-diff/1"
    assert data["environment"] == {"python": ["3.11.2", "3.13"]}
    assert [(change["kind"], change["id"]) for change in data["changes"]] == [("results", "b")]
    assert "Other results at the same inputs" in (tmp_path / "diff.md").read_text()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """An atlas on disk."""
    path = tmp_path / "old.json"
    atlas(A, B).to_json(path)
    return path


def test_the_command_exits_1_where_something_changed(command: Command, written: Path) -> None:
    same = command("atlas", "--diff", "old.json", "old.json", "--json", "diff.json")
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.startswith("UNCHANGED: ")
    atlas(A).to_json(written.with_name("new.json"))
    changed = command("atlas", "--diff", "old.json", "new.json", "--markdown", "diff.md")
    assert changed.returncode == 1
    assert changed.stdout.startswith("CHANGED: of the frameworks' disagreements 1 vanished.")
    assert "Vanished" in written.with_name("diff.md").read_text()


def test_without_a_second_file_it_runs_here_and_now(command: Command, tmp_path: Path) -> None:
    now = crosscheck.atlas("relu", quick=True, dtypes=["float32"])
    first, *others = now.rows
    moved = dataclasses.replace(now, rows=(dataclasses.replace(first, seen=False), *others))
    now.to_json(tmp_path / "now.json")
    moved.to_json(tmp_path / "moved.json")
    assert not crosscheck.atlas_diff(tmp_path / "now.json").changed
    done = command("atlas", "--diff", "moved.json")
    assert done.returncode == 1
    assert re.search(rf"Appeared \(1\)\s+{first.id} \(convention\)", done.stdout)


def test_an_atlas_is_compressed_where_its_name_says_so(tmp_path: Path) -> None:
    path = tmp_path / "old.json.gz"
    atlas(A).to_json(path)
    content = path.read_bytes()
    assert json.loads(gzip.decompress(content))["schema"] == "crosscheck.atlas/1"
    assert not crosscheck.atlas_diff(path, atlas(A)).changed
    for broken, said in (
        (content[:-9], "is not a whole gzip file, it may have been cut short"),
        (b"{}", "cannot be read: Not a gzipped file"),
        (content[:20] + bytes(40) + content[60:], "is not a whole gzip file"),
    ):
        path.write_bytes(broken)
        with pytest.raises(UsageError, match=said):
            crosscheck.atlas_diff(path, atlas(A))


def damaged(path: Path, how: str) -> str:
    """Damage an atlas; what the message must say."""
    text = path.read_text()
    data = json.loads(text)
    if how == "cut short":
        path.write_text(text[: len(text) // 2])
        return "is not whole JSON, it may have been cut short"
    if how == "another version":
        write_json(path, data | {"schema": "crosscheck.atlas/2"})
        return "schema version '2', this crosscheck reads 'crosscheck.atlas/1'"
    if how == "another of ours":
        write_json(path, {"schema": "crosscheck.report/1", "comparisons": []})
        return "the schema 'crosscheck.report/1', expected 'crosscheck.atlas/1'"
    if how == "another tool":
        write_json(path, [{"results": [1, 2]}])
        return "no schema, expected 'crosscheck.atlas/1'"
    if how == "a row too short":
        del data["deviations"][0]["results"]
        write_json(path, data)
        return "is not a whole atlas: Object missing required field `results` - at `$.deviations[0]`"
    if how == "a wrong type":
        data["deviations"][1]["seen"] = "yes"
        write_json(path, data)
        return "Expected `bool`, got `str` - at `$.deviations[1].seen`"
    if how == "an example too few":
        data["deviations"][0]["truth"] = []
        write_json(path, data)
        return "inputs, results and truth differ in number"
    if how == "not text":
        path.write_bytes(b"\xff\xfe\x00\x01")
        return "is not text"
    path.unlink()
    if how == "a folder":
        path.mkdir()
        return "is a folder"
    return "does not exist"


HOW = [
    "cut short",
    "another version",
    "another of ours",
    "another tool",
    "a row too short",
    "a wrong type",
    "an example too few",
    "not text",
    "a folder",
    "missing",
]


@pytest.mark.parametrize("how", HOW)
def test_a_bad_file_is_refused(written: Path, how: str) -> None:
    message = damaged(written, how)
    for arguments, name in (((written,), "old"), ((atlas(A), written), "new")):
        with pytest.raises(UsageError) as refused:
            crosscheck.atlas_diff(*arguments)
        assert str(refused.value).startswith(f"{name}: {written} ")
        assert message in str(refused.value)


@pytest.mark.parametrize("how", ["cut short", "missing"])
def test_the_command_refuses_a_bad_file_in_one_message(command: Command, written: Path, how: str) -> None:
    good = written.with_name("good.json")
    good.write_text(written.read_text())
    message = damaged(written, how)
    for arguments in (("--diff", "old.json"), ("--diff", "good.json", "old.json")):
        done = command("atlas", *arguments)
        cli.assert_refused(done, message)
        assert done.stderr.startswith(f"Error: {'--diff' if len(arguments) == 2 else 'NEW.json'}: old.json ")
