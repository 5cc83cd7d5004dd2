"""No report contradicts itself: what the guard has on record of every case of the corpora is held against a list."""

import json
import re
from pathlib import Path

import pytest

RECORD = Path(__file__).parents[2] / "results" / "guard"
EXCLUDED = (
    (r"^  truth     not known", r"ULP from the truth"),
    (r"^DISAGREE \(definition\)", r"in float64 the functions differ, .* too little for"),
    (r"^DISAGREE", r"\bcertified\b"),
    (r"^DISAGREE", r"they agree everywhere"),
    (r"^AGREE", r"\bdiffer everywhere"),
    (r"^  side      not known", r"^  how       .*JAX errs"),
)
"""Lines of which a report has at most one."""


def denied(story: str) -> list[tuple[str, str]]:
    """The pairs of lines of a story that exclude each other."""
    return [pair for pair in EXCLUDED if all(re.search(words, story, re.MULTILINE) for words in pair)]


@pytest.mark.parametrize("path", sorted(RECORD.glob("*.json")), ids=lambda path: path.stem)
def test_no_report_on_record_contradicts_itself(path: Path) -> None:
    rows = json.loads(path.read_text("utf-8")).get("rows", {})
    stories = {
        (case, number): "\n".join(heard["story"])
        for case, row in rows.items()
        for number, heard in enumerate(row["heard"])
        if "story" in heard
    }
    assert {case: found for case, story in stories.items() if (found := denied(story))} == {}


HIDDEN = "  note      value: in float64 the functions differ, by 2e-14, too little for float32"
KNOWN = "    accuracy  PyTorch 1 ULP, JAX 2 ULP from the truth"


@pytest.mark.parametrize(
    ("story", "contradicts"),
    [
        (f"DISAGREE (definition): f / g\n{HIDDEN}", True),
        (f"AGREE: f / g\n{HIDDEN}", False),
        (f"DISAGREE: f\n  truth     not known: they differ\n{KNOWN}", True),
        (f"DISAGREE: f\n  truth     1.5\n{KNOWN}", False),
    ],
)
def test_a_contradiction_is_seen(story: str, contradicts: bool) -> None:
    assert bool(denied(story)) is contradicts
