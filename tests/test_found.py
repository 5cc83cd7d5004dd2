"""The bugs in public code: each has a script, a proof by its mend, and an issue's text that needs no crosscheck."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
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
