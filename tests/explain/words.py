"""Words that a porter may read: the same thing in many wordings, as regular expressions, and claims that may be false."""

FORGETS = (
    r"forg[eo]t|miss(es|ing)\b|lacks?\b|without|omit|leaves? (\w+ ){0,4}out|left out|skip|drops?\b"
    r"|does not (use|apply|add|divide|multiply|scale|subtract|mask|stop|have)|JAX does not|JAX has no\b"
    r"|(is|are) not (applied|added|used|divided|multiplied|scaled|subtracted|masked)|as it is"
)
"""One side has nothing in the place of what the other side has."""
MORE = r"(?<!\d )\bmore\b|extra|twice|again|also|besides|in addition|second time|only JAX|JAX alone"
EXCHANGED = (
    r"exchang|swap|each other|for the other|other way round|revers|another order|wrong order|in the place of|different order"
)
MOVED = (
    r"\bmoved|before.*after|after.*before|earlier|later|(an)?other order|in (this|that) order|order of"
    r"|applies .* to .* PyTorch to"
)
NEGATIVE = r"subtract|minus|\bsign|negat|a - b|\btimes -1\b|opposite"
FLIPPED = r"flip|revers|mirror|backward|from the (end|last)|last first"
SHIFTED = r"roll|shift|displac|moved (by|along)|one (step|place|position|token)|off by one|by (-?1|one)\b"
EPSILON = r"\beps(ilon)?\b"

CLAIMS = {
    "epsilon": EPSILON,
    "mask": r"\bmasks?\b|diagonal",
    "bias": r"(?<![.\w'])bias\b",
    "transposed": r"transposed",
    "exchanged": r"exchanged|swapped",
    "cast": r"bfloat16|float16|half precision",
    "stop": r"stops? the gradient|stopped gradient",
    "activation": r"tanh form|(?<!not )(applies|computes|has) (the )?(re|ge|si|leaky_re)lu\b(?!\()|(re|ge|si)lu in JAX",
    "residual": r"residual",
    "reversed": r"(?<!_)revers(e|ed)\b|backwards?\b(?! pass)",
    "shifted": r"(shift|roll)ed",
    "padding": r"\bpad(s|ded|ding)?\b",
    "axis": r"over (axis|dim)|axis -?\d in JAX",
    "forgets": r"JAX (forgets|lacks|misses|omits|skips)",
    "torch's": r"PyTorch (forgets|lacks|misses|omits|skips)",
    "more": r"JAX (applies|adds|does) .*((?<!\d )\bmore\b|twice|\bagain\b)",
    "negative": r"JAX subtracts|another sign|negative in JAX",
    "momentum": r"\bmomentum\b",
    "decay": r"weight.decay",
    "divisor": r"n - 1|ddof|unbiased",
    "clipping": r"\bclip(s|ped|ping)?\b",
    "rate": r"learning rate|schedule|warm-up",
    "dilation": r"dilat",
    "stride": r"\bstrides?\b",
    "smoothing": r"smoothing",
    "statistics": r"the statistics|as in evaluation",
    "chosen": r"takes the (smaller|larger)",
    "frequencies": r"frequenc",
    "average": r"\bEMA\b|moving average",
}
"""Claims of a cause: what a report says of a role only if it is at fault. A case names those that are true of it."""


def number(value: float) -> str:
    """A number in any usual writing: 1e-06, 1e-6, 0.000001."""
    plain = f"{value:.12f}".rstrip("0").rstrip(".")
    short = f"{value:g}"
    writings = {short, repr(value), plain, short.replace("e-0", "e-"), short.replace("e+0", "e"), f"{value:,}"}
    spelled = "|".join(
        sorted(
            writing.replace(".", r"\.").replace("+", r"\+")
            for writing in writings
            if float(writing.replace(",", "")) == value
        )
    )
    return rf"(?<![\w.-])(?:{spelled})(?:\.0*)?(?!\w|\.\d)"


def other_side(torch: float, jax: float) -> tuple[str, ...]:
    """The numbers given to the wrong sides."""
    return (
        rf"{number(torch)}( is)? in JAX",
        rf"{number(jax)}( is)? in PyTorch",
        rf"PyTorch('s)?( is| has| uses)? {number(jax)}",
    )
