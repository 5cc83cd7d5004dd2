"""Facts: what an edit says of JAX's program, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass

from crosscheck._graph.graph import Edits


@dataclass(frozen=True)
class Fact:
    """A difference between the two programs that a run has proven: with this change, PyTorch gives what JAX gives.

    Attributes:
        kind: ``setting`` for another argument, ``form`` or ``padding`` for one that has words of its own, ``other`` or
            ``binary`` for another operation, ``missing``, ``extra``, ``order`` of the same numbers, ``operand`` for another
            value, ``ignored`` for an input that JAX does not use, ``exchange`` of two values, ``moved`` to another value,
            ``regrouped``, ``weight`` for one that PyTorch does not have, ``fixed`` for one that JAX does not use, or
            ``table``, ``factors``, ``numbers`` for arrays that do not depend on the data.
        what: The operation, in words.
        role: The argument, in words, such as ``epsilon``.
        torch: What PyTorch has.
        jax: What JAX has.
        where: The value, or the operation that uses it.
        source: The line of PyTorch's program, as ``file:line``; empty if it is not known.
    """

    kind: str
    what: str = ""
    role: str = ""
    torch: str = ""
    jax: str = ""
    where: str = ""
    source: str = ""

    def words(self) -> str:
        """The fact in words.

        Returns:
            A clause.

        Examples:
            >>> import crosscheck
            >>> fact = crosscheck.Fact("setting", "LayerNorm", "epsilon", torch="1e-05", jax="1e-06")
            >>> fact.words()
            "LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch"
        """
        return _WORDS[self.kind].format(**vars(self))


_WORDS = {
    "setting": "{what}'s {role}: {jax} in JAX, {torch} in PyTorch",
    "form": "{what}: {jax} in JAX, {torch} in PyTorch",
    "padding": "PyTorch has the padding {torch}, JAX {jax}",
    "other": "JAX computes {jax}, PyTorch {torch}",
    "binary": "JAX {jax} where PyTorch {torch}{where}",
    "missing": "JAX forgets {what}",
    "extra": "JAX applies {what} more, to {where}",
    "order": "JAX has {where} {jax}",
    "operand": "{what} takes {jax} in JAX, {torch} in PyTorch",
    "ignored": "JAX does not use the input {torch}: {what} takes {jax}",
    "exchange": "JAX has {jax} and {torch} exchanged{where}",
    "moved": "JAX applies {what} {jax}, PyTorch {torch}",
    "regrouped": "JAX {jax}, PyTorch {torch}",
    "weight": "JAX {jax} there, for which PyTorch has no weight",
    "fixed": "JAX does not use {torch}: it has {jax} there",
    "table": "JAX's {what} {jax}, PyTorch's {torch}",
    "factors": "JAX's {what} {jax} PyTorch's {torch}",
    "numbers": "JAX's {what} {jax} other numbers than PyTorch's{torch}",
}


MOST_LEFT_OUT = 2


def digits(value: float, beside: float = 1.0) -> str:
    """A number in few digits, but in as many as tell it from the one beside it."""
    short = f"{value:.6g}"
    return repr(value) if value != beside and short == f"{beside:.6g}" else short


@dataclass(frozen=True)
class Edit:
    """A hypothesis: calls that take the place of nodes of PyTorch's program, and the fact that they stand for.

    Attributes:
        kind: Edits of one kind, each at another node, may be one mistake.
        size: Of several edits that fit, the smallest is said.
    """

    edits: Edits
    fact: Fact
    kind: tuple[str, ...]
    size: float = 1.0

    @property
    def is_vague(self) -> bool:
        """Whether it leaves out many operations at once: beside another mistake, that explains too much."""
        return self.kind[0] == "missing" and len(self.kind) > MOST_LEFT_OUT

    def words(self) -> str:
        """The mistake as a clause."""
        return self.fact.words()
