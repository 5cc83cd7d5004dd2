"""Command lines: for each command what each of its options may be given, right or wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fuzz import content
from fuzz.around import KEPT
from fuzz.base import ATLAS, SWEEP
from fuzz.pairs import pairs
from fuzz.running import Line

Strategy = st.SearchStrategy[str]


@dataclass(frozen=True)
class Slot:
    """An option, or an argument where ``flag`` is empty; values that are right and cheap to run, and others."""

    flag: str
    good: Strategy
    bad: Strategy
    needed: bool = False
    seldom: bool = False


FLAG = st.just("")
"""The value of an option that takes none."""
ODD = st.one_of(
    st.sampled_from(
        ["", " ", "-", "--", "-1", "0", "1e400", "nan", "inf", "²", "٣", "None", "true", "\udcff", "a" * 300, "😀"]
    ),
    st.sampled_from(content.HOSTILE),
    content.TEXT,
)


def oneof(*values: str) -> Strategy:
    """One of some values."""
    return st.sampled_from(values)


NO_FOLDER = ("no/such/folder.json", ".", "", "mine.py/x.json", "x" * 300, "/proc/nothing.json")


def output(flag: str, *endings: str) -> Slot:
    """A file to write: new, there already, or one that cannot be."""
    good = [
        f"{stem}{ending}"
        for ending in endings
        for stem in ("out", "there", "<b>x", "a b", "\u00e9", "[bold]x[/bold]", "x" * 240)
    ]
    return Slot(flag, st.sampled_from(good), oneof(*NO_FOLDER))


JSON, HTML, MARKDOWN = output("--json", ".json"), output("--html", ".html"), output("--markdown", ".md")
DTYPE = Slot("--dtype", oneof("float32"), oneof("float31", "float64 ") | ODD)
ORDER = Slot("--order", oneof("0"), oneof("3", "-1", "first") | ODD)
SEED = Slot("--seed", oneof("0", "1", str(2**31), str(2**70)), oneof("-1", "many", "1.5") | ODD)
DEVICE = Slot("--device", oneof("cpu"), oneof("gpu", "tpu") | ODD)
FILE = Slot("--file", oneof("mine.py"), oneof("bad.py", "nothing.py", ".", "mine.txt", "w.npz", "x" * 300 + ".py") | ODD)
NAME = Slot("", oneof("linear", "mine"), oneof("sigmoit", "relu ", "LINEAR") | ODD, needed=True)
WITHOUT = Slot("--without", oneof("relu-negative-zero"), ODD)
QUICK = Slot("--quick", FLAG, FLAG, needed=True)
ONE = Slot("--processes", oneof("1"), oneof("0", "-1", "two") | ODD)
UNKNOWN = Slot("--nothing", FLAG, ODD)
JSONS = oneof("old.json", "new.json")
REPORT = (JSON, HTML, MARKDOWN)
THEIRS = oneof(
    *(f"theirs:{name}" for name in (*content.PORT_NAMES, *content.FUNCTION_NAMES)), "theirs", ":f", "os:path", "bad:f"
)


def theirs(flag: str, name: str, *, needed: bool = True, seldom: bool = False) -> Slot:
    """A name in the module with two models and two trainings."""
    return Slot(flag, oneof(f"theirs:{name}"), THEIRS | ODD, needed, seldom)


COMMANDS: Mapping[str, tuple[Slot, ...]] = {
    "list": (FILE, JSON),
    "verify": (
        NAME,
        QUICK,
        DTYPE,
        ORDER,
        SEED,
        DEVICE,
        FILE,
        WITHOUT,
        ONE,
        JSON,
        HTML,
        MARKDOWN,
        Slot("--implementation", oneof("torch", "jax"), oneof("analytic", "torch.natif", "numpy") | ODD, needed=True),
        Slot("--mode", oneof("eager"), oneof("lazy", "all ") | ODD),
        Slot("--accuracy", FLAG, FLAG),
        Slot("--thorough", FLAG, FLAG),
    ),
    "verify --file": (
        Slot("", oneof("mine"), ODD, needed=True),
        Slot("--file", oneof("mine.py"), oneof("bad.py"), needed=True),
        Slot("--dtype", oneof("float32", "bfloat16"), ODD, needed=True),
        Slot("--order", oneof("0", "1"), ODD, needed=True),
        Slot("--implementation", oneof("torch", "jax", "torch.native"), ODD, needed=True),
        Slot("--mode", oneof("eager"), ODD, needed=True),
        QUICK,
        JSON,
        HTML,
        MARKDOWN,
    ),
    "explain": (NAME, FILE, JSON),
    "plot": (
        NAME,
        DTYPE,
        FILE,
        output("--figure", ".png", ".svg"),
        Slot("--range", oneof("-1 1", "-1e300 3e38", "0 1"), oneof("nan 1", "0 inf", "1 1e400", "1 0", "0 ten")),
    ),
    "compare": (
        Slot("", st.sampled_from([f"theirs:{name}" for name in content.FUNCTION_NAMES]), ODD, needed=True),
        Slot(
            "",
            st.sampled_from([f"theirs:{name}" for name in content.FUNCTION_NAMES]),
            oneof("theirs", ":f", "os:path", "bad:f") | ODD,
            needed=True,
        ),
        DTYPE,
        Slot("--order", oneof("0"), ODD, needed=True),
        SEED,
        DEVICE,
        JSON,
        HTML,
        MARKDOWN,
        Slot(
            "--shape",
            oneof("3", "2,2", "1"),
            oneof("0", "-1", "2,,2", "9" * 12, "9999999999,9999999999", "1," * 70 + "1") | ODD,
            needed=True,
        ),
        Slot("--mode", oneof("eager"), oneof("compile", "all") | ODD, needed=True),
        Slot("--exact", oneof("relu"), oneof("softmax", "rellu") | ODD),
        Slot(
            "--accept",
            oneof("special", "convention:0:0", "relu-negative-zero"),
            oneof("special:1", "special:x:y", "rounding:0:1", "special:nan:1") | ODD,
        ),
    ),
    "diff": (
        Slot("", oneof("a"), oneof("nothing.npz", ".", "mine.py", "x" * 300) | ODD, needed=True),
        Slot("", oneof("b"), oneof("nothing.npz", "w.npz/x") | ODD, needed=True),
        Slot("--truth", oneof("t"), oneof("nothing.npz", "mine.py") | ODD),
        Slot("--ulp", oneof("0", "4", "1e300"), oneof("-1", "nan", "inf", "many") | ODD),
        Slot("--rtol", oneof("0", "1e-3"), oneof("-1", "nan", "inf") | ODD),
        Slot("--atol", oneof("0", "1e-3", "1e308"), oneof("-1", "nan") | ODD),
        JSON,
        HTML,
        MARKDOWN,
    ),
    "atlas": (
        NAME,
        QUICK,
        DTYPE,
        SEED,
        FILE,
        WITHOUT,
        ONE,
        JSON,
        MARKDOWN,
        Slot("--mode", oneof("eager"), oneof("lazy") | ODD, needed=True),
    ),
    "atlas --diff": (
        Slot("--diff", JSONS, oneof("nothing.json", ".", "mine.py", "x" * 300) | ODD, needed=True),
        Slot("", JSONS, oneof("nothing.json", "w.npz") | ODD, needed=True),
        ONE,
        JSON,
        MARKDOWN,
        Slot("--quick", FLAG, FLAG, seldom=True),
    ),
    "sweep": (
        Slot("", oneof("linear"), oneof("softmax", "mine", "sigmoit") | ODD, needed=True),
        Slot("--dtype", oneof("bfloat16"), oneof("float64", "float31") | ODD, needed=True),
        Slot(
            "--range",
            oneof("1 1.1", "0x3f80 0x3f81", "-0 0", "-inf -1e38"),
            oneof("1 0", "nan nan", "x y", "0x1ffff 1", "0x 1", "1e400 inf"),
            needed=True,
        ),
        Slot("--implementation", oneof("torch.native", "torch"), oneof("analytic", "numpy") | ODD, needed=True),
        ORDER,
        DEVICE,
        FILE,
        JSON,
        output("--figure", ".svg"),
        Slot("--processes", oneof("1"), oneof("0", "many") | ODD, needed=True),
        Slot("--out", oneof("journal"), oneof("mine.py", "mine.py/x", "/proc/x", "x" * 300) | ODD),
        Slot("--resume", FLAG, FLAG),
    ),
    "sweep --table": (
        Slot("--table", oneof("sweeps"), oneof(".", "nothing", "mine.py", "x" * 300) | ODD, needed=True),
        Slot("", oneof("relu"), ODD, seldom=True),
        Slot("--json", oneof("out.json"), ODD, seldom=True),
        Slot("--resume", FLAG, ODD, seldom=True),
    ),
    "models": (
        theirs("", "torch_model"),
        theirs("", "jax_model"),
        theirs("--inputs", "inputs"),
        theirs("--params", "params"),
        theirs("--torch-to-jax", "same", needed=False, seldom=True),
        Slot("--weights", oneof("given", "copy"), ODD),
        DTYPE,
        ORDER,
        SEED,
        output("--figure", ".svg"),
        Slot("--segments", oneof("segments"), oneof("nothing", "mine.py", "x" * 300) | ODD),
        *REPORT,
    ),
    "training": (
        theirs("", "torch_step"),
        theirs("", "jax_step"),
        theirs("--batches", "batches"),
        theirs("--torch-state", "torch_state"),
        theirs("--jax-state", "jax_state"),
        theirs("--jax-batches", "batches", needed=False),
        theirs("--torch-to-jax", "same", needed=False, seldom=True),
        Slot("--controls", oneof("0", "1"), oneof("-1", "many") | ODD),
        SEED,
        output("--figure", ".svg"),
        *REPORT,
    ),
    "translate": (
        Slot(
            "", oneof("layer_norm", "torch.nn.LayerNorm", "optax.l2_loss"), oneof("layer_nrom", "torch") | ODD, seldom=True
        ),
        *REPORT,
    ),
    "translate --file": (
        Slot("--file", oneof("mine.py"), oneof("no.py", ".", "") | ODD, needed=True),
        *REPORT,
    ),
    "atlas --check": (
        Slot("--check", FLAG, FLAG, needed=True),
        Slot("", oneof("linear"), oneof("mine", "sigmoit") | ODD, needed=True),
        Slot("--dtype", oneof("float32"), ODD, needed=True),
        Slot("--mode", oneof("eager"), oneof("lazy") | ODD, needed=True),
        ONE,
        Slot("--quick", FLAG, FLAG, seldom=True),
        WITHOUT,
        JSON,
        MARKDOWN,
    ),
    "atlas --record": (
        Slot("--record", FLAG, FLAG, needed=True),
        Slot("--out", oneof("mine.py", "nothing", "no/such", "x" * 300), oneof("", "mine.py/x"), needed=True),
        Slot("", oneof("linear"), ODD),
        Slot("--check", FLAG, FLAG, seldom=True),
        JSON,
        MARKDOWN,
    ),
    "perceptron": (
        Slot("--gate", oneof("or", "xor"), oneof("nor ", "maybe") | ODD),
        Slot("--epochs", oneof("1", "2"), oneof("0", "-1", "1.5") | ODD, needed=True),
        Slot("--learning-rate", oneof("0.1", "1e30"), oneof("0", "-1", "nan", "inf", "1e300") | ODD),
        SEED,
        Slot("--dtype", oneof("float32", "float64"), oneof("float16") | ODD),
        Slot("--plant", oneof("flipped-label"), oneof("torch:nothing", "numpy:flipped-label", ":", "torch:") | ODD),
        JSON,
        output("--figure", ".png"),
    ),
    "env": (DEVICE, JSON),
    "": (UNKNOWN,),
    "paths": (),
}
"""Of ``paths``, the commands that read and write files, the lines are those of fuzz.pairs."""
RUNS = {"verify", "explain", "plot", "compare", "models", "training", "atlas", "atlas --check", "perceptron", "sweep"}
"""Commands of which a line without a flaw runs functions, which takes a while; so few lines have none."""


FEW = 24
"""Of so many lines that would run something, one has no flaw."""
TWO_VALUES = "--range"
ALL_NAMED = {"explain", "plot", "compare", "diff", "models", "training"}
"""Commands that need each of their arguments; without one, others run everything."""


def lines(command: str) -> st.SearchStrategy[Line]:
    """Command lines of one command."""
    return pairs() if command == "paths" else _lines(command)


@st.composite
def _lines(draw: st.DrawFn, command: str) -> Line:
    slots = [slot for slot in COMMANDS[command] if slot.needed or draw(st.integers(0, 7 if slot.seldom else 1)) == 0]
    sound = command in RUNS and draw(st.integers(0, FEW)) > 0
    at = st.integers(0, max(0, len(slots) - 1))
    flawed = draw(st.sets(at, min_size=int(sound), max_size=2)) if sound or draw(st.booleans()) else set()
    files, hostile = _files(draw, command)
    arguments = command.split()[:1]
    for number, slot in enumerate(slots):
        if number in flawed and not slot.flag and command in ALL_NAMED and draw(st.integers(0, 9)) == 0:
            continue  # left out
        value = draw(slot.bad if number in flawed else slot.good)
        value = next((path for path in files if path.startswith(f"{value}.")), value) if command == "diff" else value
        arguments += [slot.flag] if slot.flag else []
        if slot.good is FLAG and number not in flawed:
            continue
        arguments += value.split() if slot.flag == TWO_VALUES else [value]
    if number := draw(st.sampled_from([0] * 30 + [1])):
        arguments.insert(number, draw(st.sampled_from(["--help", "--version", "--nothing"])))
    hidden = draw(st.sampled_from([()] * 6 + [("torch",), ("jax",), ("torch", "jax")]))
    return Line(tuple(arguments), files, hostile, hidden=hidden)


def _files(draw: st.DrawFn, command: str) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """What lies in the folder, and the hostile names in it."""
    files = {
        "mine.py": content.GOOD_RECORD,
        "mine.txt": b"no Python\n",
        "w.npz": b"PK\x03\x04",
        "there.json": KEPT,
        "there.html": KEPT,
    }
    hostile = draw(st.sampled_from(content.HOSTILE))
    if command == "diff":
        first, second = draw(content.pairs())
        truth = {name: np.zeros(array.shape) for name, array in first.items()}
        for name, held in (("a", first), ("b", second), ("t", truth)):
            ending, written = draw(content.array_file(held))
            files[name + ending] = written
        return files, content.HOSTILE
    if command in ("compare", "models", "training"):
        files["theirs.py"] = content.functions(hostile) if command == "compare" else content.port(hostile)
        files["segments/notes.txt"] = b"what nobody may lose\n"
        files["bad.py"] = draw(content.NO_RECORDS)
        return files, (hostile,)
    if command.startswith(("atlas --diff", "sweep --table")):
        base = ATLAS if command.startswith("atlas") else SWEEP
        for name in ("old.json", "new.json"):
            made = json.dumps(base).encode() if draw(st.booleans()) else draw(content.changed(base) | content.NO_JSON)
            files[name if command.startswith("atlas") else f"sweeps/{name}"] = made
        return files, content.HOSTILE
    files["bad.py"] = draw(content.NO_RECORDS)
    if command in ("list", "verify --file") or draw(st.integers(0, 5)) == 0:
        files["mine.py"] = draw(content.records())
    return files, ()
