"""The benchmark of real bugs: its records are fair, and what it counts is true, for one bug of each kind of sides."""

import json
import re
from pathlib import Path

import pytest
from field import BUGS
from field.corpus import is_worse
from field.judged import judged
from field.records import EMPTY_WORDS, Bug, Functions, Models, Optimizers, Trainings

BY_NAME = {bug.name: bug for bug in BUGS}


def test_the_records_are_those_of_the_field() -> None:
    assert len(BUGS) >= 45
    assert len({bug.project for bug in BUGS}) >= 12
    for bug in BUGS:
        assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/(issues|pull|commit)/\w+", bug.place), bug.place
        assert bug.place.startswith(f"https://github.com/{bug.project}/"), bug.place
        assert bug.what.endswith(".")
        assert bug.check is None or bug.check.source


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_only_words_of_the_cause_count(bug: Bug) -> None:
    for words in EMPTY_WORDS:
        assert not any(re.search(pattern, words, re.IGNORECASE) for pattern in bug.cause), words


@pytest.mark.parametrize(
    ("name", "kind", "cause"),
    [
        pytest.param("optax_rmsprop_epsilon", Optimizers, True, marks=pytest.mark.full),
        pytest.param("levanter_update_without_params", Trainings, True, marks=pytest.mark.full),
        pytest.param("levanter_gemma_gelu", Models, True, marks=pytest.mark.full),
        ("cmmd_antialias", Functions, None),
    ],
)
def test_a_bug_is_noticed_and_its_right_version_is_not_blamed(name: str, kind: type, cause: bool | None) -> None:
    bug = BY_NAME[name]
    assert isinstance(bug.right(), kind)
    row = judged(bug)
    own = row["crosscheck"]
    assert (own["notices"], own["alarm"], own["place"]) == (True, False, True), own
    assert cause is None or own["cause"] is cause, own
    assert row["assert_close"]["place"] is row["assert_close"]["cause"] is False
    assert (row["layer by layer"] is not None) is (kind is Models)


@pytest.mark.parametrize(
    ("now", "before", "worse"),
    [
        ({"notices": True, "place": True, "cause": False, "alarm": False}, None, False),
        ({"notices": False, "place": False, "cause": False, "alarm": False}, None, True),
        ({"notices": True, "place": True, "cause": False, "alarm": True}, None, True),
        (
            {"notices": True, "place": True, "cause": False, "alarm": False},
            {"notices": True, "place": True, "cause": True},
            True,
        ),
        (
            {"notices": False, "place": False, "cause": False, "alarm": False},
            {"notices": False, "place": False, "cause": False},
            False,
        ),
    ],
)
def test_a_session_fails_where_less_is_found_than_was_kept(
    now: dict[str, bool], before: dict[str, bool] | None, worse: bool
) -> None:
    assert is_worse({"crosscheck": now}, None if before is None else {"crosscheck": before}) is worse


def test_the_table_of_the_page_says_what_the_records_say() -> None:
    path = Path(__file__).parents[2] / "results" / "field" / "field.json"
    for row in json.loads(path.read_text(encoding="utf-8"))["bugs"]:
        bug = BY_NAME[row["bug"]]
        assert (row["project"], row["place"], row["what"], row["shows"]) == (bug.project, bug.place, bug.what, bug.shows)


def test_the_readme_says_what_the_files_say() -> None:
    root = Path(__file__).parents[2]
    rows = json.loads((root / "results" / "field" / "field.json").read_text(encoding="utf-8"))["bugs"]
    counts = [sum(row["crosscheck"][check] for row in rows) for check in ("notices", "place", "cause")]
    reported = len(list((root / "results" / "found").glob("*.json")))
    evidence = (root / "README.md").read_text(encoding="utf-8").partition("[start:evidence] -->")[2].partition("<!--")[0]
    assert [int(number) for number in re.findall(r"\b\d+\b", evidence)] == [len(rows), *counts, reported]
    assert not any(row["crosscheck"]["alarm"] for row in rows)
