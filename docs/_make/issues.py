"""The text of an issue about what looks like a bug, as a maintainer wants it, and the button that copies it."""

import re
from functools import cache
from html import escape

import ml_dtypes
import numpy as np
from headings import culprit, right
from pieces import fenced
from upstream import known, newest, seen_in_the_newest

from crosscheck import Deviation
from crosscheck._records.implementations import Implementation
from crosscheck._records.names import ORDER_NAMES
from crosscheck._verify.sightings.explanation import Disagreement, Explanation
from crosscheck._verify.sightings.sight import Result, Sighting

BITS = re.compile(r"\b0x[0-9a-f]+\b")
ARRAY = re.compile(r"dtype=torch\.uint\d+\)\.view\(torch\.(\w+)\)")
VIEW = re.compile(r"numpy\.uint\d+\)\.view\(((?:numpy|ml_dtypes)\.\w+)\)")
LISTED = re.compile(r"\.view\(numpy\.uint\d+\)\.tolist\(\)")
BESIDE = re.compile(r",\s*\"here; .*?\"\)$", re.MULTILINE)
SAID = re.compile(r"  # (?!raises).*$|^# .*\n?", re.MULTILINE)
VARIABLE = re.compile(r"[A-Z_]+=")
MODES = {"compile": ", compiled", "jit": ", under jit", "vmap": ", under vmap", "forward": ", in forward mode"}


def reportable(deviation: Deviation, disagreement: Disagreement) -> bool:
    """Whether there is something to report: it looks like a bug, shows here and in the newest release, and has no issue."""
    sighting = disagreement.sighting
    wanted = deviation.bug and seen_in_the_newest(disagreement) and known(deviation.link) is None
    shown = sighting is not None and sighting.exact is not None and not right(culprit(disagreement), disagreement)
    return wanted and shown


def button(made: Explanation, deviation: Deviation, disagreement: Disagreement) -> str:
    """A button of the theme's: what is in its attribute is copied. One line, so that Markdown leaves it as it is."""
    copied = escape(text(made, deviation, disagreement)).replace("\n", "&#10;")
    attributes = f'type="button" class="md-button" data-clipboard-text="{copied}"'
    return f'<div class="issue"><button {attributes}>Copy as an issue</button></div>'


def text(made: Explanation, deviation: Deviation, disagreement: Disagreement) -> str:
    """The symptom in numbers, a program that shows it, what is expected and what is got, versions, and the code."""
    sighting = disagreement.sighting
    assert sighting is not None
    result = culprit(disagreement)
    side = Implementation.of(result.implementation).side
    got = str(result.message) if result.got is None else repr(result.got)
    blocks = [
        f"# {symptom(made, sighting, result)}",
        disagreement.reason,
        fenced(program(made.snippet(sighting, result), sighting.dtype)),
        f"**Expected**: {sighting.exact!r}, the exact result rounded to {sighting.dtype}",
        f"**Actual**: {got}",
        *([f"The code: {disagreement.link}"] if disagreement.link.startswith("https://github.com/") else []),
        f"It is so in {' and '.join(newest(side))} too." if newest(side) else "",
        f"**Versions**\n\n{fenced(versions(side), 'text')}",
    ]
    return "\n\n".join(filter(None, blocks))


def symptom(made: Explanation, sighting: Sighting, result: Result) -> str:
    """What is wrong, in a line with numbers: what is got where, and what is expected."""
    side = Implementation.of(result.implementation).side
    path = made.activation.natives[side].path
    what = path if sighting.order == 0 else f"{ORDER_NAMES[sighting.order].capitalize()} of {path}"
    at = readable(sighting.input_bits, sighting.dtype)
    place = f"at x = {at}" if sighting.row is None else f"in a row of {len(sighting.row.bits)}"
    got, exact = told(result.got, sighting.exact)
    return f"{what}: {got} {place} in {sighting.dtype}{MODES.get(result.mode, '')}, expected {exact}"


def told(got: float | None, exact: float | None) -> tuple[str, str]:
    """Both numbers, with as few digits as show the difference."""
    if got is None or exact is None:
        return "an error", repr(exact)
    pairs = ((f"{got:.{digits}g}", f"{exact:.{digits}g}") for digits in (3, 6, 9, 12, 17))
    return next((pair for pair in pairs if pair[0] != pair[1]), (repr(got), repr(exact)))


def program(snippet: str, dtype: str) -> str:
    """A snippet for readers: numbers instead of bits wherever they are the same, and without our results beside its own."""
    code = BITS.sub(lambda match: readable(match[0], dtype), SAID.sub("", BESIDE.sub(")", snippet)))
    if not BITS.search(code):
        code = VIEW.sub(r"\1)", ARRAY.sub(r"dtype=torch.\1)", LISTED.sub(".astype(float).tolist()", code)))
    return code.strip()


def readable(bits: str, dtype: str) -> str:
    """The shortest decimal with these bits in the dtype, or the bits of a number that has none."""
    numbers = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    unsigned = np.dtype(f"uint{8 * numbers.itemsize}")
    value = np.array(int(bits, 16), unsigned).view(numbers)
    short = repr(float(str(value)))
    same = np.array(float(short)).astype(numbers).view(unsigned) == int(bits, 16)
    return short if np.isfinite(value.astype(float)) and same else bits


@cache
def versions(side: str) -> str:
    """What each framework's own command for bug reports prints."""
    if side == "torch":
        from torch.utils.collect_env import get_pretty_env_info

        return str(get_pretty_env_info()).strip()
    import jax

    lines = str(jax.print_environment_info(return_string=True)).splitlines()
    return "\n".join(line for line in lines if line and not VARIABLE.match(line))  # those of this build
