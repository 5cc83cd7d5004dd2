"""How a verdict is cut to a headline."""

import pytest

from crosscheck._report.headline import LONGEST, Verdict, parted

WORD = "DISAGREE (definition)"
NAME = "Transformer / logits"


def headline(said: str, place: str = "", name: str = NAME) -> str:
    verdict = Verdict(WORD, name, said, place, f"{f'first in {place}: ' * bool(place)}{said}")
    line, rest = verdict.parts
    assert len(line) <= LONGEST
    assert line == str(verdict) or rest
    return line


CUT = [
    (headline("JAX forgets gelu", "h.0"), f"{WORD}: {NAME}: first in h.0: JAX forgets gelu."),
    (  # the names stay beside the first clause if there is room
        headline(f"JAX forgets gelu; {'they differ everywhere, ' * 4}", "h.0"),
        f"{WORD}: {NAME}: h.0: JAX forgets gelu ...",
    ),
    (  # the mistake is said before its details: without names, nested values, lists, two sides
        headline("softmax's axis: the axis -2 of the scores in JAX, -1 in PyTorch", "h.0"),
        f"{WORD}: h.0: softmax's axis: the axis -2 of the scores in JAX, -1 in PyTorch.",
    ),
    (
        headline(
            "JAX has the axes -2 and -1 of bmm(softmax(the product), the result of v) merged in the other order: as 4 x 2",
            "h.0",
        ),
        f"{WORD}: h.0: JAX has the axes -2 and -1 of bmm(...) merged in the other order ...",
    ),
    (
        headline("JAX has the constant [0.229, 0.224, 0.225] and the constant [0.485, 0.456, 0.406] exchanged", "h.0"),
        f"{WORD}: h.0: JAX has the constant [...] and the constant [...] exchanged ...",
    ),
    (
        headline("the resize: bicubic with coefficient -0.5 in JAX, bicubic with coefficient -0.75 in PyTorch", "h.0"),
        f"{WORD}: h.0: the resize: bicubic with coefficient -0.5 in JAX ...",
    ),
]


@pytest.mark.parametrize(("line", "words"), CUT, ids=range(len(CUT)))
def test_a_verdict_is_cut_between_its_parts(line: str, words: str) -> None:
    assert line == words


def test_what_the_headline_does_not_say_is_in_the_rest() -> None:
    more = "they differ at " + ", ".join(map(str, range(30)))
    for name in (NAME, NAME * 4):
        line, rest = Verdict(WORD, name, f"JAX forgets gelu; {more}").parts
        assert "JAX forgets gelu ..." in line
        assert rest.endswith(f"{more}.")
        assert name in f"{line} {rest}"


def test_of_a_long_place_the_end_is_said() -> None:
    place = "model.language_model.layers.11.self_attn.k_proj"
    line = headline("JAX has the heads of the result merged in the other order", place)
    assert line.startswith(f"{WORD}: ...layers.11.self_attn.k_proj: JAX has the heads")


def test_a_word_without_an_end_is_cut() -> None:
    assert headline("x" * 300).endswith("xxx ...")
    assert headline("JAX forgets gelu", "y" * 300).endswith("yyy: JAX forgets gelu.")
    assert len(parted("x" * 300)[0]) == LONGEST
