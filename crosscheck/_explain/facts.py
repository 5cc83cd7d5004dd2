"""Facts: what an edit says of JAX's program, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from string import Formatter

from crosscheck._graph.graph import Edits


@dataclass(frozen=True)
class Fact:
    """A difference between the two programs that a run has proven: with this change, PyTorch gives what JAX gives.

    Attributes:
        kind: ``setting`` for another argument, ``form`` or ``padding`` for one that has words of its own, ``other`` or
            ``binary`` for another operation, ``missing``, ``extra``, ``order`` of the same numbers, ``operand`` for another
            value, ``ignored`` for an input that JAX does not use, ``exchange`` of two values, ``moved`` to another value,
            ``regrouped``, ``weight`` for one that PyTorch does not have, ``fixed`` for one that JAX does not use, or
            ``table``, ``factors``, ``numbers`` for arrays that do not depend on the data. Of the results of functions:
            ``times`` a number, ``plus`` one or ``minus`` one, a ``function`` of the other's, the other's ``changed``,
            ``wrapped``, ``arranged``, without what is ``above`` or ``below`` a number, or outside of ``bounds``;
            ``constant``, ``filled`` at some places, the same ``elements``, another ``output``, what the other gives for
            another ``input``, ``random``, ``nan`` that one passes on, ``nans`` of both, ``unused`` inputs, positions that
            are ``alone`` or not ``seen``, or a ``cast``. Of models, also what a weight, a mask, a row, a statistic or the
            order of modules shows; of one side that is inaccurate, its ``precision``, that it ``rounds`` or how it ``errs``.
            Of places, ``everywhere``, ``all of`` a region or ``inside`` it, ``one place``, ``some`` elements; of the inputs
            there, ``one input``, ``or more``, ``or less``, or ``between`` two numbers.
            Of perceptrons, ``the same bits``, a difference ``by rounding``, a ``drift``, what is ``not finite``.
            Of verdicts, what the side at fault does, why none is known to be, and how both agree.
            Of trainings, what differs in the data, the loss, the gradients, what the optimiser is given, its options, the
            learning rate, the statistics or an average.
        what: The operation, in words.
        role: The argument, in words, such as ``epsilon``; of results, the side that the fact is about, such as ``JAX``.
        torch: What PyTorch has.
        jax: What JAX has.
        where: The value, or the operation that uses it.
        source: The line of PyTorch's program, as ``file:line``; empty if it is not known.
        near: What its words end with: the layers next to it, as ``behind`` or ``before`` them, in a module that has others
            inside; the parameters that have an option; what a factor is like.
    """

    kind: str
    what: str = ""
    role: str = ""
    torch: str = ""
    jax: str = ""
    where: str = ""
    source: str = ""
    near: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """Its kind, and each field that its words say."""
        return self.kind, *(getattr(self, name) for name in _SAID[self.kind])

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
        own, others = (self.jax, self.torch) if self.role == "JAX" else (self.torch, self.jax)
        return _WORDS[self.kind].format(other=_OTHER.get(self.role, ""), own=own, others=others, **vars(self))


def clause(facts: Iterable[Fact]) -> str:
    """Facts in words, each once, and what they are near; empty if there are none."""
    said: dict[str, str] = {}
    for fact in facts:
        said.setdefault(fact.words(), fact.near)
    return "; ".join(f"{words}, {near}" if near else words for words, near in said.items())


_OTHER = {"PyTorch": "JAX", "JAX": "PyTorch"}
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
    "instead": "JAX takes {jax} there, PyTorch {torch}",
    "ignored": "JAX does not use the input {torch}: {what} takes {jax}",
    "exchange": "JAX has {jax} and {torch} exchanged{where}",
    "moved": "JAX applies {what} {jax}, PyTorch {torch}",
    "regrouped": "JAX {jax}, PyTorch {torch}",
    "weight": "JAX {jax} there, for which PyTorch has no weight",
    "fixed": "JAX does not use {torch}: it has {jax} there",
    "table": "JAX's {what} {jax}, PyTorch's {torch}",
    "factors": "JAX's {what} {jax} PyTorch's {torch}",
    "numbers": "JAX's {what} {jax} other numbers than PyTorch's{torch}",
    "times": "{role} gives {what} times what {other} gives{where}",
    "function": "{role} gives {what} what {other} gives{where}",
    "changed": "{role} gives what {other} gives, {what}{where}",
    "plus": "{role} gives what {other} gives, plus {what}",
    "minus": "{role} gives what {other} gives, minus {what}",
    "wrapped": "{role} gives what {other} gives, wrapped around: its {what} cannot hold that",
    "arranged": "{role} gives what {other} gives, {what}",
    "above": "{role} gives what {other} gives, but nothing above {what}",
    "below": "{role} gives what {other} gives, but nothing below {what}",
    "bounds": "{role} gives what {other} gives, cut off at {what}",
    "constant": "JAX gives {jax} everywhere, where PyTorch gives {torch}",
    "filled": "{role} gives {what} where {other} does not, and the same elsewhere",
    "elements": "{role} gives the same elements as {other}, in another order",
    "output": "JAX gives as `{jax}` what PyTorch gives as `{torch}`",
    "input": "{role} gives what {other} gives {what}",
    "random": "{role} {what} random numbers",
    "nan": "they differ only where an input is NaN: {role} passes it on, {other} does not",
    "nans": "they differ only in what they make of an input that is NaN",
    "unused": "{role} does not use {what}, which {other} does",
    "alone": "{role} treats each position {where} alone, which {other} does not",
    "seen": "at each position {where} {role} uses no {what} ones, which {other} does",
    "cast": "{role} casts to {what}",
    "momentum": "JAX moves {what} {jax} times as far as PyTorch does: its momentum is another one",
    "updated": "JAX updates {what} {jax}",
    "as much": "{jax} times as much",
    "applied": "PyTorch applies {what} {torch}, JAX {jax}",
    "masks": "{role} masks {where}",
    "masks of both": "PyTorch masks {torch}, and JAX masks {jax}",
    "empty rows": "{role} leaves nothing in these rows",
    "rows": "JAX applies rows {jax} of {what}, PyTorch rows {torch}",
    "part": "JAX applies other numbers of {what}{where}",
    "unapplied": "JAX does not apply {what}, or another weight in its place",
    "transposed": "JAX has {what} transposed",
    "tied": "JAX applies {jax} there too, as if {what} were tied to {torch}",
    "not tied": "in PyTorch it is a weight of its own",
    "values": "{what} holds other numbers than {jax} in JAX",
    "shape": "PyTorch has {torch}, JAX {jax} in its place",
    "only": "{role} has only {what} {where}, where {other} has other numbers",
    "misplaced": "JAX has the same numbers there, in another order",
    "rewritten": "JAX has this result, and changes it before it is used",
    "later": "JAX adds the two after {jax}, PyTorch before",
    "crossed": "JAX applies it and {what} in each other's place",
    "sequence": "JAX applies {what} {jax}",
    "drawn": "JAX draws random numbers there, as dropout does",
    "precision": "{role} computes {what} in {own}, {other} in {others}",
    "rounds": "{role} rounds {what}, {other} does not",
    "errs": "{role} errs by {what}, {where}",
    "start": "JAX starts from other weights; the steps are judged from PyTorch's, as if copy_weights had carried them over",
    "no partner": "{what} of JAX: no partner in PyTorch, so only the first step is judged from the same state",
    "batch": "JAX would have PyTorch's loss with {what} {where}",
    "batch numbers": "JAX would have PyTorch's loss with {what} as PyTorch has it: {role}, first {jax} for PyTorch's {torch}"
    "{where}",
    "batch ignored": "JAX's loss does not depend on {what} of the batch, on which PyTorch's depends",
    "loss times": "JAX's loss is {jax} times PyTorch's",
    "loss divided": "JAX's loss is PyTorch's divided by {jax}",
    "microbatches": "JAX's loss is the {what} of those of {jax} microbatches ({where}), PyTorch's is that of the batch",
    "first": "first in {where}",
    "more": "and in {what} more places",
    "zero gradients": "{role}'s are zero in {what} parameters, as with {where}, and {other}'s are not",
    "gradients times": "JAX's are {jax} times PyTorch's",
    "other gradients": "in {what} parameters, though the loss is the same",
    "untied": "JAX trains {jax} apart, PyTorch {torch} in both places, as tied weights: its gradient is the sum of theirs",
    "summed": "JAX trains the sum of {what}, PyTorch both of them: together they move twice as far",
    "frozen": "JAX changes {what}, which PyTorch does not train",
    "still statistics": "{role} leaves them as they are, as in evaluation, and {other} changes them",
    "statistics times": "JAX's move {jax} times as far as PyTorch's: the momentum is another",
    "each statistic": "JAX's move by another factor in each, from {what} to {jax}",
    "variance": "JAX divides the variance by n, PyTorch by n - 1, with {what}",
    "statistics kept": "{where}the momentum: JAX keeps {jax} of the statistics, PyTorch {torch}",
    "still average": "{role} leaves the average of the weights as it is, {other} changes it",
    "average kept": "JAX keeps {jax} of the average of the weights, PyTorch {torch}",
    "averaged": "JAX averages the weights {jax} the step, PyTorch those {torch} it",
    "accumulated": "JAX gives its optimiser the sum of all gradients so far, PyTorch those of this step",
    "given": "JAX gives its optimiser {jax} times PyTorch's gradients",
    "clipped otherwise": "the gradients that JAX gives its optimiser are {jax} times PyTorch's",
    "clipped in PyTorch": "PyTorch gives its optimiser {torch} times the gradients, as clipping does, and JAX those "
    "themselves",
    "not reset": "PyTorch gives its optimiser other gradients than those of this step's backward passes, as without "
    "zero_grad(), and JAX those themselves",
    "cut off": "JAX cuts each number of the gradients off at {jax}, PyTorch does not",
    "norm": "JAX clips the gradients to a norm of {jax}, PyTorch to {torch}",
    "added to the norm": "PyTorch adds {torch} to the norm that it divides by",
    "no step": "JAX takes no step with these gradients",
    "no gradients given": "where a gradient is None, PyTorch leaves the parameter and its state alone, and JAX, given "
    "zeros, does not",
    "option": "{role}: {jax} in JAX, {torch} in PyTorch",
    "call": "{jax} in JAX, {torch} in PyTorch: {what} in PyTorch's `{where}` ({source})",
    "forgotten call": "JAX forgets {what} in PyTorch's `{where}` ({source})",
    "epsilon in the root": "JAX adds its epsilon inside the square root, PyTorch outside",
    "uncorrected": "JAX forgets the correction of the bias of both averages",
    "maximum": "JAX takes AMSGrad's maximum of averages whose bias is corrected, PyTorch corrects the maximum",
    "decay without rate": "JAX does not multiply the weight decay with the learning rate, PyTorch does",
    "rate": "JAX's learning rate is {jax}, PyTorch's {torch}{where}",
    "rate of": "JAX's learning rate of {what} is {jax}, PyTorch's {torch}",
    "rates": "the rates are {jax}",
    "no rate": "PyTorch's learning rate is 0, and JAX moves the parameters",
    "warm-up": "it grows by {jax} a step, PyTorch's by {torch}: JAX's warm-up is {what}",
    "moves": "JAX moves {jax} times as far as PyTorch at each step",
    "moves at": "the learning rates differ: at step {where} JAX moves {jax} times as far as PyTorch",
    "rate at": "the learning rates differ: at step {where} JAX's is {jax}, PyTorch's {torch}",
    "schedule": "JAX's schedule is one step {jax}",
    "the same bits": "bit for bit the same",
    "by rounding": "they differ by rounding",
    "drift": "each epoch is the same from the same state, but they drift apart by more than rounding explains",
    "more than rounding": "{what} errs by {where}, relatively: more than rounding explains",
    "apart": "{what} is {where} apart, relatively",
    "not finite": "{what} stopped being finite and is {where}; a smaller learning rate keeps it finite",
    "no difference": "No difference: loss and weights are bit-equal at every epoch",
    "other starts": "PyTorch's from themselves, started one ulp away, {what} times",
    "raises": "the backward pass of {role} raises {what}",
    "no code": "the segment of {where} cannot be saved: {what}",
    "not found": "{what} could not be found: {where}",
    "example": "{torch} in PyTorch and {jax} in JAX{where}",
    "nearer": "{what}: {role} is much nearer the truth; PyTorch errs by {torch} ULP, JAX by {jax}, as rounding may",
    "no gradient": "{what} has no gradient, or one that is cut off from the input (on purpose? then the other side lacks "
    "that)",
    "wrong special": "{what} gives a wrong NaN or infinity",
    "another function": "{what} computes another function",
    "lost digits": "{what} loses digits that rounding does not explain",
    "no gradients": "each side lacks a gradient that the other has, or a part of it, so nobody knows which is meant",
    "special of one": "one side gives NaN or infinity where the other does not, and no truth says which is right",
    "two functions": "PyTorch and JAX compute different functions, in float64 too",
    "choices": "PyTorch and JAX make different choices where both are valid (a kink, a tie); nobody is wrong",
    "no side": "none",
    "both lack": "not known: both sides lack gradients",
    "which result": "not known: nothing says which result is the true one",
    "which function": "not known: nothing says which of the two functions is meant",
    "functions": "the PyTorch function is {torch}, the JAX function is {jax}",
    "to the bit": "the same to the bit",
    "zeros of other sign": "the same numbers; zeros of different sign are a convention",
    "holds": "rounding, not a bug: {what} holds; neither side is wrong",
    "accepted": "what differs is rounding or accepted ({what})",
    "diagnosed": "the {what} elements that were diagnosed, of {where}",
    "of the larger": "{what} of the larger one",
    "noticed": "{what} notices",
    "unnoticed": "{what} does not notice",
    "everywhere": "everywhere",
    "all of": "in all of {where}",
    "one place": "at {where} alone",
    "inside": "in {where} alone",
    "some": "at {what} elements",
    "one input": "at {what} = {where} alone",
    "or more": "where {what} is {where} or more",
    "or less": "where {what} is {where} or less",
    "between": "where {what} is from {where}",
}
_SIDES = {"own": ("torch", "jax"), "others": (), "other": ()}
_SAID = {
    kind: tuple(name for _, field, _, _ in Formatter().parse(words) if field for name in _SIDES.get(field, (field,)))
    for kind, words in _WORDS.items()
}
"""The fields that the words of each kind say."""


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
