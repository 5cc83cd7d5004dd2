"""The corpus of planted mistakes: its records are fair, its judge catches wrong sentences, and cheap cases end to end."""

import pytest
from explain import CASES
from explain.corpus import is_worse, line
from explain.judged import judged, row_of, total
from explain.records import Case
from explain.words import CLAIMS, number
from field.records import EMPTY_WORDS

BY_NAME = {case.name: case for case in CASES}
VAGUE = (
    *EMPTY_WORDS,
    "DISAGREE (definition): Decoder / logits: first in the model itself: JAX computes something else; 2 apart, and 2 more.",
    "JAX has this result, and changes it before it is used",
    "JAX treats each position along axis 2 of `x` alone, which PyTorch does not; they differ everywhere",
    "PyTorch and JAX compute different functions, in float64 too; 1.94 in PyTorch and 1.79 in JAX",
)
EPSILON = BY_NAME["transformer of functions: epsilon of one norm"]


def test_right_versions_have_names_of_their_own() -> None:
    rights = {case.right.name: case.right for case in CASES}
    assert all(case.right is rights[case.right.name] for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_record_is_fair(case: Case) -> None:
    assert case.change
    assert case.words
    assert case.claims <= CLAIMS.keys()
    assert case.named_in(case.good), "its own good sentence does not name it"
    assert case.false_in(case.good) == [], "its own good sentence is not true"
    for empty in VAGUE:
        assert not Case(case.right, "", case.change, "", case.words).named_in(empty), empty


@pytest.mark.parametrize("case", [case for case in CASES if " + " not in case.mistake], ids=lambda case: case.name)
def test_the_sentence_of_another_mistake_names_nothing(case: Case) -> None:
    others = [other for other in CASES if other.right is case.right and " + " not in other.mistake and other is not case]
    assert [other.name for other in others if case.named_in(other.good) and not case.false_in(other.good)] == []


def test_each_pair_of_mistakes_is_made_of_two() -> None:
    pairs = [case for case in CASES if " + " in case.mistake]
    assert len(pairs) == 6
    for case in pairs:
        first, second = (BY_NAME[f"{case.right.name}: {mistake}"] for mistake in case.mistake.split(" + "))
        assert case.change == {**first.change, **second.change}
        assert not case.named_in(first.good)
        assert not case.named_in(second.good)


@pytest.mark.parametrize(
    ("said", "named", "false"),
    [
        ("h.1.n2: LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch", True, False),
        ("first in h.1.n2: JAX's eps is 1e-6 for PyTorch's 0.00001.", True, False),
        ("h.1.n2: LayerNorm's epsilon: 1e-05 in JAX, 1e-06 in PyTorch", True, True),
        ("h.1.n2: JAX forgets its bias; LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch", True, True),
        ("h.0.n2: LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch", False, False),
        ("h.1.n2: with 1e-05 in place of its 1e-06, JAX gives what PyTorch gives", False, False),
        ("h.1.n2: LayerNorm's epsilon is another one", False, False),
        ("h.1.n2: LayerNorm's epsilon: 1e-06 in JAX, 1e-055 in PyTorch", False, False),
    ],
)
def test_the_judge_catches_a_wrong_sentence(said: str, named: bool, false: bool) -> None:
    row = row_of(EPSILON, said)
    assert row["at once"] == named
    assert (row["named"], bool(row["false"])) == (named, false), row


@pytest.mark.parametrize("value", [1e-6, 0.5, 4.0, 10000.0, -1.0, 1.702])
def test_a_number_is_found_in_its_usual_writings_alone(value: float) -> None:
    for writing in {repr(value), f"{value:g}", f"{value:.12f}".rstrip("0").rstrip(".")}:
        assert Case(EPSILON.right, "", {}, "", ((number(value),),)).named_in(f"it is {writing}.")
        for other in (
            f"1{writing.lstrip('-')}",
            f"{writing}1" if "." in writing else f"{writing}.5",
            f"x{writing.lstrip('-')}",
        ):
            assert not Case(EPSILON.right, "", {}, "", ((number(value),),)).named_in(f"it is {other}."), other


@pytest.mark.parametrize(
    ("now", "kept", "worse"),
    [
        ({"named": False, "false": [], "alarm": ""}, None, False),
        ({"named": False, "false": ["epsilon"], "alarm": ""}, None, True),
        ({"named": True, "false": [], "alarm": "DISAGREE"}, {"named": True, "false": []}, True),
        ({"named": False, "false": [], "alarm": ""}, {"named": True, "false": []}, True),
        ({"named": True, "false": ["epsilon"], "alarm": ""}, {"named": True, "false": ["epsilon"]}, False),
    ],
)
def test_a_session_fails_where_less_is_named_or_more_is_false(now: dict, kept: dict | None, worse: bool) -> None:
    assert is_worse(now, kept) is worse


def test_sums_count_each_thing_once() -> None:
    rows = [
        {
            "case": f"pair: {k}",
            "named": k < 3,
            "at once": k < 2,
            "proven": None,
            "false": ["epsilon"] * k,
            "alarm": "DISAGREE",
        }
        for k in range(4)
    ]
    sums = total([{**row, "seconds": 1.0 + k, "right_seconds": 1.0} for k, row in enumerate(rows)])
    assert sums == {"cases": 4, "named": 3, "at once": 2, "proven": 0, "false": 3, "alarms": 1, "median": 1.5, "95 %": 2.85}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("divergence: both arguments exchanged", marks=pytest.mark.full),
        pytest.param("convolutions of functions: kernel flipped", marks=pytest.mark.full),
        pytest.param("AdamW: epsilon of Keras", marks=pytest.mark.full),
    ],
)
def test_a_case_is_judged_and_its_right_version_is_not_blamed(name: str) -> None:
    row = judged(BY_NAME[name])
    assert row["alarm"] == ""
    assert "DISAGREE" in row["said"]
    assert row["case"] in line(row)
