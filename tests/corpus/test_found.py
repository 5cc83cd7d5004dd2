"""The bugs in public code: each has a script, a proof by its mend, and an issue's text that needs no crosscheck."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "results" / "found").glob("*.json"))
}


def test_there_are_as_many_as_the_page_promises() -> None:
    assert len(ROWS) >= 13


@pytest.mark.parametrize("name", ROWS)
def test_a_bug_is_proven_by_its_mend(name: str) -> None:
    row = ROWS[name]
    assert row["name"] == name
    assert (ROOT / "benchmarks" / "found" / f"{name}.py").exists()
    assert row["certified"] is True
    assert row["after"].startswith("AGREE"), row["after"]
    assert row["raises"] if row["before"] is None else row["before"].startswith("DISAGREE")
    assert "/" not in (row["first"] or {}).get("source", "").partition(":")[0], "a path of the machine"


@pytest.mark.parametrize("name", ROWS)
def test_the_text_of_an_issue_needs_no_crosscheck(name: str) -> None:
    text = (ROOT / "benchmarks" / "found" / "issues" / f"{name}.md").read_text(encoding="utf-8")
    assert text.startswith("# ")
    (program, *_) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    compile(program, name, "exec")
    assert "crosscheck" not in text
    assert "print(" in program


@pytest.mark.parametrize("name", ROWS)
def test_the_fix_in_the_text_of_an_issue_is_a_diff(name: str) -> None:
    text = (ROOT / "benchmarks" / "found" / "issues" / f"{name}.md").read_text(encoding="utf-8")
    (fix,) = re.findall(r"```diff\n(.*?)```", text, re.DOTALL)
    assert faults(fix) == []


def test_a_diff_that_no_tool_accepts_is_noticed() -> None:
    hunk = "--- a/one.py\n+++ b/one.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 1\n+y = 2\n"
    assert faults(hunk) == []
    assert faults(hunk.replace("@@ -1,2 +1,2 @@\n", "")) == ["no hunk"]
    assert faults(hunk.replace(" x = 1\n", "")) == ["@@ -1,2 +1,2 @@"]
    assert faults(hunk.replace("-1,2", "-1,3")) == ["@@ -1,3 +1,2 @@"]
    assert faults(hunk.replace("+y = 2", "+y = 1")) == ["nothing is changed"]


def faults(diff: str) -> list[str]:
    """Why tools that apply a unified diff refuse this one: hunks with other numbers of lines than their first lines say."""
    problems = [] if "@@" in diff else ["no hunk"]
    for file in re.split(r"^--- a/.+\n\+\+\+ b/.+\n", diff, flags=re.MULTILINE):
        for _, head, removed, added, body in re.findall(
            r"^((@@ -\d+,(\d+) \+\d+,(\d+) @@)\n)((?:(?!@@).*\n)*)", file, re.MULTILINE
        ):
            lines = body.splitlines()
            old, new = ([line[1:] for line in lines if not line.startswith(sign)] for sign in "+-")
            if (len(old), len(new)) != (int(removed), int(added)):
                problems.append(head)
            elif old == new:
                problems.append("nothing is changed")
    return problems
