"""The runner of the corpora: it judges the cases that are asked for, keeps their rows, and fails where one is wrong."""

import json
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import corpora
import pytest
from corpora import corpus_of, main

PAIR = "optax-l2-loss"


@pytest.mark.parametrize("name", corpora.MODULES)
def test_a_corpus_is_whole_and_no_row_of_its_kept_table_is_wrong(name: str) -> None:
    corpus = corpus_of(name)
    assert corpus.name == name
    names = [case.name for case in corpus.cases]
    assert len(set(names)) == len(names)
    if corpus.whole:  # ports are in environments of their own
        assert len(names) > 50
        assert not corpus.kept or list(corpus.kept) == names
    assert [case for case, row in corpus.kept.items() if corpus.worse(row, row)] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["planets"], "invalid choice: 'planets'"),
        (["pairs", "nosuch"], "no pair's name holds nosuch"),
        (["field", "rmsprop", "--json", "nowhere/field.json"], "--json: the folder nowhere"),
        (["explain", "--processes", "3"], "invalid choice: 3"),
        (["ports"], "whose library is not installed"),
    ],
)
def test_what_cannot_be_judged_or_written_is_said_first(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.full
def test_a_row_is_judged_in_another_process(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a corpus that needs nothing but the frameworks: those of pairs and of models import each library of JAX."""
    function = "threshold-natives"
    assert main(["alarms", function, "--processes", "1"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if function in line]
    *_, name, comparisons, points, alarms, _ = row.split()
    assert (name, comparisons, points, alarms) == (function, "4", "8,000", "0")


def test_rows_take_the_place_of_older_ones_and_a_wrong_one_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.json"

    def made(got: str) -> Any:
        return lambda corpus, cases, processes: iter(
            [{"pair": case.name, "expected": "agree", "got": got, "seconds": 0.1} for case in cases]
        )

    everyone = ["pairs", "optax", "--json", str(path)]
    assert main(everyone, made("agree")) == 0
    before = [row["pair"] for row in json.loads(path.read_text())["pairs"]]
    assert main(["pairs", PAIR, "--json", str(path)], made("definition")) == 1
    rows = json.loads(path.read_text())["pairs"]
    assert [row["pair"] for row in rows] == before
    assert {row["pair"] for row in rows if row["got"] == "definition"} == {name for name in before if PAIR in name}
    assert f"not as they must be: {PAIR}" in capsys.readouterr().out
    assert main(["pairs", "optax", "--missing", str(path)], made("definition")) == 0
    assert "nothing is left to judge" in capsys.readouterr().out


def test_a_process_that_dies_ends_the_run_and_the_rows_before_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rows(corpus: Any, cases: Any, processes: int) -> Any:
        first, *_ = cases
        yield {"pair": first.name, "expected": "agree", "got": "agree", "seconds": 0.1}
        raise BrokenProcessPool

    path = tmp_path / "pairs.json"
    assert main(["pairs", "optax", "--json", str(path)], rows) == 1
    kept, (_, second, *_) = (
        json.loads(path.read_text())["pairs"],
        [case.name for case in corpus_of("pairs").cases if "optax" in case.name],
    )
    assert len(kept) == 1
    assert f"the first pair without a row is {second}" in capsys.readouterr().out
