"""The words of reports: a sentence for each kind of fact, verdict, place and remark."""

import dataclasses
from math import inf, nan
from typing import Any

import pytest
from explained import counted, disagreement, limits, place, sighting
from facts import KINDS
from truths import RowShape

import crosscheck
from crosscheck import CauseCount, Comparison, Fact, Identity, Kink, Point, Range, Report


def said(report: Report, part: int = 0) -> str:
    """A paragraph of a report, as one line."""
    return " ".join(str(report).split("\n\n")[part].split())


ENVIRONMENT = {"torch": {"version": "2.13.0"}, "jax": {"version": "0.10.2"}, "device": "cpu"}
WRONG = {"definition": CauseCount(3, Point(1.5, "0x3fc00000", 2.0, 1.0, 2.0**23, 2.0**23))}


def judged(*parts: dict[str, Any], **options: Any) -> Report:
    usual = Comparison(
        "hard_tanh", {}, "y", "x", "torch.native", "exact", "float32", 0, "eager", "cpu", 1000, False, True, "exact"
    )
    return Report(tuple(dataclasses.replace(usual, **part) for part in parts), ENVIRONMENT, **options)


NEW = judged(
    {}, {"new": True, "cause": "definition", "uncovered": WRONG}, recorded=False, compared_with="torch-0-jax-0-none"
)
FAILED = judged({}, {"passed": False, "cause": "definition", "uncovered": WRONG})
ROW, LARGEST = ("0xc2108000", "0x00000000"), {"known_by": "largest", "extreme": 0.0}
LAYERS = {"block.2": [1.0], "block.10": [1.0], "a.head": [1.0]}

FACTS = [
    (Fact("setting", "LayerNorm", "epsilon", "1e-05", "1e-06"), "LayerNorm's epsilon: 1e-06 in JAX, 1e-05 in PyTorch"),
    (Fact("form", "the axis of softmax", torch="-1", jax="-2"), "the axis of softmax: -2 in JAX, -1 in PyTorch"),
    (Fact("padding", torch="1", jax="0"), "PyTorch has the padding 1, JAX 0"),
    (Fact("other", torch="silu", jax="gelu"), "JAX computes gelu, PyTorch silu"),
    (Fact("binary", torch="adds", jax="subtracts", where=" the bias"), "JAX subtracts where PyTorch adds the bias"),
    (Fact("missing", "gelu"), "JAX forgets gelu"),
    (Fact("extra", "gelu", where="the result of v"), "JAX applies gelu more, to the result of v"),
    (Fact("order", jax="transposed", where="linear.weight"), "JAX has linear.weight transposed"),
    (Fact("operand", "the sum", torch="v", jax="k"), "the sum takes k in JAX, v in PyTorch"),
    (Fact("instead", torch="relu(v)", jax="v"), "JAX takes v there, PyTorch relu(v)"),
    (Fact("ignored", "the sum", torch="mask", jax="1"), "JAX does not use the input mask: the sum takes 1"),
    (Fact("exchange", torch="q", jax="k", where=" in h.0"), "JAX has k and q exchanged in h.0"),
    (Fact("moved", "norm", torch="after it", jax="before the sum"), "JAX applies norm before the sum, PyTorch after it"),
    (
        Fact("regrouped", torch="adds b, then multiplies", jax="multiplies, then adds b"),
        "JAX multiplies, then adds b, PyTorch adds b, then multiplies",
    ),
    (Fact("weight", jax="has a bias"), "JAX has a bias there, for which PyTorch has no weight"),
    (Fact("fixed", torch="scale", jax="1"), "JAX does not use scale: it has 1 there"),
    (Fact("table", "positions", torch="end at 1", jax="begin at 1"), "JAX's positions begin at 1, PyTorch's end at 1"),
    (Fact("factors", "angles", torch="frequencies", jax="are 2 times"), "JAX's angles are 2 times PyTorch's frequencies"),
    (
        Fact("numbers", "frequencies", torch=" angles", jax="have"),
        "JAX's frequencies have other numbers than PyTorch's angles",
    ),
    (Fact("times", "2", "JAX", where=" in h.0"), "JAX gives 2 times what PyTorch gives in h.0"),
    (Fact("function", "the square of", "JAX", where=" in h.0"), "JAX gives the square of what PyTorch gives in h.0"),
    (Fact("changed", "flipped", "JAX", where=" in h.0"), "JAX gives what PyTorch gives, flipped in h.0"),
    (Fact("plus", "1", "JAX"), "JAX gives what PyTorch gives, plus 1"),
    (Fact("minus", "1", "PyTorch"), "PyTorch gives what JAX gives, minus 1"),
    (Fact("wrapped", "int8", "JAX"), "JAX gives what PyTorch gives, wrapped around: its int8 cannot hold that"),
    (Fact("arranged", "transposed", "JAX"), "JAX gives what PyTorch gives, transposed"),
    (Fact("above", "6", "JAX"), "JAX gives what PyTorch gives, but nothing above 6"),
    (Fact("below", "0", "JAX"), "JAX gives what PyTorch gives, but nothing below 0"),
    (Fact("bounds", "-1 and 1", "JAX"), "JAX gives what PyTorch gives, cut off at -1 and 1"),
    (Fact("constant", torch="other numbers", jax="0"), "JAX gives 0 everywhere, where PyTorch gives other numbers"),
    (Fact("filled", "0", "JAX"), "JAX gives 0 where PyTorch does not, and the same elsewhere"),
    (Fact("elements", role="JAX"), "JAX gives the same elements as PyTorch, in another order"),
    (Fact("output", torch="y[0]", jax="y[1]"), "JAX gives as `y[1]` what PyTorch gives as `y[0]`"),
    (Fact("input", "for -x", "JAX"), "JAX gives what PyTorch gives for -x"),
    (Fact("random", "adds", "JAX"), "JAX adds random numbers"),
    (Fact("nan", role="JAX"), "they differ only where an input is NaN: JAX passes it on, PyTorch does not"),
    (Fact("nans"), "they differ only in what they make of an input that is NaN"),
    (Fact("unused", "`b`", "JAX"), "JAX does not use `b`, which PyTorch does"),
    (Fact("alone", role="JAX", where="of axis 1"), "JAX treats each position of axis 1 alone, which PyTorch does not"),
    (
        Fact("seen", "later", "JAX", where="of axis 1"),
        "at each position of axis 1 JAX uses no later ones, which PyTorch does",
    ),
    (Fact("cast", "bfloat16", "JAX"), "JAX casts to bfloat16"),
    (
        Fact("momentum", "running_mean", jax="0.5"),
        "JAX moves running_mean 0.5 times as far as PyTorch does: its momentum is another one",
    ),
    (Fact("updated", "running_mean", jax="twice"), "JAX updates running_mean twice"),
    (Fact("as much", jax="2"), "2 times as much"),
    (Fact("applied", "dropout", torch="once", jax="twice"), "PyTorch applies dropout once, JAX twice"),
    (Fact("masks", role="JAX", where="12 of 128 places"), "JAX masks 12 of 128 places"),
    (Fact("masks of both", torch="1 place", jax="2 places"), "PyTorch masks 1 place, and JAX masks 2 places"),
    (Fact("empty rows", role="JAX"), "JAX leaves nothing in these rows"),
    (
        Fact("rows", "kind.weight", torch="0 and 1", jax="1 and 2"),
        "JAX applies rows 1 and 2 of kind.weight, PyTorch rows 0 and 1",
    ),
    (Fact("part", "kind.weight", where=", as of other rows"), "JAX applies other numbers of kind.weight, as of other rows"),
    (Fact("unapplied", "fc.bias"), "JAX does not apply fc.bias, or another weight in its place"),
    (Fact("transposed", "fc.weight"), "JAX has fc.weight transposed"),
    (
        Fact("tied", "head.weight", torch="wte.weight", jax="wte"),
        "JAX applies wte there too, as if head.weight were tied to wte.weight",
    ),
    (Fact("not tied"), "in PyTorch it is a weight of its own"),
    (Fact("values", "fc.bias", jax="['b']"), "fc.bias holds other numbers than ['b'] in JAX"),
    (Fact("shape", torch="(2, 3)", jax="(3, 2)"), "PyTorch has (2, 3), JAX (3, 2) in its place"),
    (Fact("only", "zeros", "JAX", where="in fc.bias"), "JAX has only zeros in fc.bias, where PyTorch has other numbers"),
    (Fact("misplaced"), "JAX has the same numbers there, in another order"),
    (Fact("rewritten"), "JAX has this result, and changes it before it is used"),
    (Fact("later", jax="norm"), "JAX adds the two after norm, PyTorch before"),
    (Fact("crossed", "norm2"), "JAX applies it and norm2 in each other's place"),
    (Fact("sequence", "the layers", jax="backwards"), "JAX applies the layers backwards"),
    (Fact("drawn"), "JAX draws random numbers there, as dropout does"),
    (Fact("precision", "softmax", "JAX", "float32", "bfloat16"), "JAX computes softmax in bfloat16, PyTorch in float32"),
    (Fact("rounds", "the sum", "JAX"), "JAX rounds the sum, PyTorch does not"),
    (Fact("errs", "3 ULP", "JAX", where="at y[0]"), "JAX errs by 3 ULP, at y[0]"),
    (
        Fact("start"),
        "JAX starts from other weights; the steps are judged from PyTorch's, as if copy_weights had carried them over",
    ),
    (
        Fact("no partner", "['count']"),
        "['count'] of JAX: no partner in PyTorch, so only the first step is judged from the same state",
    ),
    (Fact("batch", "labels", where="shifted by 1"), "JAX would have PyTorch's loss with labels shifted by 1"),
    (
        Fact("batch numbers", "labels", "1 of its 4 numbers differs", "0", "1", " at [0, 0]"),
        "JAX would have PyTorch's loss with labels as PyTorch has it: 1 of its 4 numbers differs, first 1 "
        "for PyTorch's 0 at [0, 0]",
    ),
    (Fact("batch ignored", "mask"), "JAX's loss does not depend on mask of the batch, on which PyTorch's depends"),
    (Fact("loss times", jax="2"), "JAX's loss is 2 times PyTorch's"),
    (Fact("loss divided", jax="8"), "JAX's loss is PyTorch's divided by 8"),
    (
        Fact("microbatches", "sum", jax="2", where="of 4"),
        "JAX's loss is the sum of those of 2 microbatches (of 4), PyTorch's is that of the batch",
    ),
    (Fact("first", where="h.0"), "first in h.0"),
    (Fact("more", "3"), "and in 3 more places"),
    (
        Fact("zero gradients", "2", "JAX", where="stop_gradient"),
        "JAX's are zero in 2 parameters, as with stop_gradient, and PyTorch's are not",
    ),
    (Fact("gradients times", jax="2"), "JAX's are 2 times PyTorch's"),
    (Fact("other gradients", "2"), "in 2 parameters, though the loss is the same"),
    (
        Fact("untied", torch="wte.weight", jax="['head']"),
        "JAX trains ['head'] apart, PyTorch wte.weight in both places, as tied weights: its gradient is the sum of theirs",
    ),
    (
        Fact("summed", "bias_ih and bias_hh"),
        "JAX trains the sum of bias_ih and bias_hh, PyTorch both of them: together they move twice as far",
    ),
    (Fact("frozen", "fc.bias"), "JAX changes fc.bias, which PyTorch does not train"),
    (Fact("still statistics", role="JAX"), "JAX leaves them as they are, as in evaluation, and PyTorch changes them"),
    (Fact("statistics times", jax="2"), "JAX's move 2 times as far as PyTorch's: the momentum is another"),
    (Fact("each statistic", "1", jax="2"), "JAX's move by another factor in each, from 1 to 2"),
    (Fact("variance", "n = 8"), "JAX divides the variance by n, PyTorch by n - 1, with n = 8"),
    (
        Fact("statistics kept", torch="0.9", jax="0.99", where="in bn, "),
        "in bn, the momentum: JAX keeps 0.99 of the statistics, PyTorch 0.9",
    ),
    (Fact("still average", role="JAX"), "JAX leaves the average of the weights as it is, PyTorch changes it"),
    (Fact("average kept", torch="0.9", jax="0.99"), "JAX keeps 0.99 of the average of the weights, PyTorch 0.9"),
    (Fact("averaged", torch="after", jax="before"), "JAX averages the weights before the step, PyTorch those after it"),
    (Fact("accumulated"), "JAX gives its optimiser the sum of all gradients so far, PyTorch those of this step"),
    (Fact("given", jax="2"), "JAX gives its optimiser 2 times PyTorch's gradients"),
    (Fact("clipped otherwise", jax="2"), "the gradients that JAX gives its optimiser are 2 times PyTorch's"),
    (
        Fact("clipped in PyTorch", torch="0.5"),
        "PyTorch gives its optimiser 0.5 times the gradients, as clipping does, and JAX those themselves",
    ),
    (
        Fact("not reset"),
        "PyTorch gives its optimiser other gradients than those of this step's backward passes, as without "
        "zero_grad(), and JAX those themselves",
    ),
    (Fact("cut off", jax="1"), "JAX cuts each number of the gradients off at 1, PyTorch does not"),
    (Fact("norm", torch="1", jax="2"), "JAX clips the gradients to a norm of 2, PyTorch to 1"),
    (Fact("added to the norm", torch="1e-06"), "PyTorch adds 1e-06 to the norm that it divides by"),
    (Fact("no step"), "JAX takes no step with these gradients"),
    (
        Fact("no gradients given"),
        "where a gradient is None, PyTorch leaves the parameter and its state alone, and JAX, given zeros, does not",
    ),
    (Fact("option", role="weight_decay", torch="0.01", jax="0.0001"), "weight_decay: 0.0001 in JAX, 0.01 in PyTorch"),
    (
        Fact("call", "reduction", torch="mean", jax="sum", where="cross_entropy", source="train.py:3"),
        "sum in JAX, mean in PyTorch: reduction in PyTorch's `cross_entropy` (train.py:3)",
    ),
    (
        Fact("forgotten call", "weight", where="cross_entropy", source="train.py:3"),
        "JAX forgets weight in PyTorch's `cross_entropy` (train.py:3)",
    ),
    (Fact("epsilon in the root"), "JAX adds its epsilon inside the square root, PyTorch outside"),
    (Fact("uncorrected"), "JAX forgets the correction of the bias of both averages"),
    (Fact("maximum"), "JAX takes AMSGrad's maximum of averages whose bias is corrected, PyTorch corrects the maximum"),
    (Fact("decay without rate"), "JAX does not multiply the weight decay with the learning rate, PyTorch does"),
    (Fact("rate", torch="0.1", jax="0.2", where=" at step 3"), "JAX's learning rate is 0.2, PyTorch's 0.1 at step 3"),
    (Fact("rate of", "fc.bias", torch="0.1", jax="0.2"), "JAX's learning rate of fc.bias is 0.2, PyTorch's 0.1"),
    (Fact("rates", jax="0.1, then 0.2"), "the rates are 0.1, then 0.2"),
    (Fact("no rate"), "PyTorch's learning rate is 0, and JAX moves the parameters"),
    (
        Fact("warm-up", "twice as long", torch="0.02", jax="0.01"),
        "it grows by 0.01 a step, PyTorch's by 0.02: JAX's warm-up is twice as long",
    ),
    (Fact("moves", jax="0.5"), "JAX moves 0.5 times as far as PyTorch at each step"),
    (Fact("moves at", jax="2", where="6"), "the learning rates differ: at step 6 JAX moves 2 times as far as PyTorch"),
    (Fact("rate at", torch="0.1", jax="0.2", where="6"), "the learning rates differ: at step 6 JAX's is 0.2, PyTorch's 0.1"),
    (Fact("schedule", jax="behind"), "JAX's schedule is one step behind"),
    (Fact("the same bits"), "bit for bit the same"),
    (Fact("by rounding"), "they differ by rounding"),
    (Fact("drift"), "each epoch is the same from the same state, but they drift apart by more than rounding explains"),
    (Fact("more than rounding", "loss", where="0.01"), "loss errs by 0.01, relatively: more than rounding explains"),
    (Fact("apart", "weight", where="0.1"), "weight is 0.1 apart, relatively"),
    (
        Fact("not finite", "the loss", where="inf"),
        "the loss stopped being finite and is inf; a smaller learning rate keeps it finite",
    ),
    (Fact("no difference"), "No difference: loss and weights are bit-equal at every epoch"),
    (Fact("other starts", "3"), "PyTorch's from themselves, started one ulp away, 3 times"),
    (Fact("raises", "RuntimeError: no", "JAX"), "the backward pass of JAX raises RuntimeError: no"),
    (
        Fact("no code", "while cannot be written as one call", where="h.0"),
        "the segment of h.0 cannot be saved: while cannot be written as one call",
    ),
    (Fact("not found", "a snippet", where="ValueError: no"), "a snippet could not be found: ValueError: no"),
    (Fact("example", torch="1.5", jax="2", where=" at [3]"), "1.5 in PyTorch and 2 in JAX at [3]"),
    (
        Fact("nearer", "value", "PyTorch", "0.5", "12"),
        "value: PyTorch is much nearer the truth; PyTorch errs by 0.5 ULP, JAX by 12, as rounding may",
    ),
    (
        Fact("no gradient", "the JAX function"),
        "the JAX function has no gradient, or one that is cut off from the input (on purpose? then the other side "
        "lacks that)",
    ),
    (Fact("wrong special", "the JAX function"), "the JAX function gives a wrong NaN or infinity"),
    (Fact("another function", "the JAX function"), "the JAX function computes another function"),
    (Fact("lost digits", "each side"), "each side loses digits that rounding does not explain"),
    (Fact("no gradients"), "each side lacks a gradient that the other has, or a part of it, so nobody knows which is meant"),
    (Fact("special of one"), "one side gives NaN or infinity where the other does not, and no truth says which is right"),
    (Fact("two functions"), "PyTorch and JAX compute different functions, in float64 too"),
    (Fact("choices"), "PyTorch and JAX make different choices where both are valid (a kink, a tie); nobody is wrong"),
    (Fact("no side"), "none"),
    (Fact("both lack"), "not known: both sides lack gradients"),
    (Fact("which result"), "not known: nothing says which result is the true one"),
    (Fact("which function"), "not known: nothing says which of the two functions is meant"),
    (
        Fact("functions", torch="silu", jax="none of the catalogue"),
        "the PyTorch function is silu, the JAX function is none of the catalogue",
    ),
    (Fact("to the bit"), "the same to the bit"),
    (Fact("zeros of other sign"), "the same numbers; zeros of different sign are a convention"),
    (Fact("holds", "rtol 3e-06"), "rounding, not a bug: rtol 3e-06 holds; neither side is wrong"),
    (Fact("accepted", "relu-negative-zero"), "what differs is rounding or accepted (relu-negative-zero)"),
    (Fact("diagnosed", "1,000", where="150,000 elements"), "the 1,000 elements that were diagnosed, of 150,000 elements"),
    (Fact("of the larger", "12.00%"), "12.00% of the larger one"),
    (Fact("noticed", "numpy.testing.assert_allclose"), "numpy.testing.assert_allclose notices"),
    (Fact("unnoticed", "torch.testing.assert_close"), "torch.testing.assert_close does not notice"),
    (Fact("everywhere"), "everywhere"),
    (Fact("all of", where="`y[:, 2]`, column 2"), "in all of `y[:, 2]`, column 2"),
    (Fact("one place", where="`y[2, 3]`"), "at `y[2, 3]` alone"),
    (Fact("inside", where="`y[:2, :2]`"), "in `y[:2, :2]` alone"),
    (Fact("some", "45 of 49"), "at 45 of 49 elements"),
    (Fact("one input", "x", where="0.5"), "at x = 0.5 alone"),
    (Fact("or more", "|x|", where="1.5"), "where |x| is 1.5 or more"),
    (Fact("or less", "x", where="-1"), "where x is -1 or less"),
    (Fact("between", "x", where="-0.5 to 0.5"), "where x is from -0.5 to 0.5"),
]

OTHERS = [
    (Range(), "a number"),
    (Range(open=(True, True)), "a finite number"),
    (Range(0.0, open=(True, False)), "a number above 0"),
    (Range(high=2.0, open=(False, True)), "a number below 2"),
    (Range(-1, 1), "a number of at least -1 and of at most 1"),
    (Range(smallest=0.5), "a number, 0 or at least 0.5 away from it"),
    (Kink(0.0, {1: "left"}, "source"), "at x = 0: chosen the gradient on the left"),
    (
        Kink(0.0, {1: 0.5, 2: "right"}, "source"),
        "at x = 0: chosen the gradient 0.5 and the second derivative on the right",
    ),
    (Identity("elu", {"alpha": 1.0}, also=("celu",)), "elu with alpha 1.0 (also celu)"),
    (Identity("grown", {"axis": -1}), "grown with axis -1"),
    (RowShape("dominant", 11.0), "one entry at the top, the others 11 below"),
    (RowShape("logits", 2.0, moves="the row"), "normal logits times 2, the row moved towards a result of 0"),
    (disagreement("relu-zero").title, "relu-zero (special, declared)"),
    (disagreement("relu-zero", seen=False).title, "relu-zero (special, declared, not seen in this run)"),
    (
        disagreement("relu-zero", seen=False, looked_for=False).title,
        "relu-zero (special, declared, in another mode or layout than this run's)",
    ),
    (disagreement(None, order=1).title, "own torch: special in the gradient (NOT DECLARED)"),
    (
        counted((), passed=True),
        "No disagreement: every result of every implementation is within its budget, and PyTorch and JAX agree.",
    ),
    (counted([disagreement("a"), disagreement("b")], passed=True), "2 declared deviations, explained below."),
    (
        counted([disagreement("a"), disagreement(None)], passed=False),
        "1 declared deviation and 1 undeclared disagreement, explained below.",
    ),
    (
        limits(crosscheck.activations["leaky_relu"]),
        "at -infinity value -inf, gradient 0.01, second derivative 0; "
        "at +infinity value inf, gradient 1, second derivative 0",
    ),
    (
        limits(crosscheck.activations["softmax"]).partition(",")[0],
        "of one entry alone: at -infinity value 0",
    ),
    (place(sighting(-0.0, "0x80000000")), "x = -0.0 (0x80000000)"),
    (
        place(sighting(-36.125, ROW[0], ROW, position=0, entry=-36.125, **LARGEST)),
        "an entry 36.12 below the largest of its row: x[0] = -36.125 (0xc2108000) in a row of 2",
    ),
    (
        place(sighting(0.0, ROW[1], ROW, position=1, entry=0.0, **LARGEST)),
        "the largest entry of its row: x[1] = 0.0 (0x00000000) in a row of 2",
    ),
    (
        place(sighting(-inf, "0xff800000", ("0xff800000", ROW[1]), position=0, entry=-inf, **LARGEST)),
        "an entry of -inf: x[0] = -inf (0xff800000) in a row of 2",
    ),
    (
        place(sighting(inf, "0x7f800000", ("0x7f800000", ROW[1]), position=0, entry=inf, known_by="largest", extreme=inf)),
        "a row whose largest entry is inf: x[0] = inf (0x7f800000) in a row of 2",
    ),
    (
        place(sighting(inf, "0x7f800000", ("0x7f800000",), position=0, entry=inf, known_by="largest", extreme=inf)),
        "a row whose only entry is inf: x[0] = inf (0x7f800000) in a row of 1",
    ),
    (
        place(sighting(nan, "0x7fc00000", ("0x7fc00000", ROW[1]), position=0, entry=nan, **LARGEST)),
        "a row with a NaN: x[0] = nan (0x7fc00000) in a row of 2",
    ),
    (
        place(sighting(0.0, ROW[1], ROW, position=None, entry=-0.16796875, **LARGEST)),
        "a row whose largest entry is -0.167969, of 2",
    ),
    (
        place(sighting(36.125, "0x42108000", ROW, position=1, entry=36.125, known_by="smallest", extreme=0.0)),
        "an entry 36.12 above the smallest of its row: x[1] = 36.125 (0x00000000) in a row of 2",
    ),
    (
        place(sighting(0.0, ROW[1], ROW, position=0, entry=0.0, known_by="gate", extreme=0.0, order=1)),
        "x[0] (0xc2108000) with the gate x[1] = 0.0 (0x00000000), by x[0], in a row of 2",
    ),
    (said(Report((), {})), "FAILED: nothing was compared."),
    (said(judged({})), "PASSED: hard_tanh: no undeclared disagreement in 1 comparisons of 1,000 points."),
    (said(FAILED), "FAILED: hard_tanh: 1 of 2 comparisons of 2,000 points failed."),
    (
        said(judged({}, recorded=False)),
        "PASSED: hard_tanh: no undeclared disagreement in 1 comparisons of 1,000 points; this environment is not on record.",
    ),
    (
        said(NEW),
        "PASSED: hard_tanh: no undeclared disagreement in 2 comparisons of 2,000 points; "
        "new disagreements of the frameworks in 1 comparison: this environment is not on record.",
    ),
    (
        said(NEW, 2),
        "New, not on record of torch-0-jax-0-none: hard_tanh value, float32 eager: torch: definition, "
        "3 inputs, worst at 1.5 (0x3fc00000): got 2.0, expected 1.0, 8.389e+06 ULP",
    ),
    (
        said(NEW, 3),
        "This environment is not on record: torch 2.13.0, jax 0.10.2, cpu: the frameworks are compared with "
        "torch-0-jax-0-none, the nearest that is; what is new does not fail here; with --strict it does",
    ),
    (
        said(FAILED, 2),
        "Not declared, so this run fails: hard_tanh value, float32 eager: torch: definition, "
        "3 inputs, worst at 1.5 (0x3fc00000): got 2.0, expected 1.0, 8.389e+06 ULP",
    ),
    (
        crosscheck.compare_arrays(LAYERS, {**LAYERS, "block.10": [1.25], "a.head": [8.0]}).headline,
        "DISAGREE: 2 of 3 arrays, 3 elements: 2 elements beyond 4 ULP, the worst in a.head, the first in block.10.",
    ),
]


@pytest.mark.parametrize(("fact", "words"), FACTS, ids=[fact.kind for fact, _ in FACTS])
def test_the_words_of_a_fact(fact: Fact, words: str) -> None:
    assert fact.words() == words


def test_each_kind_of_fact_has_a_sentence() -> None:
    assert [fact.kind for fact, _ in FACTS] == list(KINDS)


@pytest.mark.parametrize(("given", "words"), OTHERS, ids=range(len(OTHERS)))
def test_the_words_of_what_is_no_fact(given: object, words: str) -> None:
    assert str(given) == words


# How a verdict is cut to a headline
