"""The guard: a row that says another word is shown and fails, and a change is held against the cases that it can reach."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from corpora import Corpus, corpus_of, rows_of
from guard import __main__ as guard
from guard import compared, heard, reach

SAID = {
    "case": "one",
    "got": "agree",
    "heard": [
        {
            "call": "compare",
            "facts": ["kind: setting | role: epsilon | jax: 1e-06"],
            "story": ["AGREE", "  0.25 apart at 3 of 8"],
        }
    ],
}


def other(**changes: Any) -> dict[str, Any]:
    return {**SAID, "heard": [{**SAID["heard"][0], **changes}]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("changed", "exact", "words"),
    [
        (other(), False, False),
        (other(story=["AGREE", "  0.25 away at 3 of 8"]), True, True),
        (other(story=["AGREE", "  0.26 apart at 3 of 8"]), False, False),
        (other(story=["AGREE", "  0.28 apart at 3 of 8"]), True, False),
        (other(story=["AGREE", "  0.25 apart at 4 of 8"]), True, False),
        (other(story=["AGREE", "  0.25 apart at 3 of 8", "  also in z"]), True, True),
        (other(facts=["kind: setting | role: epsilon | jax: 1e-05"]), True, True),
        (other(facts=["kind: setting | role: epsilon | jax: 2e-06"]), True, True),
        (other(facts=[]), True, True),
        ({**SAID, "got": "rounding"}, True, True),
    ],
)
def test_a_row_differs_by_a_word_and_on_the_same_processor_by_more_than_a_last_digit(
    changed: Any, exact: bool, words: bool
) -> None:
    assert bool(compared.differences(SAID, changed, words_alone=False)) is exact
    assert bool(compared.differences(SAID, changed, words_alone=True)) is words


@pytest.mark.parametrize(
    ("before", "after"),
    [("first in layers.0", "first in layers.1"), ("by x0", "by x1"), ("step 2", "step 3"), ("-0.1", "0.1")],
)
def test_a_name_and_a_count_are_no_measured_numbers(before: str, after: str) -> None:
    assert not compared.alike(before, after, words_alone=False)


def test_what_differs_is_shown_before_and_after() -> None:
    lines = compared.differences(SAID, other(story=["AGREE", "  0.25 away at 3 of 8"]), words_alone=False)
    assert [line[0] for line in lines] == ["-", "+"]
    assert "apart" in lines[0]
    assert "away" in lines[1]


def test_lines_of_programs_and_temporary_folders_are_no_words() -> None:
    folder = Path(heard.tempfile.gettempdir(), "tmpabc")
    assert heard.settled(f"my_port.py:12 in {folder}/a.npz") == "my_port.py:* in FOLDER/a.npz"


ROOT = reach.ROOT
OF_MODELS = ("zoo.corpus", ["compare_models"])


@pytest.mark.parametrize(
    ("file", "reached"),
    [
        ("crosscheck/_models/models.py", {"models"}),
        ("crosscheck/_models/report/report.py", {"models", "trainings"}),
        ("crosscheck/_explain/tables.py", {"models", "functions", "trainings"}),
        ("crosscheck/_compare/diagnosis.py", {"functions"}),
        ("crosscheck/_training/steps/steps.py", {"trainings"}),
        ("crosscheck/_arithmetic/ulp.py", {"models", "functions", "trainings"}),
        ("crosscheck/_sweep/sweep.py", set()),
        ("crosscheck/_report/templates/style.css", {"models", "functions", "trainings"}),
        ("tests/zoo/wrong.py", {"models", "trainings"}),
        ("tests/pairs/wrong_losses.py", {"functions"}),
        ("pyproject.toml", {"models", "functions", "trainings"}),
        ("docs/index.md", set()),
    ],
)
def test_a_change_reaches_what_imports_it(file: str, reached: set[str]) -> None:
    cases = {
        "models": OF_MODELS,
        "functions": ("pairs.corpus", ["compare"]),
        "trainings": ("zoo.corpus", ["compare_training"]),
    }
    assert (ROOT / file).exists()
    assert {name for name, case in cases.items() if reach.reached([ROOT / file], *case)} == reached


def test_a_case_of_which_nothing_is_known_is_reached_by_all_that_its_corpus_can_call() -> None:
    assert reach.reached([ROOT / "crosscheck/_models/models.py"], "zoo.corpus", [])
    assert not reach.reached([ROOT / "crosscheck/_sweep/sweep.py"], "zoo.corpus", [])
    assert reach.reached([ROOT / "crosscheck/_sweep/sweep.py"], "zoo.corpus", ["crosscheck list"])


Rows = Callable[..., Iterator[tuple[dict[str, Any], float]]]


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the guard on a corpus of three cases, which say what they are given; the number judged is counted."""
    names = ("one", "two", "three")
    environment = {side: {"version": "1", "capability": "AVX2"} for side in ("torch", "jax")}
    monkeypatch.setattr(guard, "RECORD", tmp_path / "record")
    monkeypatch.setattr(guard, "SEEN", tmp_path / "seen")
    monkeypatch.setattr(guard, "here", lambda: environment)
    monkeypatch.setattr(guard, "digest", lambda: "of the code")
    corpus = corpus_of("zoo")
    made = {name: getattr(corpus, name) for name in ("case", "judged", "head", "line", "sums", "worse")}
    cases = [SimpleNamespace(name=name) for name in names]
    monkeypatch.setattr(guard, "corpus_of", lambda name: Corpus(name=name, cases=cases, **made))

    def run(*words: str, said: str = "AGREE", dies_after: int = len(names)) -> int:
        def rows(corpus: Corpus, cases: Any, processes: int, judge: Any) -> Iterator[Any]:
            for number, case in enumerate(cases):
                if number == dies_after:
                    raise guard.BrokenProcessPool
                yield {"case": case.name, "heard": [{"call": "compare", "story": [said]}]}, 2.0

        monkeypatch.setattr(guard, "rows_of", rows)
        return guard.main(words or ("zoo",))

    return run


def test_rows_are_compared_with_the_record_and_accepted(judging: Callable[..., int], capsys: Any) -> None:
    assert judging() == 1  # nothing is on record
    assert judging("--accept", "zoo") == 0
    capsys.readouterr()
    assert judging() == 0
    assert "0 differ,      6 CPU s; 6 on record" in capsys.readouterr().out
    assert judging(said="DISAGREE") == 1
    out = capsys.readouterr().out
    assert out.count('-    "AGREE"') == out.count('+    "DISAGREE"') == 3
    assert "3 cases, 3 differ from the record" in out
    assert judging("--accept", "zoo") == 0
    assert judging(said="DISAGREE") == 0


def test_a_stopped_run_goes_on_where_it_was(judging: Callable[..., int], tmp_path: Path, capsys: Any) -> None:
    assert judging(dies_after=2) == 1
    assert "a process died" in capsys.readouterr().out
    assert judging(dies_after=1) == 1  # one case is left
    assert "a process died" not in capsys.readouterr().out
    lines = (tmp_path / "seen" / "zoo.jsonl").read_text().splitlines()
    assert [json.loads(line)[0] for line in lines[1:]] == ["one", "two", "three"]


def test_a_case_that_is_gone_differs(judging: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    judging()
    judging("--accept", "zoo")
    whole = guard.corpus_of("zoo")
    monkeypatch.setattr(
        guard, "corpus_of", lambda name: SimpleNamespace(**{**vars(whole), "cases": whole.cases[1:], "kept": {}})
    )
    assert judging() == 1
    assert "on record, and no case any more" in capsys.readouterr().out


def test_nothing_is_accepted_that_this_code_did_not_say(judging: Callable[..., int], monkeypatch: Any, capsys: Any) -> None:
    judging()
    monkeypatch.setattr(guard, "digest", lambda: "of other code")
    with pytest.raises(SystemExit) as raised:
        judging("--accept", "zoo")
    assert raised.value.code == 2
    assert "--accept zoo: this code was not judged yet" in capsys.readouterr().err


def test_an_unknown_corpus_is_refused(capsys: Any) -> None:
    with pytest.raises(SystemExit) as raised:
        guard.main(["planets"])
    assert raised.value.code == 2
    assert "CORPUS: got planets, expected some of explain, " in capsys.readouterr().err


@pytest.mark.full
def test_what_is_made_once_for_several_cases_is_said_of_none() -> None:
    """The right version of a pair is judged once; then the order of its cases would show."""
    corpus = corpus_of("explain")
    cases = [case for case in corpus.cases if case.name == "divergence: both arguments exchanged"]
    ((row, _),) = rows_of(corpus, cases, 1, heard.row_of)  # type: ignore[misc]
    assert [report["passed"] for report in row["heard"]] == [False]
